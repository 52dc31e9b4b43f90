#include "tarn/kernels/cuda/pointwise_kernels.h"

TARN_FLAT_POINTWISE(float, tarn::BFloat16)
