#pragma once
// The language of CUDA kernels for a plain C++ compiler: kernel sources that include this in place
// of <cuda_runtime.h> run on the CPU. Declarations of the runtime are NVIDIA's own, from its
// headers; the emulator defines the functions.
//
//   __global__ void scale(float* x, int n) {
//     TARN_SHARED(tile, Arr<float, 256>);       // not: __shared__ float tile[256];
//     ...
//     __syncthreads();
//   }
//   tarn::gpu::launch(scale, grid, block, dynamic_shared_bytes, stream, x, n);   // not: <<<...>>>

#include <cuda_runtime.h>

// Kernels declare shared memory by TARN_SHARED, and have no constant memory.
#undef __shared__
#undef __constant__
#define __shared__ use_TARN_SHARED_instead_of___shared__
#define __constant__ constant_memory_is_not_used_pass_kernel_arguments
#undef __launch_bounds__
#define __launch_bounds__(...)

#include "tarn/tests/cuda_emulator/executor.h"
#include "tarn/tests/cuda_emulator/thread_index.h"  // IWYU pragma: export

namespace cuda_emulator {
template <class T>
T& shared_object(const void* key, Where where) {
  return *static_cast<T*>(static_shared(key, sizeof(T), alignof(T), where));
}
}  // namespace cuda_emulator

/// A variable of the block, known by the address of a variable that this declaration alone has.
#define TARN_SHARED(name, ...)              \
  static const char tarn_key_of_##name = 0; \
  auto& name =                              \
      ::cuda_emulator::shared_object<__VA_ARGS__>(&tarn_key_of_##name, {__FILE__, __LINE__})
#define TARN_DYN_SHARED(T, name) T* name = static_cast<T*>(::cuda_emulator::dynamic_shared())

inline void __syncthreads(cuda_emulator::Where where = TARN_EMULATOR_HERE) {
  cuda_emulator::barrier(where);
}

#include "tarn/tests/cuda_emulator/atomics.h"     // IWYU pragma: export
#include "tarn/tests/cuda_emulator/intrinsics.h"  // IWYU pragma: export
#include "tarn/tests/cuda_emulator/launch.h"      // IWYU pragma: export
#include "tarn/tests/cuda_emulator/warp.h"        // IWYU pragma: export
