// Layer normalization. Source:
// https://pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html
#pragma once

#include "tarn/nn/module_holder.h"

namespace tarn::nn {

class LayerNormOptions {
 public:
  LayerNormOptions(std::vector<int64_t> normalized_shape)  // NOLINT
      : normalized_shape_(std::move(normalized_shape)) {}
  const std::vector<int64_t>& normalized_shape() const { return normalized_shape_; }
  LayerNormOptions& normalized_shape(std::vector<int64_t> value) {
    return normalized_shape_ = std::move(value), *this;
  }
  double eps() const { return eps_; }
  LayerNormOptions& eps(double value) { return eps_ = value, *this; }
  bool elementwise_affine() const { return elementwise_affine_; }
  LayerNormOptions& elementwise_affine(bool value) { return elementwise_affine_ = value, *this; }

 private:
  std::vector<int64_t> normalized_shape_;
  double eps_ = 1e-5;
  bool elementwise_affine_ = true;
};

namespace functional {

class LayerNormFuncOptions {
 public:
  LayerNormFuncOptions(std::vector<int64_t> normalized_shape)  // NOLINT
      : normalized_shape_(std::move(normalized_shape)) {}
  const std::vector<int64_t>& normalized_shape() const { return normalized_shape_; }
  LayerNormFuncOptions& normalized_shape(std::vector<int64_t> value) {
    return normalized_shape_ = std::move(value), *this;
  }
  const Tensor& weight() const { return weight_; }
  LayerNormFuncOptions& weight(const Tensor& value) { return weight_ = value, *this; }
  const Tensor& bias() const { return bias_; }
  LayerNormFuncOptions& bias(const Tensor& value) { return bias_ = value, *this; }
  double eps() const { return eps_; }
  LayerNormFuncOptions& eps(double value) { return eps_ = value, *this; }

 private:
  std::vector<int64_t> normalized_shape_;
  Tensor weight_, bias_;
  double eps_ = 1e-5;
};

inline Tensor layer_norm(const Tensor& x, const LayerNormFuncOptions& options) {
  return tarn::layer_norm(x, options.normalized_shape(), options.weight(), options.bias(),
                          options.eps());
}

}  // namespace functional

// tarn::layer_norm over the last dimensions of its input.
class LayerNormImpl : public Module {
 public:
  explicit LayerNormImpl(std::vector<int64_t> normalized_shape)
      : LayerNormImpl(LayerNormOptions(std::move(normalized_shape))) {}
  explicit LayerNormImpl(LayerNormOptions options_);

  // Weights of 1, a bias of 0.
  void reset_parameters();
  Tensor forward(const Tensor& x) {
    return tarn::layer_norm(x, options.normalized_shape(), weight, bias, options.eps());
  }
  void pretty_print(std::ostream& stream) const override;

  LayerNormOptions options;
  Tensor weight, bias;  // (normalized_shape), undefined without elementwise_affine
};
TARN_MODULE(LayerNorm);

}  // namespace tarn::nn
