// Prefixes over the threads of a block.
#pragma once

#include "tarn/kernels/cuda/launch.h"

namespace tarn::cuda {

// Combines the values of all threads before the calling one, in their order, starting from
// `identity`; `total` becomes the combination of all. Every thread of a block of kBlockSize calls
// it.
template <class T, class Op>
__device__ T block_exclusive_scan(T value, T identity, Op op, T& total) {
  constexpr int kWarps = kBlockSize / 32;
  TARN_SHARED(sums, gpu::Arr<T, kWarps>);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  for (int distance = 1; distance < 32; distance *= 2) {
    const T before = __shfl_up_sync(0xFFFFFFFFu, value, static_cast<unsigned>(distance));
    if (lane >= distance) value = op(before, value);
  }
  if (lane == 31) sums[warp] = value;
  const T before = __shfl_up_sync(0xFFFFFFFFu, value, 1u);
  __syncthreads();
  T prefix = identity;
  total = identity;
  for (int w = 0; w < kWarps; ++w) {
    if (w == warp) prefix = total;
    total = op(total, sums[w]);
  }
  __syncthreads();  // the next call writes sums
  return lane == 0 ? prefix : op(prefix, before);
}

}  // namespace tarn::cuda
