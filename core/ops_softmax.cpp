// Softmax, log-softmax and the negative log likelihood.
#include "tarn/core/factories.h"
#include "tarn/core/node.h"
#include "tarn/core/shape.h"

namespace tarn {
namespace {

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
  if (x.size(0) != target.size(0)) {
    throw ShapeError(str("[nll_loss] Expected input batch_size (", x.size(0),
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

Tensor nll_rows(const Tensor& x, const Tensor& target, const Tensor& class_weight,
                Reduction reduction, int64_t ignore_index) {
  check_nll(x, target, class_weight);
  const Tensor weight =
      class_weight.defined() ? class_weight.to(x.dtype()).detach().contiguous() : class_weight;
  const bool each = reduction == Reduction::None;
  Tensor loss = each ? detail::make_empty(target.sizes(), x.dtype(), x.device())
                     : detail::make_empty({}, x.dtype(), x.device());
  const Tensor total = detail::make_empty({}, x.dtype(), x.device());
  const KernelTable& table = kernels(x.device());
  if (!table.nll_loss) missing_kernel("nll_loss", table);
  const auto weight_view = [](const Tensor& w) { return w.defined() ? w.impl().view() : View{}; };
  table.nll_loss({loss.impl().view(), total.impl().view(), x.impl().view(), target.impl().view(),
                  weight_view(weight), ignore_index, reduction});
  if (!needs_grad({&x})) return loss;
  record(loss, "NllLossBackward0", {&x},
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
                                         t.impl().view(), weight_view(w), ignore_index, reduction});
           return grad;
         });
  return loss;
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
  if (log_probs.dim() == 2) return nll_rows(log_probs, target, weight, reduction, ignore_index);
  if (log_probs.dim() == 1) {
    return nll_rows(log_probs.unsqueeze(0), target.reshape({1}), weight, reduction, ignore_index)
        .reshape({});
  }
  if (log_probs.dim() == 0 || target.dim() != log_probs.dim() - 1) {
    throw ShapeError(str("[nll_loss] expected a target of ", log_probs.dim() - 1,
                         " dimensions for an input ", log_probs.sizes(), ", got ", target.sizes()));
  }
  // (n, classes, d1, ...): every position is a row of its own.
  const Tensor rows = log_probs.movedim(1, -1);
  if (!(rows.sizes().slice(0, rows.sizes().size() - 1) == target.sizes())) {
    throw ShapeError(str("[nll_loss] Expected target size ",
                         rows.sizes().slice(0, rows.sizes().size() - 1), ", got ", target.sizes()));
  }
  const Tensor loss = nll_rows(rows.reshape({-1, log_probs.size(1)}), target.reshape({-1}), weight,
                               reduction, ignore_index);
  return reduction == Reduction::None ? loss.reshape(target.sizes()) : loss;
}

}  // namespace tarn
