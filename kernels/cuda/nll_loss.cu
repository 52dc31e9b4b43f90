// Negative log likelihood of class indices, and its gradient
// (https://pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html).
#include "tarn/kernels/cuda/block_merge.h"
#include "tarn/kernels/cuda/kernels.h"
#include "tarn/kernels/cuda/strided.h"

namespace tarn::cuda {
namespace {

constexpr int kSamples = 16;  // of a thread

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

struct Sums {
  double loss, weight;
};
struct Add {
  TARN_HD Sums operator()(const Sums& a, const Sums& b) const {
    return {a.loss + b.loss, a.weight + b.weight};
  }
};

template <class T>
struct Results {
  T* loss;
  int64_t stride;  // of a loss for each sample
  T* total_weight;
  Reduction reduction;

  __device__ void set(const Sums& sums) const {
    *total_weight = convert<T, double>(sums.weight);
    if (reduction == Reduction::Sum) *loss = convert<T, double>(sums.loss);
    if (reduction == Reduction::Mean) *loss = convert<T, double>(sums.loss / sums.weight);
  }
};

// Sums over samples, in the same order in every run: to `results` by a single block, else to
// partial[block].
template <class T>
__global__ void __launch_bounds__(kBlockSize)
    loss_kernel(Targets<T> targets, const T* log_probs, int64_t n, int64_t row, int64_t column,
                Results<T> results, Sums* partial) {
  TARN_SHARED(states, gpu::Arr<Sums, kBlockSize>);
  Sums sums{0, 0};
  const int64_t first = int64_t{blockIdx.x} * kBlockSize * kSamples + threadIdx.x;
  for (int s = 0; s < kSamples; ++s) {
    const int64_t i = first + s * kBlockSize;
    if (i >= n) break;
    const int64_t target = targets[i];
    double loss = 0;
    if (target >= 0) {
      const double weight = targets.weight(target);
      loss = -weight * static_cast<double>(log_probs[i * row + target * column]);
      sums = Add()(sums, {loss, weight});
    }
    if (results.reduction == Reduction::None) {
      results.loss[i * results.stride] = convert<T, double>(loss);
    }
  }
  sums = merge_places(whole_block(), states, sums, kBlockSize, Add());
  if (threadIdx.x != 0) return;
  if (gridDim.x == 1)
    results.set(sums);
  else
    partial[blockIdx.x] = sums;
}

template <class T>
__global__ void __launch_bounds__(kBlockSize)
    total_kernel(const Sums* partial, int64_t count, Results<T> results) {
  TARN_SHARED(states, gpu::Arr<Sums, kBlockSize>);
  Sums sums{0, 0};
  for (int64_t i = threadIdx.x; i < count; i += kBlockSize) sums = Add()(sums, partial[i]);
  sums = merge_places(whole_block(), states, sums, kBlockSize, Add());
  if (threadIdx.x == 0) results.set(sums);
}

template <class T>
__global__ void __launch_bounds__(kBlockSize)
    gradient_kernel(BlockShape block, Targets<T> targets, T* grad_in, int64_t n, int64_t row,
                    int64_t column, const T* grad_out, int64_t step, const T* total_weight) {
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t i = int64_t{blockIdx.x} * block.width + block.result(thread);
  if (i >= n) return;
  const int64_t target = targets[i];
  double gradient = 0;
  if (target >= 0) {
    const double divisor = total_weight == nullptr ? 1 : static_cast<double>(*total_weight);
    gradient = -targets.weight(target) * static_cast<double>(grad_out[i * step]) / divisor;
  }
  for (int64_t c = block.place(thread); c < targets.classes; c += block.depth) {
    grad_in[i * row + c * column] = convert<T, double>(c == target ? gradient : 0);
  }
}

template <class T>
void forward(const NllLossArgs& args) {
  const View& log_probs = args.log_probs;
  const int64_t n = log_probs.sizes[0];
  const Targets<T> targets(args.target, args.weight, log_probs.sizes[1], args.ignore_index);
  const Results<T> results{args.loss.as<T>(), args.loss.ndim > 0 ? args.loss.strides[0] : 0,
                           args.total_weight.as<T>(), args.reduction};
  constexpr int64_t kPerBlock = int64_t{kBlockSize} * kSamples;
  const int64_t blocks = std::max<int64_t>(1, (n + kPerBlock - 1) / kPerBlock);
  const Scratch partial(blocks == 1 ? 0 : static_cast<size_t>(blocks) * sizeof(Sums));
  launch(loss_kernel<T>, static_cast<unsigned>(blocks), kBlockSize, 0, targets,
         log_probs.as<const T>(), n, log_probs.strides[0], log_probs.strides[1], results,
         partial.as<Sums>());
  if (blocks == 1) return;
  launch(total_kernel<T>, 1, kBlockSize, 0, partial.as<const Sums>(), blocks, results);
}

template <class T>
void backward(const NllLossBackwardArgs& args) {
  const View& grad_in = args.grad_in;
  const int64_t n = grad_in.sizes[0], classes = grad_in.sizes[1];
  if (n == 0) return;
  const Targets<T> targets(args.target, args.weight, classes, args.ignore_index);
  const bool each = args.reduction == Reduction::None && args.grad_out.ndim > 0;
  const BlockShape block = BlockShape::rows(n, classes);
  launch(gradient_kernel<T>, static_cast<unsigned>(block.tiles(n)), kBlockSize, 0, block, targets,
         grad_in.as<T>(), n, grad_in.strides[0], grad_in.strides[1], args.grad_out.as<const T>(),
         each ? args.grad_out.strides[0] : int64_t{0},
         args.reduction == Reduction::Mean ? args.total_weight.as<const T>() : nullptr);
}

}  // namespace

void nll_loss(const NllLossArgs& args) {
  visit_floating(args.log_probs.dtype, [&]<class T>(T) { forward<T>(args); });
}

void nll_loss_backward(const NllLossBackwardArgs& args) {
  visit_floating(args.grad_in.dtype, [&]<class T>(T) { backward<T>(args); });
}

}  // namespace tarn::cuda
