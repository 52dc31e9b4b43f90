// What the losses of class numbers share: targets, the sums over samples, and their gradient.
#pragma once

#include "tarn/kernels/convert.h"
#include "tarn/kernels/cuda/block_merge.h"
#include "tarn/kernels/kernel_table.h"

namespace tarn::cuda {

// All threads of a block for one result.
TARN_HD BlockShape whole_block() { return {1, kBlockSize, false}; }

template <class T>
struct Targets {
  const int64_t* data;
  int64_t stride;
  const T* weights;  // or null
  int64_t weight_stride;
  int64_t classes, ignore_index;
  Fault fault;

  Targets(const View& target, const View& weight, int64_t classes, int64_t ignore_index)
      : data(target.as<const int64_t>()),
        stride(target.ndim > 0 ? target.strides[0] : 0),
        weights(weight.as<const T>()),
        weight_stride(weight.data != nullptr && weight.ndim > 0 ? weight.strides[0] : 0),
        classes(classes),
        ignore_index(ignore_index),
        fault(cuda::fault(
            [](const int64_t (&values)[3]) { fail_target(values[0], values[1], values[2]); })) {}

  // The class of sample i; -1 for one that does not count.
  __device__ int64_t operator[](int64_t i) const {
    const int64_t target = data[i * stride];
    if (target == ignore_index) return -1;
    if (target >= 0 && target < classes) return target;
    complain(fault, target, classes, i);
    return -1;
  }
  __device__ double weight(int64_t target) const {
    return weights == nullptr ? 1 : static_cast<double>(weights[target * weight_stride]);
  }
};

struct LossSums {
  double loss, weight;
};
struct AddLosses {
  TARN_HD LossSums operator()(const LossSums& a, const LossSums& b) const {
    return {a.loss + b.loss, a.weight + b.weight};
  }
};

template <class T>
struct LossResults {
  T* loss;
  int64_t stride;  // of a loss for each sample
  T* total_weight;
  Reduction reduction;

  LossResults(const View& loss, const View& total_weight, Reduction reduction)
      : loss(loss.as<T>()),
        stride(loss.ndim > 0 ? loss.strides[0] : 0),
        total_weight(total_weight.as<T>()),
        reduction(reduction) {}
  __device__ void set_each(int64_t i, double value) const {
    if (reduction == Reduction::None) loss[i * stride] = convert<T, double>(value);
  }
  __device__ void set(const LossSums& sums) const {
    *total_weight = convert<T, double>(sums.weight);
    if (reduction == Reduction::Sum) *loss = convert<T, double>(sums.loss);
    if (reduction == Reduction::Mean) *loss = convert<T, double>(sums.loss / sums.weight);
  }
};

// The sums over a block's samples, to `results` by a grid's only block, else to partial[block]. All
// threads of the block call it. Sums are made in the same order in every run.
template <class T>
__device__ void reduce_block(LossSums sums, const LossResults<T>& results, LossSums* partial) {
  TARN_SHARED(states, gpu::Arr<LossSums, kBlockSize>);
  sums = merge_places(whole_block(), states, sums, kBlockSize, AddLosses());
  if (threadIdx.x != 0) return;
  if (gridDim.x == 1)
    results.set(sums);
  else
    partial[blockIdx.x] = sums;
}

template <class T>
__global__ void __launch_bounds__(kBlockSize)
    total_kernel(const LossSums* partial, int64_t count, LossResults<T> results) {
  LossSums sums{0, 0};
  for (int64_t i = threadIdx.x; i < count; i += kBlockSize) sums = AddLosses()(sums, partial[i]);
  reduce_block<T>(sums, results, nullptr);
}

// Calls launch_blocks(partial) to launch `blocks` blocks, each of which calls reduce_block().
template <class T, class LaunchBlocks>
void reduce_losses(int64_t blocks, const LossResults<T>& results, LaunchBlocks launch_blocks) {
  const Scratch partial(blocks == 1 ? 0 : static_cast<size_t>(blocks) * sizeof(LossSums));
  launch_blocks(partial.as<LossSums>());
  if (blocks == 1) return;
  launch(total_kernel<T>, 1, kBlockSize, 0, partial.as<const LossSums>(), blocks, results);
}

// The gradient of each sample's loss.
template <class T>
struct LossGradient {
  const T* data;
  int64_t step;
  const T* divisor;  // or null

  LossGradient(const View& grad_out, const View& total_weight, Reduction reduction)
      : data(grad_out.as<const T>()),
        step(reduction == Reduction::None && grad_out.ndim > 0 ? grad_out.strides[0] : 0),
        divisor(reduction == Reduction::Mean ? total_weight.as<const T>() : nullptr) {}
  __device__ double operator[](int64_t i) const {
    return static_cast<double>(data[i * step]) /
           (divisor == nullptr ? 1 : static_cast<double>(*divisor));
  }
};

}  // namespace tarn::cuda
