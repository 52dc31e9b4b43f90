// Optimizer updates: the formula of one element, shared by all devices.
//
// Numbers follow PyTorch's single-tensor implementations, operation by operation
// (https://pytorch.org/docs/stable/generated/torch.optim.SGD.html, .../torch.optim.Adam.html), with
// two differences: 16-bit parameters are updated in float and rounded once, and divisions by a
// scalar are multiplications by its inverse.
#pragma once

#include <cmath>
#include <cstdint>

#include "tarn/kernels/dtype.h"

namespace tarn {

// One parameter of a step. All arrays are contiguous and hold `numel` elements of `dtype`, a
// floating-point type.
struct OptimTensor {
  void* param;
  const void* grad;
  void*
      state[3];  // SGD: momentum buffer; Adam: exp_avg, exp_avg_sq, max_exp_avg_sq; null if unused
  int64_t numel;
  ScalarType dtype;
  bool first_step;  // SGD: the momentum buffer is to be set, not updated
  double step;      // Adam: the number of this step, from 1
};

// The settings of a step. `maximize` climbs instead of descends.
struct SgdStep {
  double lr;
  double momentum;  // 0: state[0] is not touched and may be null
  double dampening;
  double weight_decay;
  bool nesterov;
  bool maximize;
};
struct AdamStep {
  double lr;
  double beta1, beta2;
  double eps;
  double weight_decay;
  bool amsgrad;  // needs state[2]
  bool maximize;
  bool decoupled;  // weight decay outside of the moments: AdamW
};

// The SGD update of an element, for one tensor. T is float or double.
template <class T>
struct SgdUpdate {
  T minus_lr, momentum, gradient_share, weight_decay;
  T sign;  // -1 to maximize
  bool nesterov, first_step;

  SgdUpdate(const SgdStep& s, const OptimTensor& tensor)
      : minus_lr(static_cast<T>(-s.lr)),
        momentum(static_cast<T>(s.momentum)),
        gradient_share(static_cast<T>(1 - s.dampening)),
        weight_decay(static_cast<T>(s.weight_decay)),
        sign(s.maximize ? T(-1) : T(1)),
        nesterov(s.nesterov),
        first_step(tensor.first_step) {}

  TARN_HD T decayed(T param, T grad) const {
    return weight_decay != 0 ? sign * grad + weight_decay * param : sign * grad;
  }
  TARN_HD T without_momentum(T param, T grad) const {
    return param + minus_lr * decayed(param, grad);
  }
  // Returns the parameter and updates `buffer`.
  TARN_HD T with_momentum(T param, T grad, T& buffer) const {
    const T d = decayed(param, grad);
    buffer = first_step ? d : momentum * buffer + gradient_share * d;
    return param + minus_lr * (nesterov ? d + momentum * buffer : buffer);
  }
};

// The Adam or AdamW update of an element, for one tensor. T is float or double.
template <class T>
struct AdamUpdate {
  T shrink;  // AdamW's factor on the parameter
  T weight_decay, beta1, one_minus_beta1, beta2, one_minus_beta2, eps;
  T minus_step_size, inverse_sqrt_correction2;
  T sign;

  AdamUpdate(const AdamStep& s, const OptimTensor& tensor)
      : shrink(static_cast<T>(s.decoupled ? 1 - s.lr * s.weight_decay : 1)),
        weight_decay(static_cast<T>(s.decoupled ? 0 : s.weight_decay)),
        beta1(static_cast<T>(s.beta1)),
        one_minus_beta1(static_cast<T>(1 - s.beta1)),
        beta2(static_cast<T>(s.beta2)),
        one_minus_beta2(static_cast<T>(1 - s.beta2)),
        eps(static_cast<T>(s.eps)),
        minus_step_size(static_cast<T>(-s.lr / (1 - std::pow(s.beta1, tensor.step)))),
        inverse_sqrt_correction2(static_cast<T>(1 / std::sqrt(1 - std::pow(s.beta2, tensor.step)))),
        sign(s.maximize ? T(-1) : T(1)) {}

  // Returns the parameter and updates the moments; max_moment2 only with kAmsgrad.
  template <bool kAmsgrad>
  TARN_HD T apply(T param, T grad, T& moment1, T& moment2, T& max_moment2) const {
    param *= shrink;
    const T g = weight_decay != 0 ? sign * grad + weight_decay * param : sign * grad;
    // The form of torch.lerp that is exact at both ends of its half.
    moment1 = one_minus_beta1 < T(0.5) ? moment1 + one_minus_beta1 * (g - moment1)
                                       : g - (g - moment1) * beta1;
    moment2 = moment2 * beta2 + one_minus_beta2 * g * g;
    T v = moment2;
    if constexpr (kAmsgrad) {
      // Written so that a NaN in either stays.
      max_moment2 = v <= max_moment2 || max_moment2 != max_moment2 ? max_moment2 : v;
      v = max_moment2;
    }
    using std::sqrt;
    return param + minus_step_size * moment1 / (sqrt(v) * inverse_sqrt_correction2 + eps);
  }
};

}  // namespace tarn
