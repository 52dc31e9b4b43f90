// tarn::nn::functional: layers as functions, with libtorch's option classes:
//
//   namespace F = tarn::nn::functional;
//   F::cross_entropy(scores, target, F::CrossEntropyFuncOptions().label_smoothing(0.1));
#pragma once

#include "tarn/nn/activation.h"
#include "tarn/nn/dropout.h"
#include "tarn/nn/linear.h"
#include "tarn/nn/loss.h"
#include "tarn/nn/normalization.h"

namespace tarn::nn {

namespace functional {

using tarn::linear;
using tarn::one_hot;
inline Tensor flatten(const Tensor& x, int64_t start_dim = 1, int64_t end_dim = -1) {
  return x.flatten(start_dim, end_dim);
}

}  // namespace functional

// A function as a layer: nn::Functional(tarn::relu), nn::Functional([](const Tensor& x) { return x
// * 2; }). Further arguments are bound behind the input: nn::Functional(tarn::softmax, 1,
// std::nullopt).
class FunctionalImpl : public Module {
 public:
  using Function = std::function<Tensor(const Tensor&)>;
  explicit FunctionalImpl(Function function) : function_(std::move(function)) {}
  template <class F, class First, class... Rest>
  explicit FunctionalImpl(F function, First first, Rest... rest)
      : function_([=](const Tensor& x) { return function(x, first, rest...); }) {}

  Tensor forward(const Tensor& x) { return function_(x); }
  void pretty_print(std::ostream& stream) const override { detail::LayerText(stream, *this); }

 private:
  Function function_;
};
TARN_MODULE(Functional);

}  // namespace tarn::nn
