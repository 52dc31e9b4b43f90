// The formulas of cross-entropy with logits, for one row of them, on every device
// (https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html).
//
// A row's logits are shifted by its largest. Of their exponentials, log_sum is the logarithm of the
// sum.
#pragma once

#include <cstdint>

#include "tarn/kernels/host_device.h"

namespace tarn {

// Label smoothing: what the target's class keeps, and what every class gets of the rest.
struct Smoothing {
  double kept = 1, share = 0;

  Smoothing() = default;
  Smoothing(double smoothing, int64_t classes)
      : kept(1 - smoothing), share(smoothing / static_cast<double>(classes)) {}
};

// What a row is expected to be: `target` at its target besides `share` everywhere, which is yet to
// be multiplied by the weight of each class.
struct ExpectedRow {
  double target, share;

  TARN_HD ExpectedRow(const Smoothing& smoothing, double target_weight)
      : target(smoothing.kept * target_weight), share(smoothing.share) {}
  // The sum of it; `weights` is that of all classes' weights.
  TARN_HD double total(double weights) const { return target + share * weights; }
  // `weighted` is the sum of weight * shifted logit. It and `weights` are 0 without smoothing.
  TARN_HD double loss(double log_sum, double shifted_target, double weights,
                      double weighted) const {
    return total(weights) * log_sum - target * shifted_target - share * weighted;
  }
};

// The gradient with respect to the logits of a row.
template <class V>
struct RowGradient {
  V scale, share, target;

  // g is the gradient of the row's loss, total_over_sum the total of what is expected over the sum
  // of the exponentials.
  TARN_HD RowGradient(const ExpectedRow& row, double g, double total_over_sum)
      : scale(static_cast<V>(g * total_over_sum)),
        share(static_cast<V>(g * row.share)),
        target(static_cast<V>(g * row.target)) {}
  // Of one logit; `weight` is that of its class, or 0 without smoothing.
  TARN_HD V operator()(V exponential, V weight, bool is_target) const {
    const V gradient = exponential * scale - weight * share;
    return is_target ? gradient - target : gradient;
  }
};

}  // namespace tarn
