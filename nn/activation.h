// Activations, as functions (tarn::nn::functional) and as layers. Formulas: kernels/unary_ops.h and
// https://pytorch.org/docs/stable/nn.html#non-linear-activations-weighted-sum-nonlinearity
#pragma once

#include <optional>
#include <string>

#include "tarn/nn/layer_text.h"
#include "tarn/nn/module_holder.h"

namespace tarn::nn {

namespace detail {

// inplace: overwrite the input, which must then not be needed by another gradient.
template <class Self>
class InplaceOption {
 public:
  bool inplace() const { return inplace_; }
  Self& inplace(bool value) { return inplace_ = value, static_cast<Self&>(*this); }

 private:
  bool inplace_ = false;
};

}  // namespace detail

// print() gives what a layer shows of its options.
class ReLUOptions : public detail::InplaceOption<ReLUOptions> {
 public:
  ReLUOptions(bool inplace_ = false) { inplace(inplace_); }  // NOLINT
  void print(detail::LayerText& text) const { text.flag("inplace", inplace()); }
};
using ReLU6Options = ReLUOptions;
using SELUOptions = ReLUOptions;

class ELUOptions : public detail::InplaceOption<ELUOptions> {
 public:
  ELUOptions(double alpha = 1) : alpha_(alpha) {}  // NOLINT
  double alpha() const { return alpha_; }
  ELUOptions& alpha(double value) { return alpha_ = value, *this; }
  void print(detail::LayerText& text) const {
    text.field("alpha", alpha_).flag("inplace", inplace());
  }

 private:
  double alpha_;
};

class LeakyReLUOptions : public detail::InplaceOption<LeakyReLUOptions> {
 public:
  LeakyReLUOptions(double negative_slope = 0.01) : negative_slope_(negative_slope) {}  // NOLINT
  double negative_slope() const { return negative_slope_; }
  LeakyReLUOptions& negative_slope(double value) { return negative_slope_ = value, *this; }
  void print(detail::LayerText& text) const {
    text.field("negative_slope", negative_slope_).flag("inplace", inplace());
  }

 private:
  double negative_slope_;
};

class HardtanhOptions : public detail::InplaceOption<HardtanhOptions> {
 public:
  double min_val() const { return min_val_; }
  HardtanhOptions& min_val(double value) { return min_val_ = value, *this; }
  double max_val() const { return max_val_; }
  HardtanhOptions& max_val(double value) { return max_val_ = value, *this; }
  void print(detail::LayerText& text) const {
    text.field("min_val", min_val_).field("max_val", max_val_).flag("inplace", inplace());
  }

 private:
  double min_val_ = -1, max_val_ = 1;
};

class SoftplusOptions {
 public:
  double beta() const { return beta_; }
  SoftplusOptions& beta(double value) { return beta_ = value, *this; }
  double threshold() const { return threshold_; }
  SoftplusOptions& threshold(double value) { return threshold_ = value, *this; }
  void print(detail::LayerText& text) const {
    text.field("beta", beta_).field("threshold", threshold_);
  }

 private:
  double beta_ = 1, threshold_ = 20;
};

class GELUOptions {
 public:
  GELUOptions(std::string approximate = "none") : approximate_(std::move(approximate)) {}  // NOLINT
  GELUOptions(const char* approximate) : approximate_(approximate) {}                      // NOLINT
  // "none" (erf) or "tanh".
  const std::string& approximate() const { return approximate_; }
  GELUOptions& approximate(std::string value) { return approximate_ = std::move(value), *this; }
  void print(detail::LayerText&) const {}

 private:
  std::string approximate_;
};

// dtype: what to convert the input to first.
class SoftmaxOptions {
 public:
  SoftmaxOptions(int64_t dim) : dim_(dim) {}  // NOLINT
  int64_t dim() const { return dim_; }
  SoftmaxOptions& dim(int64_t value) { return dim_ = value, *this; }
  std::optional<ScalarType> dtype() const { return dtype_; }
  SoftmaxOptions& dtype(std::optional<ScalarType> value) { return dtype_ = value, *this; }
  void print(detail::LayerText& text) const { text.field("dim", dim_); }

