// Losses, as functions (tarn::nn::functional) and as layers: criterion(prediction, target).
// Source: https://pytorch.org/docs/stable/nn.html#loss-functions
//
// reduction: kMean (default) gives the mean over all elements as a 0-dim tensor, kSum their sum,
// kNone the loss of every element. Elementwise losses warn when the sizes of prediction and target
// differ.
#pragma once

#include "tarn/nn/enums.h"
#include "tarn/nn/layer_text.h"
#include "tarn/nn/module_holder.h"

namespace tarn::nn {

// What the options of all losses have; those of some have a weight.
template <class Self>
class LossOptions {
 public:
  LossOptions(Reduction reduction = kMean) : reduction_(reduction) {}  // NOLINT
  Reduction reduction() const { return reduction_; }
  Self& reduction(Reduction value) { return reduction_ = value, static_cast<Self&>(*this); }

 private:
  Reduction reduction_;
};
template <class Self>
class WeightedLossOptions : public LossOptions<Self> {
 public:
  const Tensor& weight() const { return weight_; }
  Self& weight(Tensor value) { return weight_ = std::move(value), static_cast<Self&>(*this); }

 private:
  Tensor weight_;
};

struct L1LossOptions : LossOptions<L1LossOptions> {
  using LossOptions::LossOptions;
};
struct MSELossOptions : LossOptions<MSELossOptions> {
  using LossOptions::LossOptions;
};

// beta: the distance at which the loss turns from quadratic to linear; 0 is L1.
class SmoothL1LossOptions : public LossOptions<SmoothL1LossOptions> {
 public:
  using LossOptions::LossOptions;
  double beta() const { return beta_; }
  SmoothL1LossOptions& beta(double value) { return beta_ = value, *this; }

 private:
  double beta_ = 1;
};

// delta: as beta, but positive.
class HuberLossOptions : public LossOptions<HuberLossOptions> {
 public:
  using LossOptions::LossOptions;
  double delta() const { return delta_; }
  HuberLossOptions& delta(double value) { return delta_ = value, *this; }

 private:
  double delta_ = 1;
};

// weight: a factor for each class, of shape (classes). ignore_index: a target that counts for
// nothing.
class NLLLossOptions : public WeightedLossOptions<NLLLossOptions> {
 public:
  int64_t ignore_index() const { return ignore_index_; }
  NLLLossOptions& ignore_index(int64_t value) { return ignore_index_ = value, *this; }

 private:
  int64_t ignore_index_ = -100;
};

// label_smoothing: the share of the target that is spread evenly over all classes.
class CrossEntropyLossOptions : public WeightedLossOptions<CrossEntropyLossOptions> {
 public:
  int64_t ignore_index() const { return ignore_index_; }
  CrossEntropyLossOptions& ignore_index(int64_t value) { return ignore_index_ = value, *this; }
  double label_smoothing() const { return label_smoothing_; }
  CrossEntropyLossOptions& label_smoothing(double value) { return label_smoothing_ = value, *this; }

 private:
  int64_t ignore_index_ = -100;
  double label_smoothing_ = 0;
};

// weight: a factor for each element, broadcast. pos_weight: a factor of the positive class.
struct BCELossOptions : WeightedLossOptions<BCELossOptions> {};
class BCEWithLogitsLossOptions : public WeightedLossOptions<BCEWithLogitsLossOptions> {
 public:
  const Tensor& pos_weight() const { return pos_weight_; }
  BCEWithLogitsLossOptions& pos_weight(Tensor value) {
    return pos_weight_ = std::move(value), *this;
  }

 private:
  Tensor pos_weight_;
};

// kMean divides by the number of elements; kBatchMean by the batch size, as the divergence is
// defined.
class KLDivLossOptions : public LossOptions<KLDivLossOptions> {
 public:
  using LossOptions::LossOptions;
  using LossOptions::reduction;
  KLDivLossOptions(BatchMean value) { reduction(value); }  // NOLINT
  KLDivLossOptions& reduction(BatchMean) { return batch_mean_ = true, reduction(kSum); }
  bool batch_mean() const { return batch_mean_; }
  bool log_target() const { return log_target_; }
  KLDivLossOptions& log_target(bool value) { return log_target_ = value, *this; }

