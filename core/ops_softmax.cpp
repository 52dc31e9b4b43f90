// Softmax, log-softmax and the negative log likelihood.
#include "tarn/core/factories.h"
#include "tarn/core/node.h"
#include "tarn/core/shape.h"

namespace tarn {
namespace {

using detail::view_or_null;

Tensor softmax_of(const Tensor& input, int64_t dim, std::optional<ScalarType> dtype, bool log) {
  const char* const op = log ? "log_softmax" : "softmax";
  const Tensor x = dtype ? input.to(*dtype) : input;
  if (!x.is_floating_point())
    throw TypeError(
        str("[", op, "] not implemented for '", x.dtype(), "'. HINT: convert with to(kFloat)"));
  const int64_t d = wrap_dim(op, dim, x.dim());
  if (x.dim() == 0) return softmax_of(x.reshape({1}), 0, std::nullopt, log).reshape({});
  Tensor out = detail::make_empty(x.sizes(), x.dtype(), x.device());
  const KernelTable& table = kernels(x.device());
  if (!table.softmax) missing_kernel(op, table);
  table.softmax({out.impl().view(), x.impl().view(), static_cast<int>(d), log});
  if (!needs_grad({&x})) return out;
  auto node =
      make_node(log ? "LogSoftmaxBackward0" : "SoftmaxBackward0", {&x}, {},
                [d, log](const Tensor& g, Backward& b) {
                  const Tensor y = b.saved(0);
                  if (GradMode::is_enabled()) {
                    return log ? g - y.exp() * g.sum(d, true) : y * (g - (g * y).sum(d, true));
                  }
                  const Tensor grad = detail::make_empty(y.sizes(), y.dtype(), y.device());
                  const KernelTable& kernels_of = kernels(y.device());
                  if (!kernels_of.softmax_backward) missing_kernel("softmax_backward", kernels_of);
                  kernels_of.softmax_backward({grad.impl().view(), g.impl().view(), y.impl().view(),
                                               static_cast<int>(d), log});
                  return grad;
                });
  Node& recorded = *node;
  set_history(out, std::move(node));
  recorded.save(SavedTensor::output(out));
  return out;
}

// What each target contributes: its class weight (0 where ignored), over the total for a mean.
Tensor nll_coefficients(const Tensor& target, const Tensor& weight, const Tensor& total,
                        int64_t ignore_index, Reduction reduction, const Tensor& like) {
  const Tensor valid = target.ne(ignore_index);
  const Tensor safe = where(valid, target, 0);
  const Tensor w =
      weight.defined() ? weight.index_select(0, safe) : ones(target.sizes(), like.options());
  const Tensor used = where(valid, w, 0);
  return reduction == Reduction::Mean ? used / total : used;
}

// x is (samples, classes) or (n, classes, samples / n).
void check_nll(const Tensor& x, const Tensor& target, const Tensor& weight) {
  if (!x.is_floating_point())
    throw TypeError(str("[nll_loss] not implemented for '", x.dtype(), "'"));
  if (target.dtype() != kLong) {
    throw TypeError(str("[nll_loss] expected scalar type Long but found ", target.dtype(),
                        " for the target. HINT: target.to(kLong)"));
  }
  if (target.dim() != 1)
    throw ShapeError(
        str("[nll_loss] 0D or 1D target tensor expected, multi-target not supported, got ",
            target.sizes()));
  if (const int64_t samples = x.dim() == 2 ? x.size(0) : target.size(0);
      samples != target.size(0)) {
    throw ShapeError(str("[nll_loss] Expected input batch_size (", samples,
                         ") to match target batch_size (", target.size(0), ")."));
  }
  if (weight.defined() && !(weight.dim() == 1 && weight.size(0) == x.size(1))) {
    throw ShapeError(
        str("[nll_loss] weight tensor should be defined either for all ", x.size(1),
            " classes or no classes but got weight tensor of shape: ", weight.sizes()));
  }
  check_same_device("nll_loss", x.device(), target.device());
  if (weight.defined()) check_same_device("nll_loss", x.device(), weight.device());
}

// A number for each target, or one for all.
Tensor make_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  return detail::make_empty(reduction == Reduction::None ? target.sizes() : IntArrayRef(),
                            x.dtype(), x.device());
}
// Class weights as the kernels want them.
Tensor kernel_weight(const Tensor& weight, const Tensor& x) {
  return weight.defined() ? weight.to(x.dtype()).detach().contiguous() : weight;
}

// log_probs (samples, classes)
Tensor nll_rows(const Tensor& x, const Tensor& target, const Tensor& class_weight,
                Reduction reduction, int64_t ignore_index) {
  check_nll(x, target, class_weight);
  const Tensor weight = kernel_weight(class_weight, x);
  const Tensor loss = make_loss(x, target, reduction);
  const Tensor total = detail::make_empty({}, x.dtype(), x.device());
  const KernelTable& table = kernels(x.device());
  if (!table.nll_loss) missing_kernel("nll_loss", table);
  table.nll_loss({loss.impl().view(), total.impl().view(), x.impl().view(), target.impl().view(),
                  view_or_null(weight), ignore_index, reduction});
  if (!needs_grad({&x})) return loss;
  record(
      loss, "NllLossBackward0", {&x},
      {SavedTensor::input(target), SavedTensor::input(weight), SavedTensor::input(total)},
      [=, sizes = DimVector(x.sizes())](const Tensor& g, Backward& b) {
        const Tensor t = b.saved(0), w = b.saved(1), sum = b.saved(2);
        if (GradMode::is_enabled()) {
          const Tensor rows =
              (-g * nll_coefficients(t, w, sum, ignore_index, reduction, g)).unsqueeze(1);
          return zeros(sizes, g.options())
              .scatter(1, where(t.ne(ignore_index), t, 0).unsqueeze(1), rows);
        }
        const Tensor grad = detail::make_empty(sizes, g.dtype(), g.device());
        const KernelTable& kernels_of = kernels(g.device());
        if (!kernels_of.nll_loss_backward) missing_kernel("nll_loss_backward", kernels_of);
        kernels_of.nll_loss_backward({grad.impl().view(), g.impl().view(), sum.impl().view(),
                                      t.impl().view(), view_or_null(w), ignore_index, reduction});
        return grad;
      });
  return loss;
}

// A tensor (n, classes) or (n, classes, d) in three dimensions.
class ThreeDims {
 public:
  explicit ThreeDims(const Tensor& x)
      : sizes_{x.size(0), x.size(1), x.dim() == 2 ? 1 : x.size(2)},
        strides_{x.stride(0), x.stride(1), x.dim() == 2 ? 1 : x.stride(2)},
        view_{x.impl().data(), sizes_, strides_, 3, x.dtype()} {}
  ThreeDims(const ThreeDims&) = delete;
  operator const View&() const { return view_; }

