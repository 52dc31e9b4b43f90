// Negative log likelihood of class indices, and its gradient
// (https://pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html).
#include <algorithm>

#include "tarn/device/check.h"
#include "tarn/device/parallel.h"
#include "tarn/kernels/cpu/kernels.h"

namespace tarn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 14;  // elements worth a thread

// Reads the targets and their weights, whatever the layout.
class Targets {
 public:
  Targets(const View& target, const View& weight, int64_t ignore_index)
      : data_(target.as<const int64_t>()),
        stride_(target.ndim > 0 ? target.strides[0] : 0),
        weight_(weight.data),
        weight_stride_(weight.data != nullptr && weight.ndim > 0 ? weight.strides[0] : 0),
        ignore_index_(ignore_index) {}

  // Throws for a target that is no class, before anything is written.
  void check(int64_t n, int64_t classes) const {
    for (int64_t i = 0; i < n; ++i) {
      const int64_t t = (*this)[i];
      if (t != ignore_index_ && (t < 0 || t >= classes)) fail_target(t, classes, i);
    }
  }
  int64_t operator[](int64_t i) const { return data_[i * stride_]; }
  bool ignores(int64_t target) const { return target == ignore_index_; }
  template <class T>
  double weight(int64_t target) const {
    if (weight_ == nullptr) return 1;
    return static_cast<double>(static_cast<const T*>(weight_)[target * weight_stride_]);
  }

 private:
  const int64_t* data_;
  int64_t stride_;
  const void* weight_;
  int64_t weight_stride_;
  int64_t ignore_index_;
};

template <class T>
T narrow(double value) {
  if constexpr (sizeof(T) == 2)
    return T(static_cast<float>(value));
  else
    return static_cast<T>(value);
}

template <class T>
void forward(const NllLossArgs& args) {
  const int64_t n = args.log_probs.sizes[0];
  const int64_t row = args.log_probs.strides[0], column = args.log_probs.strides[1];
  const T* log_probs = args.log_probs.as<const T>();
  const Targets targets(args.target, args.weight, args.ignore_index);
  targets.check(n, args.log_probs.sizes[1]);

  // In double and one after another: the same for any number of threads.
  double sum = 0, total_weight = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t t = targets[i];
    double loss = 0;
    if (!targets.ignores(t)) {
      const double weight = targets.template weight<T>(t);
      loss = -weight * static_cast<double>(log_probs[i * row + t * column]);
      total_weight += weight;
    }
    sum += loss;
    if (args.reduction == Reduction::None) {
      args.loss.as<T>()[i * args.loss.strides[0]] = narrow<T>(loss);
    }
  }
  *args.total_weight.as<T>() = narrow<T>(total_weight);
  if (args.reduction == Reduction::Sum) *args.loss.as<T>() = narrow<T>(sum);
  if (args.reduction == Reduction::Mean) *args.loss.as<T>() = narrow<T>(sum / total_weight);
}

template <class T>
void backward(const NllLossBackwardArgs& args) {
  const View& grad_in = args.grad_in;
  const int64_t n = grad_in.sizes[0], classes = grad_in.sizes[1];
  const int64_t row = grad_in.strides[0], column = grad_in.strides[1];
  const Targets targets(args.target, args.weight, args.ignore_index);
  targets.check(n, classes);

  const bool each = args.reduction == Reduction::None;
  const int64_t step = each && args.grad_out.ndim > 0 ? args.grad_out.strides[0] : 0;
  const T* grad_out = args.grad_out.as<const T>();
  const double divisor = args.reduction == Reduction::Mean
                             ? static_cast<double>(*args.total_weight.as<const T>())
                             : 1.0;
  parallel_for(0, n, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, classes)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   T* out = grad_in.as<T>() + i * row;
                   for (int64_t c = 0; c < classes; ++c) out[c * column] = T{};
                   const int64_t t = targets[i];
                   if (targets.ignores(t)) continue;
                   const double g = static_cast<double>(grad_out[i * step]);
                   out[t * column] = narrow<T>(-targets.template weight<T>(t) * g / divisor);
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
