#include "tarn/nn/linear.h"

#include <cmath>

#include "tarn/nn/init.h"
#include "tarn/nn/layer_text.h"

namespace tarn::nn {

using detail::LayerText;

LinearImpl::LinearImpl(const LinearOptions& options_)
    : LinearImpl(options_, empty({options_.out_features(), options_.in_features()})) {
  reset_parameters();
}

LinearImpl::LinearImpl(const LinearOptions& options_, const Tensor& weight_) : options(options_) {
  weight = register_parameter("weight", weight_);
  if (options.bias())
    bias = register_parameter("bias", zeros({options.out_features()}));
  else
    register_parameter("bias", Tensor(), /*requires_grad=*/false);
}

void LinearImpl::reset_parameters() {
  init::kaiming_uniform_(weight, std::sqrt(5.0));
  if (!bias.defined() || weight.size(1) == 0) return;
  const double bound = 1 / std::sqrt(static_cast<double>(weight.size(1)));
  init::uniform_(bias, -bound, bound);
}

void LinearImpl::pretty_print(std::ostream& stream) const {
  LayerText(stream, *this)
      .field("in_features", options.in_features())
      .field("out_features", options.out_features())
      .field("bias", options.bias());
}

LazyLinearImpl::LazyLinearImpl(const LinearOptions& options_) : LinearImpl(options_, empty({0})) {
  options.in_features(0);
}

void LazyLinearImpl::learn_size(const Tensor& x) {
  if (weight.dim() == 2) {  // by load_state_dict()
    options.in_features(weight.size(1));
    return;
  }
  if (x.dim() == 0)
    throw ShapeError("[LazyLinear] the input must have at least one dimension, got a 0-dim tensor");
  weight.set_data(empty({options.out_features(), x.size(-1)}, weight.options()));
  options.in_features(x.size(-1));
  reset_parameters();
}

bool LazyLinearImpl::accepts_sizes(const std::string& name, IntArrayRef sizes) const {
  return name == "weight" && weight.dim() == 1 && sizes.size() == 2 &&
         sizes[0] == options.out_features();
}

void LazyLinearImpl::pretty_print(std::ostream& stream) const {
  LayerText(stream, weight.dim() == 2 ? "Linear" : "LazyLinear")
      .field("in_features", weight.dim() == 2 ? weight.size(1) : 0)
      .field("out_features", options.out_features())
      .field("bias", options.bias());
}

void IdentityImpl::pretty_print(std::ostream& stream) const { LayerText(stream, *this); }

void FlattenImpl::pretty_print(std::ostream& stream) const {
  LayerText(stream, *this)
      .field("start_dim", options.start_dim())
      .field("end_dim", options.end_dim());
}

void UnflattenImpl::pretty_print(std::ostream& stream) const {
  std::string sizes = str(IntArrayRef(options.sizes()));
  sizes.front() = '{';
  sizes.back() = '}';
  LayerText(stream, *this).field("dim", options.dim()).field("unflattened_size", sizes);
}

}  // namespace tarn::nn
