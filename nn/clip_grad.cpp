#include "tarn/nn/clip_grad.h"

#include <algorithm>
#include <cmath>

#include "tarn/core/factories.h"
#include "tarn/core/grad_mode.h"

namespace tarn::nn::utils {
namespace {

std::vector<Tensor> gradients(const std::vector<Tensor>& parameters) {
  std::vector<Tensor> grads;
  for (const Tensor& p : parameters) {
    if (p.grad().defined()) grads.push_back(p.grad());
  }
  return grads;
}

// The norm of the vector of these norms, itself a norm of all elements.
double combine(const std::vector<double>& norms, double norm_type) {
  double total = 0;
  for (const double norm : norms) {
    if (std::isnan(norm)) return norm;
    total = std::isinf(norm_type) ? std::max(total, norm) : total + std::pow(norm, norm_type);
  }
  return std::isinf(norm_type) ? total : std::pow(total, 1 / norm_type);
}

}  // namespace

double clip_grad_norm_(const std::vector<Tensor>& parameters, double max_norm, double norm_type,
                       bool error_if_nonfinite) {
  if (!(norm_type > 0))
    throw ValueError(str("[clip_grad_norm_] norm_type must be positive, got ", norm_type));
  NoGradGuard no_grad;
  const std::vector<Tensor> grads = gradients(parameters);
  std::vector<double> norms;
  for (const Tensor& g : grads)
    norms.push_back(g.numel() > 0 ? g.norm(norm_type).item<double>() : 0);
  const double total = combine(norms, norm_type);
  if (error_if_nonfinite && !std::isfinite(total)) {
    throw ValueError(str("The total norm of order ", norm_type,
                         " for gradients from `parameters` is non-finite, so it cannot be "
                         "clipped. To disable this error and scale the gradients with the "
                         "non-finite norm anyway, set "
                         "`error_if_nonfinite=false`"));
  }
  // PyTorch's guard against a norm of 0. A norm of NaN makes all gradients NaN.
  const double scale = max_norm / (total + 1e-6);
  if (scale >= 1) return total;
  for (const Tensor& g : grads) g.mul_(scale);
  return total;
}

double clip_grad_norm_(const Tensor& parameter, double max_norm, double norm_type,
                       bool error_if_nonfinite) {
  return clip_grad_norm_(std::vector<Tensor>{parameter}, max_norm, norm_type, error_if_nonfinite);
}

void clip_grad_value_(const std::vector<Tensor>& parameters, double clip_value) {
  if (!(clip_value >= 0))
    throw ValueError(str("[clip_grad_value_] clip_value must not be negative, got ", clip_value));
  NoGradGuard no_grad;
  for (const Tensor& g : gradients(parameters)) g.clamp_(-clip_value, clip_value);
}

void clip_grad_value_(const Tensor& parameter, double clip_value) {
  clip_grad_value_(std::vector<Tensor>{parameter}, clip_value);
}

Tensor parameters_to_vector(const std::vector<Tensor>& parameters) {
  std::vector<Tensor> flat;
  for (const Tensor& p : parameters) flat.push_back(p.reshape({-1}));
  return flat.empty() ? empty({0}) : cat(flat);
}

void vector_to_parameters(const Tensor& vector, const std::vector<Tensor>& parameters) {
  NoGradGuard no_grad;
  int64_t total = 0;
  for (const Tensor& p : parameters) total += p.numel();
  if (vector.dim() != 1 || vector.numel() != total) {
    throw ShapeError(str("[vector_to_parameters] the parameters have ", total,
                         " elements, the vector is ", vector.sizes()));
  }
  int64_t start = 0;
  for (const Tensor& p : parameters) {
    p.copy_(vector.narrow(0, start, p.numel()).reshape(p.sizes()));
    start += p.numel();
  }
}

}  // namespace tarn::nn::utils
