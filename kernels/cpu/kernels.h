// The CPU's kernels. What each must do is written at its entry in kernel_table.h.
#pragma once

#include "tarn/kernels/kernel_table.h"

namespace tarn::cpu {

// copy.cpp
void fill(const View& out, const FillValue& value);
void copy(const View& out, const View& src);
void arange(const View& out, double start, double step);
// pointwise.cpp
void pointwise(const PointwiseArgs& args);
// reduce.cpp
void reduce(const ReduceArgs& args);
// matmul.cpp
void matmul(const MatmulArgs& args);
// softmax.cpp
void softmax(const SoftmaxArgs& args);
void softmax_backward(const SoftmaxBackwardArgs& args);
// nll_loss.cpp
void nll_loss(const NllLossArgs& args);
void nll_loss_backward(const NllLossBackwardArgs& args);
// cross_entropy.cpp
void cross_entropy(const CrossEntropyArgs& args);
void cross_entropy_backward(const CrossEntropyBackwardArgs& args);
// layer_norm.cpp
void layer_norm(const LayerNormArgs& args);
void layer_norm_backward(const LayerNormBackwardArgs& args);
// index.cpp, sort.cpp, scan.cpp, random.cpp
void gather(const GatherArgs& args);
void scatter(const ScatterArgs& args);
int64_t count_nonzero(const View& x);
void nonzero(const View& out, const View& x);
void sort(const SortArgs& args);
void scan(const ScanArgs& args);
void random(const RandomArgs& args);
// optim.cpp
void sgd_step(const SgdStep& step, const OptimTensor* tensors, int64_t count);
void adam_step(const AdamStep& step, const OptimTensor* tensors, int64_t count);

// All of the above, for tarn::kernels(kCPU).
const KernelTable& table();

}  // namespace tarn::cpu
