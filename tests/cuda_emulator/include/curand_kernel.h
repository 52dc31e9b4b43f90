#pragma once
// cuRAND's device functions for kernels on the CPU: the real header, minus what stands in its way.
// Kernel sources include <curand_kernel.h> as under nvcc; this folder comes first in the path.
#include "tarn/tests/cuda_emulator/device.h"

#define QUALIFIERS static inline
#pragma push_macro("__constant__")
#undef __constant__
#define __constant__
// It declares these again, otherwise, for a generator that Tarn does not use.
#define blockDim curand_block_dim
#define threadIdx curand_thread_index
#include_next <curand_kernel.h>
#undef threadIdx
#undef blockDim
#pragma pop_macro("__constant__")
