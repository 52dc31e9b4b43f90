// Order and running totals along one dimension, and the choices made from them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tarn/core/factories.h"
#include "tarn/core/functions.h"
#include "tarn/core/node.h"
#include "tarn/core/shape.h"

namespace tarn {
namespace {

// 0-dim tensors take part as if they were 1-d.
Tensor at_least_1d(const Tensor& t) { return t.dim() == 0 ? t.unsqueeze(0) : t; }

std::tuple<Tensor, Tensor> drop_dim(const Tensor& values, const Tensor& indices, int64_t dim) {
  return {values.squeeze(dim), indices.squeeze(dim)};
}

// A tensor seen with dimension `dim` moved to the end.
struct DimLast {
  DimLast(const Tensor& t, int64_t dim) : sizes(t.sizes()), strides(t.strides()) {
    std::rotate(sizes.begin() + dim, sizes.begin() + dim + 1, sizes.end());
    std::rotate(strides.begin() + dim, strides.begin() + dim + 1, strides.end());
    view = {t.data_ptr(), sizes.data(), strides.data(), static_cast<int32_t>(sizes.size()),
            t.dtype()};
  }
  DimLast(const DimLast&) = delete;
  DimVector sizes, strides;
  View view;
};

// The first k of x's order along `dim`, and where they are. x has at least one dimension.
std::tuple<Tensor, Tensor> first_of_order(const char* node_name, const Tensor& x, int64_t k,
                                          int64_t dim, bool descending) {
  DimVector sizes(x.sizes());
  sizes[static_cast<size_t>(dim)] = k;
  // A full order has the layout of x.
  const bool all = k == x.size(dim);
  const Tensor values = all ? detail::make_result(sizes, x.dtype(), x.device(), x)
                            : detail::make_empty(sizes, x.dtype(), x.device());
  const Tensor indices = all ? detail::make_result(sizes, kLong, x.device(), x)
                             : detail::make_empty(sizes, kLong, x.device());
  if (values.numel() > 0) {
    const KernelTable& table = kernels(x.device());
    if (!table.sort) missing_kernel("sort", table);
    const DimLast values_view(values, dim), indices_view(indices, dim), x_view(x, dim);
    table.sort({values_view.view, indices_view.view, x_view.view, descending});
  }
  if (x.is_floating_point() && needs_grad({&x})) {
    record(values, node_name, {&x}, {SavedTensor::input(indices)},
           [shape = DimVector(x.sizes()), dim](const Tensor& g, Backward& b) {
             return zeros(shape, g.options()).scatter_add_(dim, b.saved(0), g);
           });
  }
  return {values, indices};
}

Tensor scan(const char* op, const Tensor& x, int64_t dim, ScanKind kind) {
  const Tensor out = detail::make_empty(x.sizes(), x.dtype(), x.device());
  if (out.numel() == 0) return out;
  const KernelTable& table = kernels(x.device());
  if (!table.scan) missing_kernel(op, table);
  table.scan({out.impl().view(), x.impl().view(), static_cast<int>(dim), kind});
  return out;
}

// What cumsum and cumprod work on: sums of integers are int64.
Tensor to_scan(const Tensor& x, std::optional<ScalarType> dtype) {
  return at_least_1d(x.to(dtype.value_or(is_floating_point(x.dtype()) ? x.dtype() : kLong)));
}

// Sums from each position to the end.
Tensor sums_to_end(const Tensor& x, int64_t dim) { return x.flip(dim).cumsum(dim).flip(dim); }

// With out = cumprod(x), x[k] gets sum_{i >= k} g[i] out[i] / x[k]. In a line with zeros that holds
// before the first one, z. Let y be x with x[z] = 1: then x[z] gets what y[z] gets, and each x[k]
// behind z gets x[z] times what y[k] gets, which is 0 but has derivatives.
Tensor cumprod_backward(const Tensor& g, const Tensor& x, int64_t dim) {
  const Tensor weighted = sums_to_end(g * x.cumprod(dim), dim);
  const Tensor zero = x.eq(0);
  if (!zero.any().item<bool>()) return weighted / x;
  const Tensor zeros_so_far = zero.cumsum(dim);
  const Tensor before = zeros_so_far.eq(0), first = zero.logical_and(zeros_so_far.eq(1));
  const Tensor y = where(first, 1, x);
  Tensor rest;
  if (GradMode::is_enabled()) {
    const Tensor of_y = cumprod_backward(g, y, dim);
    rest = where(first, of_y, of_y * where(first, x, 0).sum(dim, /*keepdim=*/true));
  } else {
    rest = where(first, sums_to_end(g * y.cumprod(dim), dim), 0);
  }
  return where(before, weighted / where(before, x, 1), rest);
}

// argmax and argmin are not for bool.
Tensor comparable(const Tensor& x) { return x.dtype() == kBool ? x.to(kByte) : x; }

std::tuple<Tensor, Tensor> pick(const Tensor& self, const Tensor& indices, int64_t dim, bool drop) {
  const Tensor values = self.gather(dim, indices);
  return drop ? drop_dim(values, indices, dim) : std::tuple(values, indices);
}

// One category a draw, rows of probabilities times `count` draws: inverts the cumulative
// distribution.
Tensor draw_with_replacement(const Tensor& rows, int64_t count) {
  const Tensor totals = rows.cpu().to(kDouble).cumsum(1);
  const Tensor draws =
      rand({rows.size(0), count}, TensorOptions(kDouble).device(rows.device())).cpu();
  const Tensor out = detail::make_empty(draws.sizes(), kLong, kCPU);
  const int64_t categories = rows.size(1);
  for (int64_t r = 0; r < rows.size(0); ++r) {
    const double* total = totals.data_ptr<double>() + r * categories;
    for (int64_t i = r * count; i < (r + 1) * count; ++i) {
      const double at = draws.data_ptr<double>()[i] * total[categories - 1];
      out.data_ptr<int64_t>()[i] =
          std::min(std::upper_bound(total, total + categories, at) - total, categories - 1);
    }
  }
  return out.to(rows.device());
}

}  // namespace

// --- Order ---------------------------------------------------------------------------------------

std::tuple<Tensor, Tensor> Tensor::sort(int64_t dim, bool descending) const {
  const Tensor self = at_least_1d(*this);
  const int64_t d = wrap_dim("sort", dim, self.dim());
  const auto [values, indices] = first_of_order("SortBackward0", self, self.size(d), d, descending);
  return this->dim() == 0 ? drop_dim(values, indices, 0) : std::tuple(values, indices);
}

std::tuple<Tensor, Tensor> Tensor::topk(int64_t k, int64_t dim, bool largest, bool) const {
  const Tensor self = at_least_1d(*this);
  const int64_t d = wrap_dim("topk", dim, self.dim());
  if (k < 0 || k > self.size(d)) {
    throw ValueError(
        str("[topk] selected index k out of range: k = ", k, ", dimension ", d, " of ", sizes()));
  }
  const auto [values, indices] = first_of_order("TopkBackward0", self, k, d, largest);
  return this->dim() == 0 && k == 1 ? drop_dim(values, indices, 0) : std::tuple(values, indices);
}

std::tuple<Tensor, Tensor> Tensor::max(int64_t dim, bool keepdim) const {
  const Tensor self = at_least_1d(*this);
  const int64_t d = wrap_dim("max", dim, self.dim());
  return pick(self, comparable(self).argmax(d, /*keepdim=*/true), d, !keepdim || this->dim() == 0);
}

std::tuple<Tensor, Tensor> Tensor::min(int64_t dim, bool keepdim) const {
  const Tensor self = at_least_1d(*this);
  const int64_t d = wrap_dim("min", dim, self.dim());
  return pick(self, comparable(self).argmin(d, /*keepdim=*/true), d, !keepdim || this->dim() == 0);
}

std::tuple<Tensor, Tensor> Tensor::median(int64_t dim, bool keepdim) const {
  const Tensor self = at_least_1d(*this);
  const int64_t d = wrap_dim("median", dim, self.dim()), n = self.size(d);
  if (n == 0)
    throw IndexError(str("median(): Expected reduction dim ", d, " to have non-zero size."));
  const auto [values, indices] = self.detach().sort(d);
  // The lower of two; NaN, which sorts last, if there is one.
  const Tensor last = values.narrow(d, n - 1, 1).isnan();
  const Tensor at = where(last, indices.narrow(d, n - 1, 1), indices.narrow(d, (n - 1) / 2, 1));
  return pick(self, at, d, !keepdim || this->dim() == 0);
}
Tensor Tensor::median() const {
  if (numel() == 0) return full({}, std::numeric_limits<double>::quiet_NaN(), options());
  return std::get<0>(flatten().median(0));
}

// --- Running totals ------------------------------------------------------------------------------

Tensor Tensor::cumsum(int64_t dim, std::optional<ScalarType> dtype) const {
  const Tensor self = to_scan(*this, dtype);
  const int64_t d = wrap_dim("cumsum", dim, self.dim());
  const Tensor out = scan("cumsum", self, d, ScanKind::kSum);
  if (needs_grad({&self})) {
    record(out, "CumsumBackward0", {&self}, {},
           [d](const Tensor& g, Backward&) { return sums_to_end(g, d); });
  }
  return this->dim() == 0 ? out.squeeze(0) : out;
}

Tensor Tensor::cumprod(int64_t dim, std::optional<ScalarType> dtype) const {
  const Tensor self = to_scan(*this, dtype);
  const int64_t d = wrap_dim("cumprod", dim, self.dim());
  const Tensor out = scan("cumprod", self, d, ScanKind::kProduct);
  if (needs_grad({&self})) {
    record(out, "CumprodBackward0", {&self}, {SavedTensor::input(self)},
           [d](const Tensor& g, Backward& b) { return cumprod_backward(g, b.saved(0), d); });
  }
  return this->dim() == 0 ? out.squeeze(0) : out;
}

// --- Choices -------------------------------------------------------------------------------------

Tensor Tensor::multinomial(int64_t num_samples, bool replacement) const {
  const NoGradGuard guard;
  if (!is_floating_point()) {
    throw TypeError(
        str("[multinomial] only supports floating-point dtypes for input, got: ", dtype()));
  }
  if (dim() != 1 && dim() != 2)
    throw ShapeError(str("[multinomial] prob_dist must be 1 or 2 dim, got ", sizes()));
  if (num_samples <= 0)
    throw ValueError(str("[multinomial] cannot sample n_sample <= 0 samples, got ", num_samples));
  if (!replacement && num_samples > size(-1)) {
    throw ValueError(str(
        "[multinomial] cannot sample n_sample > prob_dist.size(-1) samples without replacement: ",
        num_samples, " > ", size(-1)));
  }
  const Tensor rows = dim() == 1 ? unsqueeze(0) : *this;
  if (!rows.ge(0).logical_and(rows.isfinite()).all().item<bool>()) {
    throw ValueError(
        "[multinomial] probability tensor contains either `inf`, `nan` or element < 0");
  }
  const int64_t needed = replacement ? 1 : num_samples;
  if (!rows.gt(0).sum(1).ge(needed).all().item<bool>()) {
    throw ValueError(str("[multinomial] invalid multinomial distribution: a row has fewer than ",
                         needed,
                         " categories of positive probability (sum of probabilities <= 0)"));
  }
  Tensor out;
  if (replacement && num_samples > 1) {
    out = draw_with_replacement(rows, num_samples);
  } else {
    // A race: category i finishes first with probability p[i] when its time is exponential of rate
    // p[i].
    const Tensor speed = rows.div(empty_like(rows).exponential_(1));
    out = num_samples == 1 ? speed.argmax(1, /*keepdim=*/true)
                           : std::get<1>(speed.topk(num_samples, 1));
  }
  return dim() == 1 ? out.squeeze(0) : out;
}

Tensor one_hot(const Tensor& index, int64_t num_classes) {
  if (index.dtype() != kLong) {
    throw TypeError(
        str("[one_hot] one_hot is only applicable to index tensor of type LongTensor, got ",
            index.dtype()));
  }
  if (index.numel() == 0 && num_classes <= 0) {
    throw ValueError("[one_hot] Can not infer total number of classes from empty tensor.");
  }
  int64_t classes = num_classes;
  if (index.numel() > 0) {
    const int64_t low = index.min().item<int64_t>(), high = index.max().item<int64_t>();
    if (low < 0) throw ValueError(str("[one_hot] Class values must be non-negative, got ", low));
    if (num_classes == -1) classes = high + 1;
    if (high >= classes) {
      throw ValueError(str("[one_hot] Class values must be smaller than num_classes: ", high,
                           " >= ", num_classes));
    }
  }
  DimVector sizes(index.sizes());
  sizes.push_back(classes);
  return zeros(sizes, index.options()).scatter_(-1, index.unsqueeze(-1), 1);
}

}  // namespace tarn
