// The CUDA entries of the kernel table (kernels/kernel_table.h). Each enqueues its work on
// cuda::stream() and returns.
#pragma once

#include "tarn/kernels/kernel_table.h"

namespace tarn::cuda {

const KernelTable& table();

}  // namespace tarn::cuda
