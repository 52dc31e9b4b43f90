#include "tarn/tests/cuda_emulator/executor.h"

#include <sys/mman.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tarn/tests/cuda_emulator/fiber.h"
#include "tarn/tests/cuda_emulator/settings.h"
#include "tarn/tests/cuda_emulator/thread_index.h"

#if TARN_EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#endif

thread_local constinit uint3 threadIdx{};
thread_local constinit uint3 blockIdx{};
thread_local constinit dim3 blockDim{};
thread_local constinit dim3 gridDim{};

// This file is built without instrumentation. So that the linker cannot put instrumented code into
// it, nor this code into instrumented files, it uses no template or inline function of the standard
// library.
namespace cuda_emulator {
namespace {

constexpr unsigned max_threads = 1024;
constexpr unsigned warp_lanes = 32;
constexpr std::size_t shared_bytes = std::size_t{227} << 10;  // what a block of cc 9.0 may have
constexpr std::size_t static_shared_bytes = std::size_t{48} << 10;
constexpr std::size_t shared_redzone = 64;
constexpr std::size_t shared_arena = std::size_t{512} << 10;
constexpr unsigned max_shared_arrays = 64;
constexpr std::size_t page = 4096;

enum class State : unsigned char { unstarted, ready, at_barrier, in_warp_op, done };

struct Thread {
  State state;
  Fiber* fiber;
  Where where;           // of the barrier or warp operation it waits at
  const char* waits_at;  // the operation's name
  bool fenced;
  const void* last_atomic;
};

// Lanes of one mask on their way through one warp operation.
struct Meeting {
  unsigned mask;
  unsigned arrived;  // 0: this slot is free
  unsigned waiting;
  WarpOp op;
  const char* name;
  Where where;
};

struct Warp {
  Meeting meetings[warp_lanes];
  alignas(16) unsigned char value[warp_lanes][16];
  unsigned source[warp_lanes];
};

struct SharedArray {
  const void* key;
  void* memory;
  std::size_t size;
};

// The block that runs, and what is kept from one to the next. One grid runs at a time.
struct Executor {
  const Grid* grid = nullptr;
  unsigned count = 0;  // threads of a block
  Thread threads[max_threads];
  unsigned order[max_threads];
  unsigned started = 0;
  unsigned finished = 0;
  unsigned current = 0;

  unsigned ready[max_threads];
  unsigned ready_count = 0;
  unsigned at_barrier = 0;
  Where barrier_at{};
  unsigned barriers = 0;
  Warp warps[max_threads / warp_lanes];

  Fiber* pool[max_threads];
  unsigned pool_count = 0;
  Fiber* idle[max_threads];
  unsigned idle_count = 0;

  char* shared = nullptr;
  std::size_t shared_top = 0;
  std::size_t shared_used = 0;
  SharedArray arrays[max_shared_arrays];
  unsigned array_count = 0;
  void* dynamic = nullptr;

