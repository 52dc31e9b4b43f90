#include "tarn/tests/cuda_emulator/executor.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tarn/tests/cuda_emulator/executor_state.h"
#include "tarn/tests/cuda_emulator/thread_index.h"

thread_local constinit uint3 threadIdx{};
thread_local constinit uint3 blockIdx{};
thread_local constinit dim3 blockDim{};
thread_local constinit dim3 gridDim{};

namespace cuda_emulator {

Executor executor;

namespace {

thread_local bool running = false;

// Not inline: a fiber meets several host threads, and a compiler may remember for the rest of a
// function where the thread_local variables are.
[[gnu::noinline]] void select(unsigned thread) {
  executor.current = thread;
  threadIdx = {thread % blockDim.x, thread / blockDim.x % blockDim.y,
               thread / (blockDim.x * blockDim.y)};
}

// A fiber's life: one CUDA thread after another, for as long as they run through without waiting.
void fiber_body() {
  arrived();
  for (;;) {
    Executor& x = executor;
    tsan_acquire(&x.sync->start);
    x.grid->run(x.grid->arguments);
    tsan_release(&x.end);
    Thread& thread = x.threads[x.current];
    thread.state = State::done;
    ++x.finished;
    Fiber* self = thread.fiber;
    if (!TARN_EMULATOR_TSAN && x.ready_count == 0 && x.started < x.count) {
      unsigned next = x.order[x.started++];
      x.threads[next].fiber = self;
      select(next);
      continue;
    }
    x.idle[x.idle_count++] = self;
    leave(*self);
  }
}

// Under ThreadSanitizer each thread of a block has a fiber of its own, another one in the next
// block, so that threads of two blocks are as unordered as threads of one.
Fiber* fiber_for(unsigned thread, unsigned long block) {
  Executor& x = executor;
  if (TARN_EMULATOR_TSAN) {
    unsigned wanted = x.count < warp_lanes ? warp_lanes : x.count;
    while (x.pool_count < wanted) x.pool[x.pool_count++] = new_fiber(fiber_body);
    x.idle_count = 0;
    return x.pool[(thread + block) % wanted];
  }
  if (x.idle_count > 0) return x.idle[--x.idle_count];
  return x.pool[x.pool_count++] = new_fiber(fiber_body);
}

[[noreturn]] void report_stuck_block() {
  const Executor& x = executor;
  std::fprintf(stderr, "cuda emulator: divergent barrier: %u of %u threads exited, %u at barrier\n",
               x.finished, x.count, x.at_barrier);
  unsigned shown = 0;
  for (unsigned i = 0; i < x.count && shown < 6; ++i) {
    const Thread& t = x.threads[i];
    if (t.state != State::at_barrier && t.state != State::in_warp_op) continue;
    std::fprintf(stderr, "  thread %u waits at %s, %s:%d\n", i, t.waits_at, t.where.file,
                 t.where.line);
    ++shown;
  }
  fail("the block cannot go on");
}

void begin_block(unsigned long block) {
  Executor& x = executor;
  const Schedule& order = settings().threads;
  reset_shared_memory();
  x.sync = &x.syncs[block % 1024];
  tsan_release(&x.sync->start);
  x.started = x.finished = x.ready_count = x.at_barrier = 0;
  for (unsigned i = 0; i < x.count; ++i) {
    x.threads[i] = {};
    if (order.kind == Schedule::random) {
      unsigned j = static_cast<unsigned>(x.random.below(i + 1));
      x.order[i] = x.order[j];
      x.order[j] = i;
    } else {
      x.order[i] = order.kind == Schedule::reverse ? x.count - 1 - i : i;
    }
  }
  for (unsigned w = 0; w * warp_lanes < x.count; ++w)
    for (Meeting& meeting : x.warps[w].meetings) meeting.arrived = 0;
}

void run_block(unsigned long block) {
  Executor& x = executor;
  begin_block(block);
  while (x.finished < x.count) {
    if (x.ready_count > 0) {
      unsigned last = x.ready_count - 1;
      unsigned k = settings().threads.kind == Schedule::random
                       ? static_cast<unsigned>(x.random.below(x.ready_count))
                       : last;
      unsigned thread = x.ready[k];
      x.ready[k] = x.ready[last];
      x.ready_count = last;
      select(thread);
      enter(*x.threads[thread].fiber);
    } else if (x.started < x.count) {
      unsigned thread = x.order[x.started++];
      x.threads[thread].fiber = fiber_for(thread, block);
      select(thread);
      enter(*x.threads[thread].fiber);
    } else if (x.at_barrier == x.count) {
      x.at_barrier = 0;
      ++x.barriers;
      for (unsigned i = x.count; i-- > 0;) make_ready(x.order[i]);
    } else {
      report_stuck_block();
    }
  }
}

}  // namespace

void fill_unwritten(void* memory, std::size_t bytes) {
  auto* p = static_cast<volatile unsigned char*>(memory);
  while (bytes--) *p++ = 0xFF;
}

void copy_bytes(void* to, const void* from, std::size_t bytes) {
  auto* t = static_cast<volatile unsigned char*>(to);
  auto* f = static_cast<const volatile unsigned char*>(from);
  while (bytes--) *t++ = *f++;
}

bool same_place(Where a, Where b) {
  return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

void wait(State state, const char* name, Where where) {
  Thread& thread = executor.threads[executor.current];
  thread.state = state;
  thread.waits_at = name;
  thread.where = where;
  leave(*thread.fiber);
}

void make_ready(unsigned thread) {
  executor.threads[thread].state = State::ready;
  executor.ready[executor.ready_count++] = thread;
}

void run_grid(const Grid& grid) {
  Executor& x = executor;
  if (x.seed != settings().threads.seed) {
    x.seed = settings().threads.seed;
    x.random = Random(x.seed);
  }
  x.grid = &grid;
  x.count = grid.threads.x * grid.threads.y * grid.threads.z;
  blockDim = grid.threads;
  gridDim = grid.blocks;
  running = true;
  unsigned long plane = static_cast<unsigned long>(gridDim.x) * gridDim.y;
  unsigned long blocks = plane * gridDim.z;
  for (unsigned long i = 0; i < blocks; ++i) {
    unsigned long b = settings().threads.kind == Schedule::reverse ? blocks - 1 - i : i;
    blockIdx = {static_cast<unsigned>(b % gridDim.x),
                static_cast<unsigned>(b / gridDim.x % gridDim.y), static_cast<unsigned>(b / plane)};
    run_block(i);
  }
  tsan_acquire(&x.end);
  running = false;
}

bool in_kernel() { return running; }

unsigned lane_index() { return executor.current % warp_lanes; }

void barrier(Where where) {
  Executor& x = executor;
  if (x.at_barrier == 0)
    x.barrier_at = where;
  else if (!same_place(x.barrier_at, where))
    fail("divergent barrier: threads of one block wait at %s:%d and at %s:%d", x.barrier_at.file,
         x.barrier_at.line, where.file, where.line);
  void* meeting_point = &x.sync->barrier[x.barriers % 2];
  tsan_release(meeting_point);
  ++x.at_barrier;
  wait(State::at_barrier, "__syncthreads", where);
  tsan_acquire(meeting_point);
}

void note_fence() {
  if (!TARN_EMULATOR_TSAN || !running) return;
  Thread& thread = executor.threads[executor.current];
  thread.fenced = true;
  if (thread.last_atomic) tsan_acquire(const_cast<void*>(thread.last_atomic));
}

void note_atomic(const void* address) {
  if (!TARN_EMULATOR_TSAN || !running) return;
  Thread& thread = executor.threads[executor.current];
  if (thread.fenced) tsan_release(const_cast<void*>(address));
  thread.last_atomic = address;
}

void fail(const char* format, ...) {
  std::fflush(stdout);
  std::fprintf(stderr, "cuda emulator: ");
  va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  if (running)
    std::fprintf(stderr, "\n  in the kernel launched at %s:%d, block (%u,%u,%u), thread (%u,%u,%u)",
                 executor.grid->launched_at.file, executor.grid->launched_at.line, blockIdx.x,
                 blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
  std::fprintf(stderr, "\n");
  std::abort();
}

}  // namespace cuda_emulator
