#include "tarn/kernels/cuda/pointwise_kernels.h"

TARN_VECTOR_POINTWISE(float, float)
