// What is done to all gradients, or all parameters, of a model at once.
// Source: https://pytorch.org/docs/stable/nn.html#utilities
#pragma once

#include <utility>

#include "tarn/core/tensor.h"

namespace tarn::nn::utils {

// A norm on the device it was computed on: a number to whoever takes it for one, who then waits.
class Norm {
 public:
  explicit Norm(Tensor value) : value_(std::move(value)) {}
  operator double() const { return value_.item<double>(); }  // NOLINT
  // 0-dim.
  const Tensor& tensor() const { return value_; }

 private:
  Tensor value_;
};

// Scales the gradients of the parameters together so that their norm, taken as one vector, is at
// most max_norm; returns the norm before. norm_type may be infinity. A norm that is infinite or NaN
// throws under error_if_nonfinite, with nothing changed; only this has to wait for a device.
Norm clip_grad_norm_(const std::vector<Tensor>& parameters, double max_norm, double norm_type = 2,
                     bool error_if_nonfinite = false);
Norm clip_grad_norm_(const Tensor& parameter, double max_norm, double norm_type = 2,
                     bool error_if_nonfinite = false);
// Brings every element of the gradients into [-clip_value, clip_value].
void clip_grad_value_(const std::vector<Tensor>& parameters, double clip_value);
void clip_grad_value_(const Tensor& parameter, double clip_value);

// All elements of all parameters, one after the other, as one recorded vector.
Tensor parameters_to_vector(const std::vector<Tensor>& parameters);
// The reverse: copies a vector's elements into the parameters. Throws ShapeError unless they are as
// many.
void vector_to_parameters(const Tensor& vector, const std::vector<Tensor>& parameters);

}  // namespace tarn::nn::utils
