#include "tarn/nn/normalization.h"

#include "tarn/nn/init.h"
#include "tarn/nn/layer_text.h"

namespace tarn::nn {

LayerNormImpl::LayerNormImpl(LayerNormOptions options_) : options(std::move(options_)) {
  const bool affine = options.elementwise_affine();
  const auto make = [&] { return affine ? tarn::empty(options.normalized_shape()) : Tensor(); };
  weight = register_parameter("weight", make(), affine);
  bias = register_parameter("bias", make(), affine);
  reset_parameters();
}

void LayerNormImpl::reset_parameters() {
  if (!options.elementwise_affine()) return;
  init::ones_(weight);
  init::zeros_(bias);
}

void LayerNormImpl::pretty_print(std::ostream& stream) const {
  detail::LayerText(stream, *this)
      .value(IntArrayRef(options.normalized_shape()))
      .field("eps", options.eps())
      .field("elementwise_affine", options.elementwise_affine());
}

}  // namespace tarn::nn
