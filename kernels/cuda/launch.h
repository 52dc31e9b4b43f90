// How kernels of this folder are put on the current stream, and with how many blocks.
#pragma once

#include <algorithm>

#include "tarn/device/cuda/fault.h"
#include "tarn/device/cuda/runtime.h"
#include "tarn/kernels/cuda/gpu.h"

namespace tarn::cuda {

// Threads per block of every kernel that has no reason for another number.
inline constexpr int kBlockSize = 256;

// Blocks of kBlockSize for `threads` threads, as many as a grid may have: threads of kernels that
// may need more go on to further work a grid's width ahead. Fewer blocks that each do more are
// slower by a few percent. Not for kernels whose results depend on the number of blocks.
inline unsigned blocks_for(int64_t threads) {
  constexpr int64_t kMostBlocks = (int64_t{1} << 31) - 1;
  const int64_t wanted = (threads + kBlockSize - 1) / kBlockSize;
  return static_cast<unsigned>(std::clamp<int64_t>(wanted, 1, kMostBlocks));
}

// Enqueues kernel<<<blocks, threads, dynamic_shared>>>(args...).
template <class... Params, class... Args>
void launch(void (*kernel)(Params...), dim3 blocks, dim3 threads, size_t dynamic_shared,
            const Args&... args) {
  TARN_CUDA_CHECK(gpu::launch(kernel, blocks, threads, dynamic_shared, stream(), args...));
}

// Called by a kernel whose data is wrong: the host throws, with these values, when it next waits.
__device__ inline void complain(const Fault& fault, int64_t a, int64_t b = 0, int64_t c = 0) {
  if (atomicAdd(&fault.record->count, 1u) != 0) return;
  fault.record->kind = fault.kind;
  fault.record->values[0] = a;
  fault.record->values[1] = b;
  fault.record->values[2] = c;
}

}  // namespace tarn::cuda
