// Negative log likelihood of class indices, and its gradient
// (https://pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html).
#include "tarn/kernels/cpu/nll_loss.h"

#include <algorithm>

#include "tarn/device/parallel.h"
#include "tarn/kernels/cpu/kernels.h"

namespace tarn::cpu {
namespace {

template <class T>
void forward(const NllLossArgs& args) {
  const int64_t n = args.log_probs.sizes[0];
  const int64_t row = args.log_probs.strides[0], column = args.log_probs.strides[1];
  const T* log_probs = args.log_probs.as<const T>();
  const Targets targets(args.target, args.weight, args.ignore_index);
  targets.check(n, args.log_probs.sizes[1]);
  reduce<T>(targets, n, args.reduction, args.loss, args.total_weight, [&](int64_t i) {
    const int64_t t = targets[i];
    return -targets.template weight<T>(t) * static_cast<double>(log_probs[i * row + t * column]);
  });
}

template <class T>
void backward(const NllLossBackwardArgs& args) {
  const View& grad_in = args.grad_in;
  const int64_t n = grad_in.sizes[0], classes = grad_in.sizes[1];
  const int64_t row = grad_in.strides[0], column = grad_in.strides[1];
  const Targets targets(args.target, args.weight, args.ignore_index);
  targets.check(n, classes);
  const LossGradient<T> gradient(args.grad_out, args.total_weight, args.reduction);
  parallel_for(0, n, std::max<int64_t>(1, kLossGrain / std::max<int64_t>(1, classes)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   T* out = grad_in.as<T>() + i * row;
                   for (int64_t c = 0; c < classes; ++c) out[c * column] = T{};
                   const int64_t t = targets[i];
                   if (targets.ignores(t)) continue;
                   out[t * column] =
                       convert<T, double>(-targets.template weight<T>(t) * gradient[i]);
                 }
               });
}

}  // namespace

void nll_loss(const NllLossArgs& args) {
  visit_floating(args.log_probs.dtype, [&]<class T>(T) { forward<T>(args); });
}

void nll_loss_backward(const NllLossBackwardArgs& args) {
  visit_floating(args.grad_in.dtype, [&]<class T>(T) { backward<T>(args); });
}

}  // namespace tarn::cpu
