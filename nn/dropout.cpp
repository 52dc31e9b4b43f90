#include "tarn/nn/dropout.h"

#include "tarn/core/factories.h"
#include "tarn/nn/layer_text.h"

namespace tarn::nn {
namespace {

void check_probability(double p) {
  if (!(p >= 0 && p <= 1))
    throw ValueError(str("dropout probability has to be between 0 and 1, but got ", p));
}

}  // namespace

Tensor functional::dropout(const Tensor& x, double p, bool training, bool inplace) {
  check_probability(p);
  if (p == 0 || !training || x.numel() == 0) return x;
  Tensor mask;
  if (p == 1) {
    mask = zeros({}, x.options());
  } else {
    mask = empty_like(x).bernoulli_(1 - p).div_(1 - p);
  }
  return inplace ? x.mul_(mask) : x.mul(mask);
}

DropoutImpl::DropoutImpl(const DropoutOptions& options_) : options(options_) {
  check_probability(options.p());
}

void DropoutImpl::pretty_print(std::ostream& stream) const {
  detail::LayerText(stream, *this).field("p", options.p()).field("inplace", options.inplace());
}

}  // namespace tarn::nn
