// TARN_HD marks a function that runs on the host and, under nvcc, on the device as well.
#pragma once

#if defined(__CUDACC__)
#define TARN_HD __host__ __device__ __forceinline__
#else
// Inlined into loops that are compiled for several instruction sets.
#define TARN_HD __attribute__((always_inline)) inline
#endif
