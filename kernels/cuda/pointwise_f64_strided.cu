#include "tarn/kernels/cuda/pointwise_kernels.h"

TARN_STRIDED_POINTWISE(double)