 private:
  int64_t sizes_[3], strides_[3];
  View view_;
};

struct CrossEntropyOptions {
  int64_t ignore_index;
  double smoothing;
  Reduction reduction;
};

// The gradient with respect to the logits x, in differentiable steps: that of -expected * log(p).
Tensor cross_entropy_gradient(const Tensor& g, const Tensor& x, const Tensor& target,
                              const Tensor& weight, const Tensor& total,
                              const CrossEntropyOptions& options) {
  DimVector one_class(x.sizes()), classes(one_class);
  one_class[1] = 1;
  for (size_t d = 0; d < classes.size(); ++d) classes[d] = d == 1 ? x.size(1) : 1;
  const Tensor t = target.reshape(one_class), counts = t.ne(options.ignore_index);
  Tensor expected =
      zeros(x.sizes(), x.options()).scatter(1, where(counts, t, 0), ones(one_class, x.options()));
  if (options.smoothing > 0) {
    expected =
        expected * (1 - options.smoothing) + options.smoothing / static_cast<double>(x.size(1));
  }
  if (weight.defined()) expected = expected * weight.reshape(classes);
  expected = where(counts, expected, 0);
  const Tensor scale = options.reduction == Reduction::None   ? g.reshape(one_class)
                       : options.reduction == Reduction::Mean ? g / total
                                                              : g;
  return (x.softmax(1) * expected.sum(1, true) - expected) * scale;
}

// x (samples, classes) or (n, classes, samples / n)
Tensor cross_entropy_rows(const Tensor& x, const Tensor& targets, const Tensor& class_weight,
                          const CrossEntropyOptions& options) {
  check_nll(x, targets, class_weight);
  const Tensor weight = kernel_weight(class_weight, x), target = targets.contiguous();
  const Tensor loss = make_loss(x, target, options.reduction);
  const Tensor total = detail::make_empty({}, x.dtype(), x.device());
  const Tensor statistics =
      detail::make_empty({2, target.numel()}, compute_type(x.dtype()), x.device());
  const KernelTable& table = kernels(x.device());
  if (!table.cross_entropy) missing_kernel("cross_entropy", table);
  table.cross_entropy({loss.impl().view(), total.impl().view(), statistics.impl().view(),
                       ThreeDims(x), target.impl().view(), view_or_null(weight),
                       options.ignore_index, options.smoothing, options.reduction});
  if (!needs_grad({&x})) return loss;
  record(loss, "NllLossBackward0", {&x},
         {SavedTensor::input(x), SavedTensor::input(target), SavedTensor::input(weight),
          SavedTensor::input(total), SavedTensor::input(statistics)},
         [options](const Tensor& g, Backward& b) {
           const Tensor logits = b.saved(0), t = b.saved(1), w = b.saved(2), sum = b.saved(3);
           if (GradMode::is_enabled()) return cross_entropy_gradient(g, logits, t, w, sum, options);
           const Tensor grad = detail::make_empty(logits.sizes(), g.dtype(), g.device());
           const KernelTable& kernels_of = kernels(g.device());
           if (!kernels_of.cross_entropy_backward)
             missing_kernel("cross_entropy_backward", kernels_of);
           kernels_of.cross_entropy_backward(
               {ThreeDims(grad), g.impl().view(), sum.impl().view(), b.saved(4).impl().view(),
                ThreeDims(logits), t.impl().view(), view_or_null(w), options.ignore_index,
                options.smoothing, options.reduction});
           return grad;
         });
  return loss;
}

// Brings any input to two dimensions, or by rows(x) what has more, for loss(x, target) with a
// target of one.
template <class Rows, class Loss>
Tensor over_samples(const Tensor& x, const Tensor& target, Reduction reduction, Rows rows,
                    Loss loss) {
  if (x.dim() == 2) return loss(x, target);
  if (x.dim() == 1) return loss(x.unsqueeze(0), target.reshape({1})).reshape({});
  if (x.dim() == 0 || target.dim() != x.dim() - 1) {
    throw ShapeError(str("[nll_loss] expected a target of ", x.dim() - 1,
                         " dimensions for an input ", x.sizes(), ", got ", target.sizes()));
  }
  // (n, classes, d1, ...): every position is a sample of its own.
  DimVector wanted;
  for (int64_t d = 0; d < x.dim(); ++d)
    if (d != 1) wanted.push_back(x.size(d));
  if (!(wanted == target.sizes()))
    throw ShapeError(
        str("[nll_loss] Expected target size ", IntArrayRef(wanted), ", got ", target.sizes()));
  const Tensor result = loss(rows(x), target.reshape({-1}));
  return reduction == Reduction::None ? result.reshape(target.sizes()) : result;
}

}  // namespace

