// Does not compile, and the compiler's message says what to write instead.
#include "tarn/tests/cuda_emulator/device.h"

__global__ void raw_shared(float* x) {
  __shared__ float tile[32];
  tile[threadIdx.x] = *x;
}
