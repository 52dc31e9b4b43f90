#include "tarn/nn/activation.h"

namespace tarn::nn::functional {
namespace {

template <class Op>
Tensor apply(const Op& op, const Tensor& x, bool inplace) {
  return inplace ? pointwise_(op, x) : pointwise(op, x);
}

Tensor clamp_to(const Tensor& x, double low, double high, bool inplace) {
  return inplace ? x.clamp_(low, high) : x.clamp(low, high);
}

}  // namespace

Tensor relu(const Tensor& x, const ReLUFuncOptions& options) {
  return apply(op::Relu{}, x, options.inplace());
}

Tensor relu6(const Tensor& x, const ReLU6FuncOptions& options) {
  return clamp_to(x, 0, 6, options.inplace());
}

// The constants make N(0, 1) a fixed point of mean and variance (Klambauer et al., 2017).
Tensor selu(const Tensor& x, const SELUFuncOptions& options) {
  return apply(op::Elu{{}, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946}, x,
               options.inplace());
}

Tensor elu(const Tensor& x, const ELUFuncOptions& options) {
  return apply(op::Elu{{}, options.alpha()}, x, options.inplace());
}

Tensor leaky_relu(const Tensor& x, const LeakyReLUFuncOptions& options) {
  return apply(op::LeakyRelu{{}, options.negative_slope()}, x, options.inplace());
}

Tensor hardtanh(const Tensor& x, const HardtanhFuncOptions& options) {
  if (!(options.min_val() < options.max_val())) {
    throw ValueError(str("[hardtanh] max_val must be greater than min_val, got ", options.max_val(),
                         " and ", options.min_val()));
  }
  return clamp_to(x, options.min_val(), options.max_val(), options.inplace());
}

Tensor softplus(const Tensor& x, const SoftplusFuncOptions& options) {
  return tarn::softplus(x, options.beta(), options.threshold());
}

Tensor gelu(const Tensor& x, const GELUFuncOptions& options) {
  return tarn::gelu(x, options.approximate());
}

Tensor softmax(const Tensor& x, const SoftmaxFuncOptions& options) {
  return x.softmax(options.dim(), options.dtype());
}

Tensor log_softmax(const Tensor& x, const LogSoftmaxFuncOptions& options) {
  return x.log_softmax(options.dim(), options.dtype());
}

}  // namespace tarn::nn::functional
