#include "tarn/kernels/cuda/pointwise_kernels.h"

TARN_VECTOR_POINTWISE(int64_t, int64_t)
TARN_STRIDED_POINTWISE(int64_t)
