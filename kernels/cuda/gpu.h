// The device language, for nvcc and for the emulator. The one header of the CUDA dialect that
// kernels include; the rules for their authors are in CONTRIBUTING.md.
//
//   TARN_SHARED(name, Type)        a variable in shared memory: TARN_SHARED(sums, Arr<float, 32>)
//   TARN_DYN_SHARED(T, name)       T* to the launch's dynamic shared memory, 16-byte aligned
//   TARN_UNROLL                    before a loop whose counter chooses registers
//   gpu::launch(kernel, grid, block, dynamic_shared_bytes, stream, args...)
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#if defined(TARN_CUDA_EMULATE)
#include "tarn/tests/cuda_emulator/device.h"

// Device code that every kernel has inside it under nvcc, and calls where compiling it once matters
// more than speed.
#define TARN_SHARED_CODE [[gnu::noinline]] inline
#define TARN_UNROLL
#else
#define TARN_SHARED_CODE __device__ __forceinline__
#include <cuda_runtime.h>

#define TARN_UNROLL _Pragma("unroll")
#define TARN_SHARED(name, ...) __shared__ __VA_ARGS__ name
#define TARN_DYN_SHARED(T, name)                                       \
  extern __shared__ __align__(16) unsigned char tarn_dynamic_shared[]; \
  T* name = reinterpret_cast<T*>(tarn_dynamic_shared)

namespace tarn::gpu {

template <class... Params, class... Args>
cudaError_t launch(void (*kernel)(Params...), dim3 grid, dim3 block, size_t dynamic_shared,
                   cudaStream_t stream, Args&&... args) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = dynamic_shared;
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, static_cast<Params>(std::forward<Args>(args))...);
}

}  // namespace tarn::gpu
#endif

namespace tarn::gpu {

template <class T, int N>
struct ArrayOf {
  using type = T[N];
};
// T[N] as a type that fits in a macro's argument.
template <class T, int N>
using Arr = typename ArrayOf<T, N>::type;

}  // namespace tarn::gpu
