// Negative log likelihood of class indices, and its gradient
// (https://pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html).
#include "tarn/kernels/cuda/nll_loss.h"

#include "tarn/kernels/cuda/kernels.h"

namespace tarn::cuda {
namespace {

constexpr int kSamples = 16;  // of a thread

template <class T>
__global__ void __launch_bounds__(kBlockSize)
    loss_kernel(Targets<T> targets, const T* log_probs, int64_t n, int64_t row, int64_t column,
                LossResults<T> results, LossSums* partial) {
  LossSums sums{0, 0};
  const int64_t first = int64_t{blockIdx.x} * kBlockSize * kSamples + threadIdx.x;
  for (int s = 0; s < kSamples; ++s) {
    const int64_t i = first + s * kBlockSize;
    if (i >= n) break;
    const int64_t target = targets[i];
    LossSums one{0, 0};
    if (target >= 0) {
      one.weight = targets.weight(target);
      one.loss = -one.weight * static_cast<double>(log_probs[i * row + target * column]);
    }
    results.set_each(i, one.loss);
    sums = AddLosses()(sums, one);
  }
  reduce_block(sums, results, partial);
}

template <class T>
__global__ void __launch_bounds__(kBlockSize)
    gradient_kernel(BlockShape block, Targets<T> targets, T* grad_in, int64_t n, int64_t row,
                    int64_t column, LossGradient<T> grad_out) {
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t i = int64_t{blockIdx.x} * block.width + block.result(thread);
  if (i >= n) return;
  const int64_t target = targets[i];
  const double gradient = target >= 0 ? -targets.weight(target) * grad_out[i] : 0;
  for (int64_t c = block.place(thread); c < targets.classes; c += block.depth) {
    grad_in[i * row + c * column] = convert<T, double>(c == target ? gradient : 0);
  }
}

template <class T>
void forward(const NllLossArgs& args) {
  const View& log_probs = args.log_probs;
  const int64_t n = log_probs.sizes[0];
  const Targets<T> targets(args.target, args.weight, log_probs.sizes[1], args.ignore_index);
  const LossResults<T> results(args.loss, args.total_weight, args.reduction);
  constexpr int64_t kPerBlock = int64_t{kBlockSize} * kSamples;
  const int64_t blocks = std::max<int64_t>(1, (n + kPerBlock - 1) / kPerBlock);
  reduce_losses(blocks, results, [&](LossSums* partial) {
    launch(loss_kernel<T>, static_cast<unsigned>(blocks), kBlockSize, 0, targets,
           log_probs.as<const T>(), n, log_probs.strides[0], log_probs.strides[1], results,
           partial);
  });
}

template <class T>
void backward(const NllLossBackwardArgs& args) {
  const View& grad_in = args.grad_in;
  const int64_t n = grad_in.sizes[0], classes = grad_in.sizes[1];
  if (n == 0) return;
  const Targets<T> targets(args.target, args.weight, classes, args.ignore_index);
  const BlockShape block = BlockShape::rows(n, classes);
  launch(gradient_kernel<T>, static_cast<unsigned>(block.tiles(n)), kBlockSize, 0, block, targets,
         grad_in.as<T>(), n, grad_in.strides[0], grad_in.strides[1],
         LossGradient<T>(args.grad_out, args.total_weight, args.reduction));
}

}  // namespace

void nll_loss(const NllLossArgs& args) {
  visit_floating(args.log_probs.dtype, [&]<class T>(T) { forward<T>(args); });
}

void nll_loss_backward(const NllLossBackwardArgs& args) {
  visit_floating(args.grad_in.dtype, [&]<class T>(T) { backward<T>(args); });
}

}  // namespace tarn::cuda
