#pragma once
// The state of the block that runs. For the executor's own files alone, which are built without
// instrumentation: so that the linker cannot put instrumented code into them, nor their code into
// instrumented files, they use no template or inline function of the standard library.
#include <cstddef>
#include <cstdint>

#include "tarn/tests/cuda_emulator/executor.h"
#include "tarn/tests/cuda_emulator/fiber.h"
#include "tarn/tests/cuda_emulator/settings.h"

namespace cuda_emulator {

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
  std::uint64_t seed = 0;  // of `random`
  Random random{0};
};

extern Executor executor;

bool same_place(Where a, Where b);
/// Neither memcpy nor memset: ThreadSanitizer would take those for accesses of a CUDA thread.
void copy_bytes(void* to, const void* from, std::size_t bytes);
void fill_unwritten(void* memory, std::size_t bytes);

/// The thread that runs gives way until it is made ready.
void wait(State state, const char* name, Where where);
void make_ready(unsigned thread);

/// Takes all shared memory from the block that ran, for the next. Not for CUDA threads.
void reset_shared_memory();

}  // namespace cuda_emulator
