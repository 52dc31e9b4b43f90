// What the losses of class numbers share: targets, the reduction, and its gradient.
#pragma once

#include <cstdint>

#include "tarn/kernels/convert.h"
#include "tarn/kernels/kernel_table.h"

namespace tarn::cpu {

inline constexpr int64_t kLossGrain = 1 << 14;  // elements worth a thread

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

// Reduces the losses of n samples, loss_of(i) each. In double and one after another: the same for
// any number of threads.
template <class T, class LossOf>
void reduce(const Targets& targets, int64_t n, Reduction reduction, const View& loss,
            const View& total_weight, LossOf loss_of) {
  double sum = 0, weights = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t t = targets[i];
    double one = 0;
    if (!targets.ignores(t)) {
      one = loss_of(i);
      weights += targets.template weight<T>(t);
    }
    sum += one;
    if (reduction == Reduction::None) loss.as<T>()[i * loss.strides[0]] = convert<T, double>(one);
  }
  *total_weight.as<T>() = convert<T, double>(weights);
  if (reduction == Reduction::Sum) *loss.as<T>() = convert<T, double>(sum);
  if (reduction == Reduction::Mean) *loss.as<T>() = convert<T, double>(sum / weights);
}

// The gradient of each sample's loss.
template <class T>
class LossGradient {
 public:
  LossGradient(const View& grad_out, const View& total_weight, Reduction reduction)
      : data_(grad_out.as<const T>()),
        step_(reduction == Reduction::None && grad_out.ndim > 0 ? grad_out.strides[0] : 0),
        divisor_(reduction == Reduction::Mean ? static_cast<double>(*total_weight.as<const T>())
                                              : 1.0) {}
  double operator[](int64_t i) const { return static_cast<double>(data_[i * step_]) / divisor_; }

 private:
  const T* data_;
  int64_t step_;
  double divisor_;
};

}  // namespace tarn::cpu
