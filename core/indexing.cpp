#include "tarn/core/indexing.h"

#include <cstring>

#include "tarn/core/factories.h"
#include "tarn/core/index_plan.h"
#include "tarn/core/print.h"
#include "tarn/core/shape.h"

namespace tarn {
namespace indexing {

Slice::Slice(std::optional<int64_t> start, std::optional<int64_t> stop, std::optional<int64_t> step)
    : start_(start.value_or(0)), stop_(stop.value_or(INDEX_MAX)), step_(step.value_or(1)) {
  if (step_ == 0) throw ValueError("[Slice] slice step cannot be zero");
  if (step_ < 0) {
    throw ValueError(str("[Slice] step must be greater than zero, got ", step_,
                         ". HINT: flip() reverses a dimension"));
  }
}

TensorIndex::TensorIndex(const char* text) : kind_(Kind::Ellipsis) {
  if (std::strcmp(text, "...") != 0) {
    throw ValueError(
        str("Expected \"...\" to represent an ellipsis index, but got \"", text, "\""));
  }
}

std::ostream& operator<<(std::ostream& os, const Slice& slice) {
  return os << slice.start() << ':' << slice.stop() << ':' << slice.step();
}

std::ostream& operator<<(std::ostream& os, const TensorIndex& index) {
  if (index.is_none()) return os << "None";
  if (index.is_ellipsis()) return os << "...";
  if (index.is_integer()) return os << index.integer();
  if (index.is_boolean()) return os << (index.boolean() ? "true" : "false");
  if (index.is_slice()) return os << index.slice();
  return os << index.tensor();
}

std::ostream& operator<<(std::ostream& os, const std::vector<TensorIndex>& indices) {
  os << '(';
  for (size_t i = 0; i < indices.size(); ++i) os << (i > 0 ? ", " : "") << indices[i];
  return os << ')';
}

}  // namespace indexing

namespace {

using indexing::TensorIndex;

// An index list applied as far as views go; what remains are tensors, one entry a dimension of the
// view (see plan_indices), or none at all.
struct Applied {
  Tensor view;
  std::vector<Tensor> entries;
};

bool is_mask(const Tensor& t) { return t.dtype() == kBool || t.dtype() == kByte; }

int64_t dims_used(const TensorIndex& index) {
  if (index.is_integer() || index.is_slice()) return 1;
  if (!index.is_tensor()) return 0;
  TARN_CHECK(index.tensor().defined(), "[index] an undefined tensor was used as an index");
  return is_mask(index.tensor()) ? index.tensor().dim() : 1;
}

Tensor select(const Tensor& x, int64_t dim, int64_t index, size_t position) {
  const int64_t size = x.size(dim);
  if (index < -size || index >= size) {
    throw IndexError(
        str("index ", index, " is out of bounds for dimension ", position, " with size ", size));
  }
  return x.select(dim, index);
}

Applied apply(const Tensor& self, ArrayRef<TensorIndex> indices) {
  int64_t used = 0, ellipses = 0;
  for (const TensorIndex& index : indices) {
    used += dims_used(index);
    ellipses += index.is_ellipsis();
  }
  if (self.dim() == 0 && indices.size() == 1 && indices[0].is_integer()) {
    throw IndexError(
        "invalid index of a 0-dim tensor. HINT: item<T>() converts a 0-dim tensor to a number");
  }
  if (used > self.dim()) {
    throw IndexError(str("too many indices for tensor of dimension ", self.dim(), ": ", used));
  }
  if (ellipses > 1) throw IndexError("an index list can only have a single ellipsis (\"...\")");

  Applied out{self, {}};
  int64_t dim = 0;
  const auto record = [&](const Tensor& t) {
    out.entries.resize(static_cast<size_t>(dim));
    out.entries.push_back(t);
    dim += is_mask(t) ? t.dim() : 1;
  };
  const auto record_bool = [&](bool value) {
    out.view = out.view.unsqueeze(dim);
    record(zeros(value ? 1 : 0, TensorOptions(kLong).device(self.device())));
  };
  for (size_t i = 0; i < indices.size(); ++i) {
    const TensorIndex& index = indices[i];
    if (index.is_none()) {
      out.view = out.view.unsqueeze(dim++);
    } else if (index.is_ellipsis()) {
      dim += self.dim() - used;
    } else if (index.is_integer()) {
      out.view = select(out.view, dim, index.integer(), i);
    } else if (index.is_boolean()) {
      record_bool(index.boolean());
    } else if (index.is_slice()) {
      const indexing::Slice& s = index.slice();
      const bool all = s.start() == 0 && s.stop() >= out.view.size(dim) && s.step() == 1;
      if (!all) out.view = out.view.slice(dim, s.start(), s.stop(), s.step());
      ++dim;
    } else if (const Tensor& t = index.tensor(); t.dim() > 0 || is_floating_point(t.dtype())) {
      record(t);
    } else if (is_mask(t)) {
      record_bool(t.item<bool>());
    } else {
      out.view = select(out.view, dim, t.item<int64_t>(), i);
    }
  }
  return out;
}

// `values` without leading dimensions of size 1 beyond those of a result of `ndim` dimensions.
Tensor drop_leading_ones(const Tensor& values, int64_t ndim) {
  Tensor out = values;
  while (out.dim() > ndim && out.size(0) == 1) out = out.squeeze(0);
  return out;
}

Tensor broadcast_values(const Tensor& values, IntArrayRef sizes) {
  const Tensor trimmed = drop_leading_ones(values, static_cast<int64_t>(sizes.size()));
  if (!is_broadcastable_to(trimmed.sizes(), sizes)) {
    throw ShapeError(str("[index_put_] shape mismatch: value tensor of shape ", values.sizes(),
                         " cannot be broadcast to indexing result of shape ", sizes));
  }
  return trimmed.sizes() == sizes ? trimmed : trimmed.expand(sizes);
}

}  // namespace

Tensor Tensor::operator[](const Tensor& i) const {
  if (!i.defined()) throw IndexError("Can only index with tensors that are defined");
  return index({i});
}

Tensor Tensor::index(ArrayRef<TensorIndex> indices) const {
  if (indices.empty()) {
    throw IndexError("Passing an empty index list to Tensor::index() is not valid syntax");
  }
  const Applied applied = apply(*this, indices);
  if (applied.entries.empty()) return applied.view.is_same(*this) ? view(sizes()) : applied.view;
  return detail::take("IndexBackward0", applied.view,
                      detail::plan_indices("index", applied.view, applied.entries));
}

const Tensor& Tensor::index_put_(ArrayRef<TensorIndex> indices, const Tensor& values,
                                 bool accumulate) const {
  if (indices.empty()) {
    throw IndexError("Passing an empty index list to Tensor::index_put_() is not valid syntax");
  }
  const Applied applied = apply(*this, indices);
  const Tensor& target = applied.view;
  if (applied.entries.empty()) {
    const Tensor source = broadcast_values(values, target.sizes());
    accumulate ? target.add_(source) : target.copy_(source);
    return *this;
  }
  if (values.dtype() != dtype()) {
    throw TypeError(
        str("[index_put_] Index put requires the source and destination dtypes match, got ",
            dtype(), " for the destination and ", values.dtype(), " for the source."));
  }
  if (values.dim() > 0) check_same_device("index_put_", device(), values.device());
  const detail::IndexPlan plan = detail::plan_indices("index_put_", target, applied.entries);
  detail::put_("index_put_", "IndexPutBackward0", target, plan,
               broadcast_values(values.to(device()), plan.sizes),
               accumulate ? ScatterMode::kAdd : ScatterMode::kAssign);
  return *this;
}

const Tensor& Tensor::index_put_(ArrayRef<TensorIndex> indices, const Scalar& value,
                                 bool accumulate) const {
  return index_put_(indices, full({}, value, options()), accumulate);
}

}  // namespace tarn
