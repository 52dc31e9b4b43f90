// The CUDA devices of this machine. Source:
// https://pytorch.org/cppdocs/api/namespace_torch__cuda.html
#pragma once

#include <cstdint>

namespace tarn::cuda {

// How many CUDA devices tensors can live on. This version of Tarn has kernels for the CPU only, so
// none, whatever the machine has: asking for one is a DeviceError.
inline int64_t device_count() { return 0; }
inline bool is_available() { return device_count() > 0; }

}  // namespace tarn::cuda