Tensor Tensor::softmax(int64_t dim, std::optional<ScalarType> dtype) const {
  return softmax_of(*this, dim, dtype, false);
}
Tensor Tensor::log_softmax(int64_t dim, std::optional<ScalarType> dtype) const {
  return softmax_of(*this, dim, dtype, true);
}

Tensor nll_loss(const Tensor& log_probs, const Tensor& target, const Tensor& weight,
                Reduction reduction, int64_t ignore_index) {
  return over_samples(
      log_probs, target, reduction,
      [](const Tensor& x) {
        return x.movedim(1, -1).reshape({-1, x.size(1)});
      },
      [&](const Tensor& x, const Tensor& t) {
        return nll_rows(x, t, weight, reduction, ignore_index);
      });
}

Tensor cross_entropy_of_indices(const Tensor& x, const Tensor& target, const Tensor& weight,
                                Reduction reduction, int64_t ignore_index, double label_smoothing) {
  const CrossEntropyOptions options{ignore_index, label_smoothing, reduction};
  return over_samples(
      x, target, reduction,
      [](const Tensor& input) {
        return input.reshape({input.size(0), input.size(1), numel_of(input.sizes().slice(2))});
      },
      [&](const Tensor& rows, const Tensor& t) {
        return cross_entropy_rows(rows, t, weight, options);
      });
}

}  // namespace tarn
