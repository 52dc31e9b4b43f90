// Layer normalization.
#include "tarn/core/factories.h"
#include "tarn/core/node.h"
#include "tarn/core/shape.h"

namespace tarn {
namespace {

using detail::view_or_null;

void check_parameter(const char* name, const Tensor& parameter, const Tensor& x,
                     IntArrayRef normalized_shape) {
  if (!parameter.defined()) return;
  if (!(parameter.sizes() == normalized_shape)) {
    throw ShapeError(str("[layer_norm] Expected ", name,
                         " to be of same shape as normalized_shape, but got ", name, " of shape ",
                         parameter.sizes(), " and normalized_shape = ", normalized_shape));
  }
  if (parameter.dtype() != x.dtype()) {
    throw TypeError(str("[layer_norm] expected ", name, " to have the input's dtype ", x.dtype(),
                        ", but got ", parameter.dtype(), ". HINT: convert one of them with to()"));
  }
  check_same_device("layer_norm", x.device(), parameter.device());
}

void check(const Tensor& x, IntArrayRef normalized_shape, const Tensor& weight,
           const Tensor& bias) {
  if (normalized_shape.empty()) {
    throw ShapeError(
        "[layer_norm] Expected normalized_shape to be at least 1-dimensional, but got "
        "normalized_shape = []. HINT: name the sizes of the input's last dimensions");
  }
  const size_t ndim = x.sizes().size(), dims = normalized_shape.size();
  if (ndim < dims || !(x.sizes().slice(ndim - dims) == normalized_shape)) {
    throw ShapeError(str("[layer_norm] Given normalized_shape=", normalized_shape,
                         ", expected input with shape [*, ", str(normalized_shape).substr(1),
                         ", but got input of size ", x.sizes()));
  }
  if (!x.is_floating_point()) {
    throw TypeError(
        str("[layer_norm] not implemented for '", x.dtype(), "'. HINT: convert with to(kFloat)"));
  }
  check_parameter("weight", weight, x, normalized_shape);
  check_parameter("bias", bias, x, normalized_shape);
}

Tensor contiguous(const Tensor& t) { return t.defined() ? t.contiguous() : t; }

struct LayerNorm {
  DimVector shape;  // of what is normalized together
  int64_t rows, n;
  double eps;

  Tensor forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                 const Tensor& statistics) const {
    const Tensor out = detail::make_empty(x.sizes(), x.dtype(), x.device());
    if (out.numel() == 0) return out;
    const KernelTable& table = kernels(x.device());
    if (!table.layer_norm) missing_kernel("layer_norm", table);
    const Tensor rows_of_x = x.contiguous(), w = contiguous(weight), b = contiguous(bias);
    table.layer_norm({out.impl().view(), statistics.impl().view(), rows_of_x.impl().view(),
                      view_or_null(w), view_or_null(b), eps});
    return out;
  }

  void backward(const Tensor& x, const Tensor& weight, const Tensor& statistics,
                Backward& b) const {
    const auto wanted = [&](size_t i, IntArrayRef sizes) {
      if (b.needs(i)) b[i] = detail::make_empty(sizes, x.dtype(), x.device());
    };
    wanted(0, x.sizes());
    wanted(1, shape);
    wanted(2, shape);
    const KernelTable& table = kernels(x.device());
    if (!table.layer_norm_backward) missing_kernel("layer_norm_backward", table);
    const Tensor g = b.grad().contiguous(), rows_of_x = x.contiguous(), w = contiguous(weight);
    table.layer_norm_backward({view_or_null(b[0]), view_or_null(b[1]), view_or_null(b[2]),
                               g.impl().view(), statistics.impl().view(), rows_of_x.impl().view(),
                               view_or_null(w)});
  }

  // The same in differentiable steps.
  void backward_in_steps(const Tensor& input, const Tensor& weight, Backward& b) const {
    const ScalarType compute = compute_type(input.dtype());
    const auto rows_of = [&](const Tensor& t) { return t.to(compute).reshape({rows, n}); };
    const Tensor x = rows_of(input), g = rows_of(b.grad()), centred = x - x.mean(1, true);
    const Tensor scale = (centred.square().mean(1, true) + eps).rsqrt(), normal = centred * scale;
    if (b.needs(0)) {
      const Tensor product = weight.defined() ? g * weight.to(compute).reshape({n}) : g;
      const Tensor slope = (product * normal).mean(1, true);
      b[0] = ((product - product.mean(1, true) - normal * slope) * scale).reshape(input.sizes());
    }
    if (b.needs(1)) b[1] = (g * normal).sum(0).reshape(shape);
    if (b.needs(2)) b[2] = g.sum(0).reshape(shape);
  }
};

}  // namespace

Tensor layer_norm(const Tensor& x, IntArrayRef normalized_shape, const Tensor& weight,
                  const Tensor& bias, double eps) {
  check(x, normalized_shape, weight, bias);
  const IntArrayRef leading = x.sizes().slice(0, x.sizes().size() - normalized_shape.size());
  const LayerNorm norm{DimVector(normalized_shape), numel_of(leading), numel_of(normalized_shape),
                       eps};
  const Tensor statistics = detail::make_empty({2, norm.rows}, compute_type(x.dtype()), x.device());
  const Tensor out = norm.forward(x, weight, bias, statistics);
  if (!needs_grad({&x, &weight, &bias})) return out;
  record(out, "NativeLayerNormBackward0", {&x, &weight, &bias},
         {SavedTensor::input(x), SavedTensor::input(weight), SavedTensor::input(statistics)},
         [norm](Backward& b) {
           const Tensor input = b.saved(0), w = b.saved(1);
           if (GradMode::is_enabled() || input.numel() == 0)
             norm.backward_in_steps(input, w, b);
           else
             norm.backward(input, w, b.saved(2), b);
         });
  return out;
}

}  // namespace tarn
