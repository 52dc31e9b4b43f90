#pragma once
// threadIdx and its like. Included by device.h.
#include <cuda_runtime_api.h>

// Real variables, not macros: NVIDIA's headers use these words as names of their own.
#define TARN_EMULATOR_INDEX extern thread_local constinit __attribute__((tls_model("initial-exec")))
TARN_EMULATOR_INDEX uint3 threadIdx;
TARN_EMULATOR_INDEX uint3 blockIdx;
TARN_EMULATOR_INDEX dim3 blockDim;
TARN_EMULATOR_INDEX dim3 gridDim;
#undef TARN_EMULATOR_INDEX
static constexpr int warpSize = 32;