  // What ThreadSanitizer orders the threads by. An address remembers the past of all that was
  // released through it, so that each block needs its own, or the second would seem to come after
  // the first; used anew after 1024 blocks.
  struct alignas(8) Point {
    char address;
  };
  struct Sync {
    Point start, barrier[2], warp[max_threads / warp_lanes];
  };
  Sync syncs[1024];
  Sync* sync = nullptr;
  Point end;
  Random random{1};
};

Executor executor;
thread_local bool running = false;

void fill_unwritten(void* memory, std::size_t bytes) {
  // Not memset: ThreadSanitizer would take it for an access by the CUDA thread that comes first.
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

void start_or_resume(unsigned thread) {
  executor.current = thread;
  threadIdx = {thread % blockDim.x, thread / blockDim.x % blockDim.y,
               thread / (blockDim.x * blockDim.y)};
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
      start_or_resume(next);
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

void* shared_memory(std::size_t bytes, std::size_t alignment) {
  Executor& x = executor;
  if (alignment < 16) alignment = 16;
  std::size_t at = (x.shared_top + shared_redzone + alignment - 1) & ~(alignment - 1);
  x.shared_used += bytes;
  if (x.shared_used > shared_bytes || at + bytes + shared_redzone > shared_arena)
    fail("a block of %zu bytes of shared memory; the device has %zu", x.shared_used, shared_bytes);
  x.shared_top = at + bytes;
  char* memory = x.shared + at;
#if TARN_EMULATOR_ASAN
  __asan_unpoison_memory_region(memory, bytes);
#endif
  fill_unwritten(memory, bytes);
  return memory;
}

void prepare() {
  Executor& x = executor;
  if (x.shared) return;
  void* memory = mmap(nullptr, shared_arena, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) fail("no memory for the shared memory of a block");
  x.shared = static_cast<char*>(memory);
  x.random = Random(settings().threads.seed);
#if TARN_EMULATOR_ASAN
  __asan_poison_memory_region(x.shared, shared_arena);
#endif
}

void begin_block(unsigned long block) {
  Executor& x = executor;
#if TARN_EMULATOR_ASAN
  __asan_poison_memory_region(x.shared, x.shared_top + shared_redzone);
#endif
  // Laid anew, the memory has no past that ThreadSanitizer could take for a race with this block.
  if (TARN_EMULATOR_TSAN && x.shared_top > 0)
    mmap(x.shared, (x.shared_top + page - 1) & ~(page - 1), PROT_READ | PROT_WRITE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  x.sync = &x.syncs[block % 1024];
  tsan_release(&x.sync->start);
  x.shared_top = x.shared_used = 0;
  x.array_count = 0;
  x.dynamic = nullptr;
  x.started = x.finished = x.ready_count = x.at_barrier = 0;
  for (unsigned i = 0; i < x.count; ++i) {
    x.threads[i] = {};
    if (settings().threads.kind == Schedule::random) {
      unsigned j = static_cast<unsigned>(x.random.below(i + 1));
      x.order[i] = x.order[j];
      x.order[j] = i;
    } else {
      x.order[i] = settings().threads.kind == Schedule::reverse ? x.count - 1 - i : i;
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
      start_or_resume(thread);
      enter(*x.threads[thread].fiber);
    } else if (x.started < x.count) {
      unsigned thread = x.order[x.started++];
      x.threads[thread].fiber = fiber_for(thread, block);
      start_or_resume(thread);
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

void run_grid(const Grid& grid) {
  Executor& x = executor;
  prepare();
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

void* static_shared(const void* key, std::size_t size, std::size_t alignment, Where where) {
  Executor& x = executor;
  std::size_t total = size;
  for (unsigned i = 0; i < x.array_count; ++i) {
    if (x.arrays[i].key == key) return x.arrays[i].memory;
    total += x.arrays[i].size;
  }
  if (total > static_shared_bytes || x.array_count == max_shared_arrays)
    fail("%zu bytes of static shared memory at %s:%d; a kernel may have %zu", total, where.file,
         where.line, static_shared_bytes);
  void* memory = shared_memory(size, alignment);
  x.arrays[x.array_count++] = {key, memory, size};
  return memory;
}

void* dynamic_shared() {
  Executor& x = executor;
  if (!x.dynamic) x.dynamic = shared_memory(x.grid->dynamic_shared, 128);
  return x.dynamic;
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

// --- warp operations

namespace {

unsigned lanes_of_warp(unsigned warp) {
  unsigned left = executor.count - warp * warp_lanes;
  return left >= warp_lanes ? ~0u : (1u << left) - 1;
}

Meeting& find_meeting(Warp& warp, unsigned mask, WarpOp op, const char* name, Where where) {
  Meeting* unused = nullptr;
  for (Meeting& m : warp.meetings) {
    if (m.arrived == 0) {
      if (!unused) unused = &m;
    } else if (m.mask == mask && m.op == op && same_place(m.where, where)) {
      return m;
    } else if (m.mask & mask) {
      fail("divergent warp: lanes of one warp meet in %s(%08x) at %s:%d and in %s(%08x) at %s:%d",
           m.name, m.mask, m.where.file, m.where.line, name, mask, where.file, where.line);
    }
  }
  *unused = {mask, 0, 0, op, name, where};
  return *unused;
}

template <class T>
void combine(const Warp& warp, unsigned mask, WarpOp op, unsigned char* result) {
  T total{};
  bool first = true;
  for (unsigned lane = 0; lane < warp_lanes; ++lane) {
    if (!(mask >> lane & 1)) continue;
    T value;
    copy_bytes(&value, warp.value[lane], sizeof value);
    if (first)
      total = value;
    else if (op == WarpOp::add)
      total = static_cast<T>(static_cast<unsigned>(total) + static_cast<unsigned>(value));
    else if (op == WarpOp::max_signed || op == WarpOp::max_unsigned)
      total = value > total ? value : total;
    else
      total = value < total ? value : total;
    first = false;
  }
  copy_bytes(result, &total, sizeof total);
}

// The last lane to arrive computes every lane's result.
void finish_meeting(Warp& warp, const Meeting& m) {
  unsigned char results[warp_lanes][16];
  unsigned char common[16] = {};
  switch (m.op) {
    case WarpOp::shuffle:
      break;
    case WarpOp::ballot: {
      unsigned votes = 0;
      for (unsigned lane = 0; lane < warp_lanes; ++lane)
        if ((m.mask >> lane & 1) && warp.value[lane][0]) votes |= 1u << lane;
      copy_bytes(common, &votes, sizeof votes);
      break;
    }
    case WarpOp::min_signed:
    case WarpOp::max_signed:
      combine<int>(warp, m.mask, m.op, common);
      break;
    default:
      combine<unsigned>(warp, m.mask, m.op, common);
  }
  for (unsigned lane = 0; lane < warp_lanes; ++lane)
    if (m.mask >> lane & 1)
      copy_bytes(results[lane], m.op == WarpOp::shuffle ? warp.value[warp.source[lane]] : common,
                 16);
  for (unsigned lane = 0; lane < warp_lanes; ++lane)
    if (m.mask >> lane & 1) copy_bytes(warp.value[lane], results[lane], 16);
}

}  // namespace

void warp_exchange(WarpOp op, const char* name, unsigned mask, void* value, std::size_t size,
                   unsigned source, Where where) {
  Executor& x = executor;
  unsigned lane = x.current % warp_lanes, w = x.current / warp_lanes;
  Warp& warp = x.warps[w];
  if (!(mask >> lane & 1))
    fail("%s: lane %u is not in its own mask %08x, %s:%d", name, lane, mask, where.file,
         where.line);
  if (mask & ~lanes_of_warp(w))
    fail("%s: mask %08x names lanes that a block of %u threads does not have, %s:%d", name, mask,
         x.count, where.file, where.line);
  if (!(mask >> source & 1))
    fail("%s reads lane %u, which is not in mask %08x, %s:%d", name, source, mask, where.file,
         where.line);

  Meeting& meeting = find_meeting(warp, mask, op, name, where);
  copy_bytes(warp.value[lane], value, size);
  warp.source[lane] = source;
  meeting.arrived |= 1u << lane;
  // Only __syncwarp orders memory; the others exchange registers.
  bool orders = size == 0;
  if (orders) tsan_release(&x.sync->warp[w]);
  if (meeting.arrived == mask) {
    finish_meeting(warp, meeting);
    for (unsigned other = 0; other < warp_lanes; ++other)
      if (meeting.waiting >> other & 1) make_ready(w * warp_lanes + other);
    meeting.arrived = 0;
  } else {
    meeting.waiting |= 1u << lane;
    wait(State::in_warp_op, name, where);
  }
  if (orders) tsan_acquire(&x.sync->warp[w]);
  copy_bytes(value, warp.value[lane], size);
}

}  // namespace cuda_emulator