 private:
  int64_t dim_;
  std::optional<ScalarType> dtype_;
};
using LogSoftmaxOptions = SoftmaxOptions;

namespace functional {

using ReLUFuncOptions = ReLUOptions;
using ReLU6FuncOptions = ReLU6Options;
using SELUFuncOptions = SELUOptions;
using ELUFuncOptions = ELUOptions;
using LeakyReLUFuncOptions = LeakyReLUOptions;
using HardtanhFuncOptions = HardtanhOptions;
using SoftplusFuncOptions = SoftplusOptions;
using GELUFuncOptions = GELUOptions;
using SoftmaxFuncOptions = SoftmaxOptions;
using LogSoftmaxFuncOptions = LogSoftmaxOptions;

Tensor relu(const Tensor& x, const ReLUFuncOptions& options = {});
Tensor relu6(const Tensor& x, const ReLU6FuncOptions& options = {});
Tensor selu(const Tensor& x, const SELUFuncOptions& options = {});
Tensor elu(const Tensor& x, const ELUFuncOptions& options = {});
Tensor leaky_relu(const Tensor& x, const LeakyReLUFuncOptions& options = {});
// Throws ValueError unless min_val < max_val.
Tensor hardtanh(const Tensor& x, const HardtanhFuncOptions& options = {});
Tensor softplus(const Tensor& x, const SoftplusFuncOptions& options = {});
Tensor gelu(const Tensor& x, const GELUFuncOptions& options = {});
Tensor softmax(const Tensor& x, const SoftmaxFuncOptions& options);
Tensor log_softmax(const Tensor& x, const LogSoftmaxFuncOptions& options);
inline Tensor logsigmoid(const Tensor& x) { return tarn::log_sigmoid(x); }
inline Tensor silu(const Tensor& x) { return tarn::silu(x); }
inline Tensor mish(const Tensor& x) { return tarn::mish(x); }
inline Tensor sigmoid(const Tensor& x) { return x.sigmoid(); }
inline Tensor tanh(const Tensor& x) { return x.tanh(); }

}  // namespace functional

namespace detail {

// A layer that applies one op without options.
template <class Op>
class Activation : public Module {
 public:
  Tensor forward(const Tensor& x) { return pointwise(Op{}, x); }
  void pretty_print(std::ostream& stream) const override { LayerText(stream, *this); }
};

// A layer that applies a function with its options.
template <class Options, Tensor (*kFunction)(const Tensor&, const Options&)>
class ActivationWithOptions : public Module {
 public:
  explicit ActivationWithOptions(const Options& options_ = {}) : options(options_) {}
  Tensor forward(const Tensor& x) { return kFunction(x, options); }
  void pretty_print(std::ostream& stream) const override {
    LayerText text(stream, *this);
    options.print(text);
  }

  Options options;
};

}  // namespace detail

struct SigmoidImpl : detail::Activation<op::Sigmoid> {};
TARN_MODULE(Sigmoid);
struct TanhImpl : detail::Activation<op::Tanh> {};
TARN_MODULE(Tanh);
struct SiLUImpl : detail::Activation<op::Silu> {};
TARN_MODULE(SiLU);
struct MishImpl : detail::Activation<op::Mish> {};
TARN_MODULE(Mish);
struct LogSigmoidImpl : detail::Activation<op::LogSigmoid> {};
TARN_MODULE(LogSigmoid);
struct ReLUImpl : detail::ActivationWithOptions<ReLUOptions, functional::relu> {
  using ActivationWithOptions::ActivationWithOptions;
};
TARN_MODULE(ReLU);
struct ReLU6Impl : detail::ActivationWithOptions<ReLU6Options, functional::relu6> {
  using ActivationWithOptions::ActivationWithOptions;
};
TARN_MODULE(ReLU6);
struct SELUImpl : detail::ActivationWithOptions<SELUOptions, functional::selu> {
  using ActivationWithOptions::ActivationWithOptions;
};
TARN_MODULE(SELU);
struct ELUImpl : detail::ActivationWithOptions<ELUOptions, functional::elu> {
  using ActivationWithOptions::ActivationWithOptions;
};
TARN_MODULE(ELU);
struct LeakyReLUImpl : detail::ActivationWithOptions<LeakyReLUOptions, functional::leaky_relu> {
  using ActivationWithOptions::ActivationWithOptions;
};
TARN_MODULE(LeakyReLU);
struct HardtanhImpl : detail::ActivationWithOptions<HardtanhOptions, functional::hardtanh> {
  using ActivationWithOptions::ActivationWithOptions;
};
TARN_MODULE(Hardtanh);
struct SoftplusImpl : detail::ActivationWithOptions<SoftplusOptions, functional::softplus> {
  using ActivationWithOptions::ActivationWithOptions;
};
TARN_MODULE(Softplus);
struct GELUImpl : detail::ActivationWithOptions<GELUOptions, functional::gelu> {
  using ActivationWithOptions::ActivationWithOptions;
};
TARN_MODULE(GELU);
struct SoftmaxImpl : detail::ActivationWithOptions<SoftmaxOptions, functional::softmax> {
  using ActivationWithOptions::ActivationWithOptions;
};
TARN_MODULE(Softmax);
struct LogSoftmaxImpl : detail::ActivationWithOptions<LogSoftmaxOptions, functional::log_softmax> {
  using ActivationWithOptions::ActivationWithOptions;
};
TARN_MODULE(LogSoftmax);

}  // namespace tarn::nn

// Those that core/ops.h has not, with ATen's arguments.
namespace tarn {

inline Tensor selu(const Tensor& x) { return nn::functional::selu(x); }
inline Tensor relu6(const Tensor& x) { return nn::functional::relu6(x); }
inline Tensor hardtanh(const Tensor& x, double min_val = -1, double max_val = 1) {
  return nn::functional::hardtanh(x, nn::HardtanhOptions().min_val(min_val).max_val(max_val));
}
inline Tensor celu(const Tensor& x, double alpha = 1) { return elu(x, alpha, 1, 1 / alpha); }

}  // namespace tarn
