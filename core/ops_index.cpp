// Indexing along one dimension, and by masks.
#include "tarn/core/factories.h"
#include "tarn/core/functions.h"
#include "tarn/core/index_plan.h"
#include "tarn/core/shape.h"

namespace tarn {
namespace {

using detail::IndexPlan;

// 0-dim tensors take part as if they were 1-d.
Tensor at_least_1d(const Tensor& t) { return t.dim() == 0 ? t.unsqueeze(0) : t; }

void check_same_dtype(const char* op, const Tensor& self, const Tensor& source) {
  if (self.dtype() != source.dtype()) {
    throw TypeError(str("[", op, "] Expected self.dtype to be equal to src.dtype, got ",
                        self.dtype(), " and ", source.dtype()));
  }
}

// gather and scatter: index is no larger than self but along dim. Both at least 1-d.
Tensor check_index_along(const char* op, const Tensor& self, int64_t dim, const Tensor& index) {
  check_same_device(op, self.device(), index.device());
  if (index.dtype() != kLong && index.dtype() != kInt) {
    throw TypeError(str("[", op, "] Expected dtype int64 for index, got ", index.dtype()));
  }
  if (index.dim() != self.dim()) {
    throw ShapeError(str("[", op,
                         "] Index tensor must have the same number of dimensions as input tensor: ",
                         index.sizes(), " and ", self.sizes()));
  }
  for (int64_t d = 0; d < self.dim(); ++d) {
    if (d != dim && index.size(d) > self.size(d)) {
      throw ShapeError(str("[", op, "] Size does not match at dimension ", d, " expected index ",
                           index.sizes(), " to be no larger than self ", self.sizes(),
                           " apart from dimension ", dim));
    }
  }
  return index.to(kLong);
}

// index_select and the like: a vector of positions, in range by the time it is used.
Tensor check_index_vector(const char* op, const Tensor& self, const Tensor& index) {
  check_same_device(op, self.device(), index.device());
  if (index.dim() > 1)
    throw IndexError(str("[", op, "] Index is supposed to be a vector, got shape ", index.sizes()));
  if (index.dtype() != kLong && index.dtype() != kInt) {
    throw TypeError(str("[", op, "] Expected dtype int32 or int64 for index, got ", index.dtype()));
  }
  return index.to(kLong);
}

void check_source(const char* op, const Tensor& self, int64_t dim, const Tensor& index,
                  const Tensor& source) {
  check_same_dtype(op, self, source);
  check_same_device(op, self.device(), source.device());
  bool fits = source.dim() == self.dim();
  for (int64_t d = 0; fits && d < self.dim(); ++d) {
    fits = source.size(d) == (d == dim ? index.numel() : self.size(d));
  }
  if (!fits) {
    throw ShapeError(str("[", op, "] source of shape ", source.sizes(),
                         " does not fit self of shape ", self.sizes(), ": Number of indices (",
                         index.numel(), ") should be equal to source.size(", dim,
                         "), and all other sizes be self's"));
  }
}

// The part of a scatter's source that index covers.
Tensor covered(const char* op, const Tensor& source, const Tensor& index) {
  Tensor part = at_least_1d(source);
  bool fits = part.dim() == index.dim();
  for (int64_t d = 0; fits && d < index.dim(); ++d) fits = index.size(d) <= part.size(d);
  if (!fits) {
    throw ShapeError(str("[", op, "] Expected index ", index.sizes(), " to be no larger than src ",
                         source.sizes(), " in any dimension"));
  }
  for (int64_t d = 0; d < index.dim(); ++d) {
    if (index.size(d) != part.size(d)) part = part.narrow(d, 0, index.size(d));
  }
  return part;
}

void scatter_into(const char* op, const char* node_name, const Tensor& self, int64_t dim,
                  const Tensor& given, const Tensor* source, const Scalar& value,
                  ScatterMode mode) {
  const Tensor target = at_least_1d(self);
  const int64_t d = wrap_dim(op, dim, target.dim());
  if (source) {
    check_same_dtype(op, self, *source);
    check_same_device(op, self.device(), source->device());
  }
  if (given.numel() == 0) return;
  const Tensor index = check_index_along(op, target, d, at_least_1d(given));
  const Tensor values =
      source ? covered(op, *source, index) : full({}, value, self.options()).expand(index.sizes());
  detail::put_(op, node_name, target, detail::plan_along(target, d, index), values, mode);
}

// A number as an element of x.
Scalar as_element_of(const Tensor& x, const Scalar& value) {
  if (x.is_floating_point()) return value;
  return x.dtype() == kBool ? Scalar(value.toBool()) : Scalar(value.toLong());
}

void check_mask(const char* op, const Tensor& mask) {
  if (mask.dtype() != kBool) {
    throw TypeError(
        str("[", op, "] only supports boolean masks, but got mask with dtype ", mask.dtype()));
  }
}

// The value of masked_fill in x's dtype and on its device.
Tensor fill_value(const char* op, const Tensor& x, const Tensor& value) {
  if (value.dim() != 0) {
    throw ShapeError(str("[", op,
                         "] only supports a 0-dimensional value tensor, but got tensor with ",
                         value.dim(), " dimension(s)."));
  }
  return value.to(x.device(), x.dtype());
}

// Writes `value` (tensor or number) where mask is true. A number has no gradient.
void masked_fill_into(const Tensor& self, const Tensor& mask, const Operand& value) {
  const char* op = "masked_fill_";
  const Tensor number = value.tensor() ? *value.tensor() : Tensor();
  check_inplace(op, self, needs_grad({&number}));
  IntrusivePtr<Node> node;
  if (needs_grad({&self, &number})) {
    node = make_node("MaskedFillBackward0", {&self, &number}, {SavedTensor::input(mask)},
                     [](Backward& b) {
                       const Tensor mask = b.saved(0);
                       if (b.needs(0)) b[0] = b.grad().masked_fill(mask, 0);
                       if (b.needs(1)) b[1] = where(mask, b.grad(), 0).sum();
                     });
  }
  {
    const NoGradGuard guard;
    const op::Where where_op;
    const Operand operands[] = {mask, value, self};
    detail::pointwise_into(self, pointwise_id<op::Where>, &where_op, sizeof where_op, operands);
  }
  inplace_history(self, std::move(node));
}

}  // namespace

// --- Along a dimension ---------------------------------------------------------------------------

Tensor Tensor::index_select(int64_t dim, const Tensor& given) const {
  const Tensor self = at_least_1d(*this);
  const int64_t d = wrap_dim("index_select", dim, self.dim());
  const Tensor index = check_index_vector("index_select", self, given);
  if (this->dim() == 0 && index.numel() != 1) {
    throw IndexError(
        str("[index_select] Index to scalar can have only 1 value, got ", index.numel()));
  }
  const Tensor out =
      detail::take("IndexSelectBackward0", self, detail::plan_select(self, d, index));
  return this->dim() == 0 ? out.squeeze(0) : out;
}

const Tensor& Tensor::index_add_(int64_t dim, const Tensor& given, const Tensor& source,
                                 const Scalar& alpha) const {
  const Tensor self = at_least_1d(*this), added = at_least_1d(source);
  const int64_t d = wrap_dim("index_add_", dim, self.dim());
  const Tensor index = check_index_vector("index_add_", self, given);
  check_source("index_add_", self, d, index, added);
  const Tensor values = alpha.equal(1) ? added : added.mul(as_element_of(self, alpha));
  detail::put_("index_add_", "IndexAddBackward0", self, detail::plan_select(self, d, index), values,
               ScatterMode::kAdd);
  return *this;
}

Tensor Tensor::index_add(int64_t dim, const Tensor& index, const Tensor& source,
                         const Scalar& alpha) const {
  return clone().index_add_(dim, index, source, alpha);
}

const Tensor& Tensor::index_copy_(int64_t dim, const Tensor& given, const Tensor& source) const {
  const Tensor self = at_least_1d(*this), copied = at_least_1d(source);
  const int64_t d = wrap_dim("index_copy_", dim, self.dim());
  const Tensor index = check_index_vector("index_copy_", self, given);
  check_source("index_copy_", self, d, index, copied);
  detail::put_("index_copy_", "IndexCopyBackward0", self, detail::plan_select(self, d, index),
               copied, ScatterMode::kAssign);
  return *this;
}

const Tensor& Tensor::index_fill_(int64_t dim, const Tensor& given, const Scalar& value) const {
  const Tensor self = at_least_1d(*this);
  const int64_t d = wrap_dim("index_fill_", dim, self.dim());
  const Tensor index = check_index_vector("index_fill_", self, given);
  const IndexPlan plan = detail::plan_select(self, d, index);
  detail::put_("index_fill_", "IndexFillBackward0", self, plan,
               full({}, value, options()).expand(plan.sizes), ScatterMode::kAssign);
  return *this;
}

Tensor Tensor::gather(int64_t dim, const Tensor& given) const {
  const Tensor self = at_least_1d(*this);
  const int64_t d = wrap_dim("gather", dim, self.dim());
  if (given.numel() == 0) return detail::make_empty(given.sizes(), dtype(), device());
  const Tensor index = check_index_along("gather", self, d, at_least_1d(given));
  const Tensor out = detail::take("GatherBackward0", self, detail::plan_along(self, d, index));
  return given.dim() == 0 ? out.squeeze(0) : out;
}

const Tensor& Tensor::scatter_(int64_t dim, const Tensor& index, const Tensor& source) const {
  scatter_into("scatter_", "ScatterBackward0", *this, dim, index, &source, 0, ScatterMode::kAssign);
  return *this;
}

const Tensor& Tensor::scatter_(int64_t dim, const Tensor& index, const Scalar& value) const {
  scatter_into("scatter_", "ScatterBackward1", *this, dim, index, nullptr, value,
               ScatterMode::kAssign);
  return *this;
}

const Tensor& Tensor::scatter_add_(int64_t dim, const Tensor& index, const Tensor& source) const {
  scatter_into("scatter_add_", "ScatterAddBackward0", *this, dim, index, &source, 0,
               ScatterMode::kAdd);
  return *this;
}

Tensor Tensor::scatter(int64_t dim, const Tensor& index, const Tensor& source) const {
  return clone().scatter_(dim, index, source);
}

Tensor Tensor::scatter(int64_t dim, const Tensor& index, const Scalar& value) const {
  return clone().scatter_(dim, index, value);
}

Tensor Tensor::scatter_add(int64_t dim, const Tensor& index, const Tensor& source) const {
  return clone().scatter_add_(dim, index, source);
}

// --- By masks ------------------------------------------------------------------------------------

Tensor Tensor::nonzero() const {
  const KernelTable& table = kernels(device());
  if (!table.count_nonzero || !table.nonzero) missing_kernel("nonzero", table);
  const View view = impl().view();
  const Tensor out =
      detail::make_empty({numel() > 0 ? table.count_nonzero(view) : 0, dim()}, kLong, device());
  if (out.numel() > 0) table.nonzero(out.impl().view(), view);
  return out;
}

Tensor Tensor::masked_select(const Tensor& mask) const {
  check_same_device("masked_select", device(), mask.device());
  check_mask("masked_select", mask);
  const DimVector common = broadcast_shapes("masked_select", sizes(), mask.sizes());
  const Tensor flat = expand(common).reshape({-1});
  const Tensor index = mask.expand(common).reshape({-1}).nonzero().select(1, 0);
  return detail::take("MaskedSelectBackward0", flat, detail::plan_select(flat, 0, index));
}

Tensor Tensor::masked_fill(const Tensor& mask, const Scalar& value) const {
  check_mask("masked_fill", mask);
  return where(mask, as_element_of(*this, value), *this);
}

Tensor Tensor::masked_fill(const Tensor& mask, const Tensor& value) const {
  check_mask("masked_fill", mask);
  return where(mask, fill_value("masked_fill", *this, value), *this);
}

const Tensor& Tensor::masked_fill_(const Tensor& mask, const Scalar& value) const {
  check_mask("masked_fill_", mask);
  masked_fill_into(*this, mask, as_element_of(*this, value));
  return *this;
}

const Tensor& Tensor::masked_fill_(const Tensor& mask, const Tensor& value) const {
  check_mask("masked_fill_", mask);
  masked_fill_into(*this, mask, fill_value("masked_fill_", *this, value));
  return *this;
}

Tensor Tensor::index_put(ArrayRef<indexing::TensorIndex> indices, const Tensor& values,
                         bool accumulate) const {
  return clone().index_put_(indices, values, accumulate);
}
Tensor Tensor::index_copy(int64_t dim, const Tensor& index, const Tensor& source) const {
  return clone().index_copy_(dim, index, source);
}
Tensor Tensor::index_fill(int64_t dim, const Tensor& index, const Scalar& value) const {
  return clone().index_fill_(dim, index, value);
}

std::vector<Tensor> where(const Tensor& condition) {
  return (condition.dim() == 0 ? condition.unsqueeze(0) : condition).nonzero().unbind(1);
}

}  // namespace tarn