 private:
  bool batch_mean_ = false, log_target_ = false;
};

namespace functional {

using L1LossFuncOptions = L1LossOptions;
using MSELossFuncOptions = MSELossOptions;
using SmoothL1LossFuncOptions = SmoothL1LossOptions;
using HuberLossFuncOptions = HuberLossOptions;
using NLLLossFuncOptions = NLLLossOptions;
using CrossEntropyFuncOptions = CrossEntropyLossOptions;
using BinaryCrossEntropyFuncOptions = BCELossOptions;
using BinaryCrossEntropyWithLogitsFuncOptions = BCEWithLogitsLossOptions;
using KLDivFuncOptions = KLDivLossOptions;

Tensor l1_loss(const Tensor& x, const Tensor& target, const L1LossFuncOptions& options = {});
Tensor mse_loss(const Tensor& x, const Tensor& target, const MSELossFuncOptions& options = {});
Tensor smooth_l1_loss(const Tensor& x, const Tensor& target,
                      const SmoothL1LossFuncOptions& options = {});
Tensor huber_loss(const Tensor& x, const Tensor& target, const HuberLossFuncOptions& options = {});
// x: log-probabilities (classes), (n, classes) or (n, classes, d1...); target: int64 class numbers
// of the same shape without the classes. Throws IndexError for a class that does not exist.
Tensor nll_loss(const Tensor& x, const Tensor& target, const NLLLossFuncOptions& options = {});
// x: unnormalised scores, shaped as for nll_loss. target: class numbers, or probabilities in the
// shape and kind of x.
Tensor cross_entropy(const Tensor& x, const Tensor& target,
                     const CrossEntropyFuncOptions& options = {});
// x: probabilities in [0, 1]; logarithms are cut off at -100.
Tensor binary_cross_entropy(const Tensor& x, const Tensor& target,
                            const BinaryCrossEntropyFuncOptions& options = {});
// x: scores whose sigmoid is the probability; exact where that would round to 0 or 1.
Tensor binary_cross_entropy_with_logits(
    const Tensor& x, const Tensor& target,
    const BinaryCrossEntropyWithLogitsFuncOptions& options = {});
// x: log-probabilities; target: probabilities, or their logarithms under log_target.
Tensor kl_div(const Tensor& x, const Tensor& target, const KLDivFuncOptions& options = {});

}  // namespace functional

namespace detail {

// A layer without parameters that compares a prediction with its target.
template <class Options, Tensor (*kFunction)(const Tensor&, const Tensor&, const Options&)>
class Loss : public Module {
 public:
  explicit Loss(const Options& options_ = {}) : options(options_) {}
  Tensor forward(const Tensor& x, const Tensor& target) { return kFunction(x, target, options); }
  void pretty_print(std::ostream& stream) const override { LayerText(stream, *this); }

  Options options;
};

}  // namespace detail

struct L1LossImpl : detail::Loss<L1LossOptions, functional::l1_loss> {
  using Loss::Loss;
};
TARN_MODULE(L1Loss);
struct MSELossImpl : detail::Loss<MSELossOptions, functional::mse_loss> {
  using Loss::Loss;
};
TARN_MODULE(MSELoss);
struct SmoothL1LossImpl : detail::Loss<SmoothL1LossOptions, functional::smooth_l1_loss> {
  using Loss::Loss;
};
TARN_MODULE(SmoothL1Loss);
struct HuberLossImpl : detail::Loss<HuberLossOptions, functional::huber_loss> {
  using Loss::Loss;
};
TARN_MODULE(HuberLoss);
struct NLLLossImpl : detail::Loss<NLLLossOptions, functional::nll_loss> {
  using Loss::Loss;
};
TARN_MODULE(NLLLoss);
struct CrossEntropyLossImpl : detail::Loss<CrossEntropyLossOptions, functional::cross_entropy> {
  using Loss::Loss;
};
TARN_MODULE(CrossEntropyLoss);
struct BCELossImpl : detail::Loss<BCELossOptions, functional::binary_cross_entropy> {
  using Loss::Loss;
};
TARN_MODULE(BCELoss);
struct BCEWithLogitsLossImpl
    : detail::Loss<BCEWithLogitsLossOptions, functional::binary_cross_entropy_with_logits> {
  using Loss::Loss;
};
TARN_MODULE(BCEWithLogitsLoss);
struct KLDivLossImpl : detail::Loss<KLDivLossOptions, functional::kl_div> {
  using Loss::Loss;
};
TARN_MODULE(KLDivLoss);

}  // namespace tarn::nn

// The same with ATen's arguments: mse_loss(x, y, kSum). An undefined weight
// is none.
namespace tarn {

inline Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction reduction = kMean) {
  return nn::functional::l1_loss(x, target, reduction);
}
inline Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction reduction = kMean) {
  return nn::functional::mse_loss(x, target, reduction);
}
inline Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, Reduction reduction = kMean,
                             double beta = 1) {
  return nn::functional::smooth_l1_loss(x, target, nn::SmoothL1LossOptions(reduction).beta(beta));
}
inline Tensor huber_loss(const Tensor& x, const Tensor& target, Reduction reduction = kMean,
                         double delta = 1) {
  return nn::functional::huber_loss(x, target, nn::HuberLossOptions(reduction).delta(delta));
}
inline Tensor cross_entropy_loss(const Tensor& x, const Tensor& target, const Tensor& weight = {},
                                 Reduction reduction = kMean, int64_t ignore_index = -100,
                                 double label_smoothing = 0) {
  return nn::functional::cross_entropy(x, target,
                                       nn::CrossEntropyLossOptions()
                                           .weight(weight)
                                           .reduction(reduction)
                                           .ignore_index(ignore_index)
                                           .label_smoothing(label_smoothing));
}
inline Tensor binary_cross_entropy(const Tensor& x, const Tensor& target, const Tensor& weight = {},
                                   Reduction reduction = kMean) {
  return nn::functional::binary_cross_entropy(
      x, target, nn::BCELossOptions().weight(weight).reduction(reduction));
}
inline Tensor binary_cross_entropy_with_logits(const Tensor& x, const Tensor& target,
                                               const Tensor& weight = {},
                                               const Tensor& pos_weight = {},
                                               Reduction reduction = kMean) {
  return nn::functional::binary_cross_entropy_with_logits(
      x, target,
      nn::BCEWithLogitsLossOptions().weight(weight).pos_weight(pos_weight).reduction(reduction));
}
inline Tensor kl_div(const Tensor& x, const Tensor& target, Reduction reduction = kMean,
                     bool log_target = false) {
  return nn::functional::kl_div(x, target, nn::KLDivLossOptions(reduction).log_target(log_target));
}

}  // namespace tarn
