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

}  // namespace

Norm clip_grad_norm_(const std::vector<Tensor>& parameters, double max_norm, double norm_type,
                     bool error_if_nonfinite) {
  if (!(norm_type > 0))
    throw ValueError(str("[clip_grad_norm_] norm_type must be positive, got ", norm_type));
  NoGradGuard no_grad;
  std::vector<Tensor> grads = gradients(parameters);
  std::erase_if(grads, [](const Tensor& g) { return g.numel() == 0; });
  if (grads.empty()) return Norm(zeros({}));
  const auto is_double = [](const Tensor& g) { return g.dtype() == kDouble; };
  const ScalarType dtype = std::any_of(grads.begin(), grads.end(), is_double) ? kDouble : kFloat;
  // The norm of the norms is the norm of all elements.
  std::vector<Tensor> norms;
  for (const Tensor& g : grads)
    norms.push_back(g.norm(norm_type).to(grads.front().device(), dtype));
  const Tensor total = stack(norms).norm(norm_type);
  if (error_if_nonfinite && !std::isfinite(total.item<double>())) {
    throw ValueError(str("The total norm of order ", norm_type,
                         " for gradients from `parameters` is non-finite, so it cannot be "
                         "clipped. To disable this error and scale the gradients with the "
                         "non-finite norm anyway, set "
                         "`error_if_nonfinite=false`"));
  }
  // PyTorch's guard against a norm of 0. A norm of NaN makes all gradients NaN.
  const Tensor scale = (max_norm / (total + 1e-6)).clamp_max(1);
  if (scale.is_cuda() || scale.item<double>() != 1) {
    for (const Tensor& g : grads) g.mul_(scale.to(g.device()));
  }
  return Norm(total);
}

Norm clip_grad_norm_(const Tensor& parameter, double max_norm, double norm_type,
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
