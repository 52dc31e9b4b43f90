#pragma once
// Runs one grid of a kernel on the calling host thread: blocks one after another, the threads of a
// block as fibers that give way at barriers and warp operations.
#include <cuda_runtime_api.h>

#include <cstddef>

namespace cuda_emulator {

/// A place in a kernel's source, for reports.
struct Where {
  const char* file;
  int line;
};
#define TARN_EMULATOR_HERE \
  { __builtin_FILE(), __builtin_LINE() }

/// A launch: the kernel with its arguments (`run(arguments)` is one thread's run), and its shape.
struct Grid {
  void (*run)(const void* arguments);
  const void* arguments;
  dim3 blocks;
  dim3 threads;
  std::size_t dynamic_shared;
  Where launched_at;
};

/// Runs the grid to its end. One grid at a time: the caller holds the emulator's lock.
void run_grid(const Grid& grid);

/// Whether the calling host thread is inside run_grid().
bool in_kernel();

/// What the device language calls from inside a kernel.
void barrier(Where where);
enum class WarpOp { shuffle, ballot, add, min_signed, max_signed, min_unsigned, max_unsigned };
/// Meets the other lanes of `mask`; each hands in `size` (at most 16) bytes and gets its result
/// written over them: the bytes of lane `source`, or four bytes computed from all lanes.
void warp_exchange(WarpOp op, const char* name, unsigned mask, void* value, std::size_t size,
                   unsigned source, Where where);
unsigned lane_index();
/// The block's array that the TARN_SHARED with this key stands for.
void* static_shared(const void* key, std::size_t size, std::size_t alignment, Where where);
void* dynamic_shared();
/// __threadfence, and what must come before every atomic operation so that ThreadSanitizer
/// knows which later reads the fence has ordered. No effect in other builds.
void note_fence();
void note_atomic(const void* address);

/// Ends the process with a message that names the kernel, block and thread, if one runs.
[[noreturn]] __attribute__((format(printf, 1, 2))) void fail(const char* format, ...);

}  // namespace cuda_emulator
