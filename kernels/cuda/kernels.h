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
// softmax.cu
void softmax(const SoftmaxArgs& args);
void softmax_backward(const SoftmaxBackwardArgs& args);
// nll_loss.cu
void nll_loss(const NllLossArgs& args);
void nll_loss_backward(const NllLossBackwardArgs& args);
// cross_entropy.cu
void cross_entropy(const CrossEntropyArgs& args);
void cross_entropy_backward(const CrossEntropyBackwardArgs& args);
// layer_norm.cu
void layer_norm(const LayerNormArgs& args);
void layer_norm_backward(const LayerNormBackwardArgs& args);

// matmul.cu
void matmul(const MatmulArgs& args);
// index.cu, nonzero.cu, sort.cu, scan.cu, random.cu
void gather(const GatherArgs& args);
void scatter(const ScatterArgs& args);
int64_t count_nonzero(const View& x);
void nonzero(const View& out, const View& x);
void sort(const SortArgs& args);
void scan(const ScanArgs& args);
void random(const RandomArgs& args);
// optim.cu
void sgd_step(const SgdStep& step, const OptimTensor* tensors, int64_t count);
void adam_step(const AdamStep& step, const OptimTensor* tensors, int64_t count);

const KernelTable& table();

}  // namespace tarn::cuda
