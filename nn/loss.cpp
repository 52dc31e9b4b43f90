#include "tarn/nn/loss.h"

#include "tarn/core/factories.h"
#include "tarn/core/node.h"

namespace tarn::nn::functional {
namespace {

Tensor reduced(const Tensor& loss, Reduction reduction) {
  if (reduction == Reduction::Mean) return loss.mean();
  return reduction == Reduction::Sum ? loss.sum() : loss;
}

Tensor weighted(const Tensor& loss, const Tensor& weight) {
  return weight.defined() ? loss * weight : loss;
}

void warn_of_broadcast(const Tensor& x, const Tensor& target) {
  if (x.sizes() == target.sizes()) return;
  warn(str("Using a target size (", target.sizes(), ") that is different to the input size (",
           x.sizes(),
           "). This will likely lead to incorrect results due to broadcasting. Please ensure they "
           "have the same size."));
}

void check_same_sizes(const char* op, const Tensor& x, const Tensor& target) {
  if (x.sizes() == target.sizes()) return;
  throw ShapeError(str("[", op, "] Target size (", target.sizes(),
                       ") must be the same as input size (", x.sizes(), ")"));
}

Tensor smooth_error(const Tensor& x, const Tensor& target, double beta, double scale) {
  warn_of_broadcast(x, target);
  return pointwise(op::SmoothError{{}, beta, scale}, x, target);
}

// The weights of the classes, broadcast to the scores.
Tensor class_weights(const Tensor& weight, const Tensor& x, int64_t class_dim) {
  std::vector<int64_t> sizes(static_cast<size_t>(x.dim()), 1);
  sizes[static_cast<size_t>(class_dim)] = weight.numel();
  return weight.reshape(sizes);
}

Tensor cross_entropy_of_probabilities(const Tensor& x, const Tensor& target,
                                      const CrossEntropyLossOptions& options) {
  if (!target.is_floating_point()) {
    throw TypeError(str(
        "[cross_entropy] Expected floating point type for target with class probabilities, got ",
        target.dtype()));
  }
  const int64_t class_dim = x.dim() == 1 ? 0 : 1, classes = x.size(class_dim);
  const double smoothing = options.label_smoothing();
  const Tensor expected =
      smoothing > 0 ? target * (1 - smoothing) + smoothing / static_cast<double>(classes) : target;
  Tensor product = x.log_softmax(class_dim) * expected;
  if (options.weight().defined()) product = product * class_weights(options.weight(), x, class_dim);
  if (options.reduction() == kNone) return -product.sum(class_dim);
  const Tensor sum = -product.sum();
  return options.reduction() == kSum
             ? sum
             : sum / (static_cast<double>(x.numel()) / static_cast<double>(classes));
}

}  // namespace

Tensor l1_loss(const Tensor& x, const Tensor& target, const L1LossFuncOptions& options) {
  warn_of_broadcast(x, target);
  return reduced((x - target).abs(), options.reduction());
}

Tensor mse_loss(const Tensor& x, const Tensor& target, const MSELossFuncOptions& options) {
  warn_of_broadcast(x, target);
  return reduced(squared_error(x, target), options.reduction());
}

Tensor smooth_l1_loss(const Tensor& x, const Tensor& target,
                      const SmoothL1LossFuncOptions& options) {
  if (!(options.beta() >= 0))
    throw ValueError(
        str("[smooth_l1_loss] does not support negative values for beta: ", options.beta()));
  if (options.beta() == 0) return l1_loss(x, target, options.reduction());
  return reduced(smooth_error(x, target, options.beta(), 1 / options.beta()), options.reduction());
}

Tensor huber_loss(const Tensor& x, const Tensor& target, const HuberLossFuncOptions& options) {
  if (!(options.delta() > 0))
    throw ValueError(
        str("[huber_loss] does not support non-positive values for delta: ", options.delta()));
  return reduced(smooth_error(x, target, options.delta(), 1), options.reduction());
}

Tensor nll_loss(const Tensor& x, const Tensor& target, const NLLLossFuncOptions& options) {
  return tarn::nll_loss(x, target, options.weight(), options.reduction(), options.ignore_index());
}

Tensor cross_entropy(const Tensor& x, const Tensor& target,
                     const CrossEntropyFuncOptions& options) {
  const double smoothing = options.label_smoothing();
  if (!(smoothing >= 0 && smoothing <= 1)) {
    throw ValueError(
        str("[cross_entropy] label_smoothing must be between 0.0 and 1.0. Got: ", smoothing));
  }
  if (x.dim() == 0)
    throw ShapeError("[cross_entropy] the input needs a dimension of classes, got a 0-dim tensor");
  if (x.sizes() == target.sizes()) return cross_entropy_of_probabilities(x, target, options);
  return cross_entropy_of_indices(x, target, options.weight(), options.reduction(),
                                  options.ignore_index(), smoothing);
}

Tensor binary_cross_entropy(const Tensor& x, const Tensor& target,
                            const BinaryCrossEntropyFuncOptions& options) {
  check_same_sizes("binary_cross_entropy", x, target);
  Tensor loss;
  {
    NoGradGuard no_grad;
    if (!(x.ge(0).logical_and(x.le(1))).all().item<bool>()) {
      throw ValueError(
          "[binary_cross_entropy] all elements of input should be between 0 and 1. HINT: apply "
          "sigmoid(), or use "
          "binary_cross_entropy_with_logits");
    }
    constexpr double kLeastLog = -100;
    loss = (target - 1) * (-x).log1p().clamp_min(kLeastLog) - target * x.log().clamp_min(kLeastLog);
  }
  // Not left to the formula above: at 0 and 1 the gradient of its logarithms is infinite.
  if (needs_grad({&x, &target})) {
    record(loss, "BinaryCrossEntropyBackward0", {&x, &target},
           {SavedTensor::input(x), SavedTensor::input(target)}, [](Backward& b) {
             const Tensor p = b.saved(0), t = b.saved(1);
             const Tensor rest = -p + 1;
             if (b.needs(0)) b[0] = b.grad() * (p - t) / (rest * p).clamp_min(1e-12);
             if (b.needs(1)) b[1] = b.grad() * ((-p).log1p() - p.log());
           });
  }
  return reduced(weighted(loss, options.weight()), options.reduction());
}

Tensor binary_cross_entropy_with_logits(const Tensor& x, const Tensor& target,
                                        const BinaryCrossEntropyWithLogitsFuncOptions& options) {
  check_same_sizes("binary_cross_entropy_with_logits", x, target);
  Tensor loss;
  if (options.pos_weight().defined()) {
    const Tensor log_weight = (options.pos_weight() - 1) * target + 1;
    loss = (1 - target) * x - log_weight * log_sigmoid(x);
  } else {
    loss = pointwise(op::BceWithLogits{}, x, target);
  }
  return reduced(weighted(loss, options.weight()), options.reduction());
}

Tensor kl_div(const Tensor& x, const Tensor& target, const KLDivFuncOptions& options) {
  warn_of_broadcast(x, target);
  Tensor loss;
  if (options.log_target()) {
    loss = target.exp() * (target - x);
  } else {
    // 0 log 0 = 0.
    loss = target * where(target > 0, target, 1).log() - target * x;
  }
  const Tensor result = reduced(loss, options.reduction());
  return options.batch_mean() && x.dim() > 0 ? result / x.size(0) : result;
}

}  // namespace tarn::nn::functional
