// The CUDA entries of the kernel table (kernels/kernel_table.h). Each enqueues its work on
// cuda::stream() and returns.
#pragma once

#include "tarn/kernels/kernel_table.h"

namespace tarn::cuda {

// copy.cu
void fill(const View& out, const FillValue& value);
void copy(const View& out, const View& src);
void arange(const View& out, double start, double step);
// pointwise.cpp
void pointwise(const PointwiseArgs& args);
// reduce.cu
void reduce(const ReduceArgs& args);

const KernelTable& table();

}  // namespace tarn::cuda
