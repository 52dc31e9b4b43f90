// Views: other geometries over the same bytes.
#include <algorithm>

#include "tarn/core/factories.h"
#include "tarn/core/node.h"
#include "tarn/core/shape.h"

namespace tarn {
namespace {

size_t at(int64_t d) { return static_cast<size_t>(d); }

// A view of x, recorded with its backward.
template <class F>
Tensor view_of(const Tensor& x, IntArrayRef sizes, IntArrayRef strides, int64_t offset,
               const char* name, F backward) {
  Tensor out = alias(x, sizes, strides, offset, true);
  if (needs_grad({&x})) record(out, name, {&x}, {}, std::move(backward));
  return out;
}

// Backward of a view that keeps every element once, in the same order.
auto reshape_back(const Tensor& x) {
  return [sizes = DimVector(x.sizes())](const Tensor& g, Backward&) { return g.reshape(sizes); };
}

// Backward of a view of some elements: zeros with g at those.
template <class View>
auto write_back(const Tensor& x, View view) {
  return [sizes = DimVector(x.sizes()), view](const Tensor& g, Backward&) {
    Tensor whole = zeros(sizes, g.options());
    view(whole).copy_(g);
    return whole;
  };
}

}  // namespace

Tensor Tensor::view(IntArrayRef new_sizes) const {
  const DimVector sizes = infer_size("view", new_sizes, numel());
  DimVector strides;
  TARN_CHECK(view_strides(this->sizes(), this->strides(), sizes, &strides), "[view] view size ",
             sizes, " is not compatible with input tensor's size ", this->sizes(), " and stride ",
             this->strides(),
             " (at least one dimension spans across two contiguous subspaces). Use .reshape(...) "
             "instead.");
  return view_of(*this, sizes, strides, storage_offset(), "ViewBackward0", reshape_back(*this));
}

Tensor Tensor::reshape(IntArrayRef new_sizes) const {
  const DimVector sizes = infer_size("reshape", new_sizes, numel());
  DimVector strides;
  if (!view_strides(this->sizes(), this->strides(), sizes, &strides))
    return clone(MemoryFormat::Contiguous).view(sizes);
  return view_of(*this, sizes, strides, storage_offset(), "ViewBackward0", reshape_back(*this));
}

Tensor Tensor::flatten(int64_t start_dim, int64_t end_dim) const {
  const int64_t start = wrap_dim("flatten", start_dim, dim()),
                end = wrap_dim("flatten", end_dim, dim());
  TARN_CHECK(start <= end,
             "[flatten] flatten() has invalid args: start_dim cannot come after end_dim, got ",
             start_dim, " and ", end_dim);
  if (dim() == 0) return reshape({1});
  if (start == end) return *this;
  DimVector shape(sizes().slice(0, at(start)));
  int64_t joined = 1;
  for (int64_t d = start; d <= end; ++d) joined *= size(d);
  shape.push_back(joined);
  shape.append(sizes().slice(at(end) + 1));
  return reshape(shape);
}

Tensor Tensor::unflatten(int64_t dim, IntArrayRef sizes) const {
  const int64_t d = wrap_dim("unflatten", dim, this->dim());
  DimVector shape(this->sizes().slice(0, at(d)));
  shape.append(infer_size("unflatten", sizes, size(d)));
  shape.append(this->sizes().slice(at(d) + 1));
  return view(shape);
}

Tensor Tensor::squeeze() const {
  DimVector sizes, strides;
  for (size_t d = 0; d < this->sizes().size(); ++d) {
    if (this->sizes()[d] == 1) continue;
    sizes.push_back(this->sizes()[d]);
    strides.push_back(this->strides()[d]);
  }
  return view_of(*this, sizes, strides, storage_offset(), "SqueezeBackward0", reshape_back(*this));
}

Tensor Tensor::squeeze(int64_t dim) const {
  const int64_t d = wrap_dim("squeeze", dim, this->dim());
  DimVector sizes(this->sizes()), strides(this->strides());
  if (this->dim() > 0 && sizes[at(d)] == 1) {
    sizes.erase(at(d));
    strides.erase(at(d));
  }
  return view_of(*this, sizes, strides, storage_offset(), "SqueezeBackward1", reshape_back(*this));
}

Tensor Tensor::unsqueeze(int64_t dim) const {
  const int64_t d = wrap_dim("unsqueeze", dim, this->dim() + 1);
  DimVector sizes(this->sizes()), strides(this->strides());
  const bool last = d == this->dim();
  strides.insert(at(d), last ? 1 : sizes[at(d)] * strides[at(d)]);
  sizes.insert(at(d), 1);
  return view_of(*this, sizes, strides, storage_offset(), "UnsqueezeBackward0",
                 reshape_back(*this));
}

Tensor Tensor::permute(IntArrayRef dims) const {
  TARN_CHECK(static_cast<int64_t>(dims.size()) == dim(),
             "[permute] permute(dims): number of dimensions in the tensor input (", dim(),
             ") does not match the length of the desired ordering of dimensions ", dims);
  constexpr int64_t kUnused = -1;
  DimVector sizes, strides, back(dims.size(), kUnused);
  for (size_t i = 0; i < dims.size(); ++i) {
    const size_t from = at(wrap_dim("permute", dims[i], dim()));
    TARN_CHECK(back[from] == kUnused, "[permute] permute(): duplicate dims are not allowed. Got ",
               dims);
    sizes.push_back(this->sizes()[from]);
    strides.push_back(this->strides()[from]);
    back[from] = static_cast<int64_t>(i);
  }
  return view_of(*this, sizes, strides, storage_offset(), "PermuteBackward0",
                 [back](const Tensor& g, Backward&) { return g.permute(back); });
}

Tensor Tensor::transpose(int64_t dim0, int64_t dim1) const {
  const int64_t a = wrap_dim("transpose", dim0, dim()), b = wrap_dim("transpose", dim1, dim());
  DimVector sizes(this->sizes()), strides(this->strides());
  if (dim() > 0) {
    std::swap(sizes[at(a)], sizes[at(b)]);
    std::swap(strides[at(a)], strides[at(b)]);
  }
  return view_of(*this, sizes, strides, storage_offset(), "TransposeBackward0",
                 [a, b](const Tensor& g, Backward&) { return g.transpose(a, b); });
}

namespace {

// Gives x the geometry of a view of it.
const Tensor& reshape_as_view(const Tensor& x, const Tensor& view) {
  TARN_CHECK(
      !x.requires_grad(),
      "an in-place change of shape is not supported on tensors that require gradients. HINT: "
      "use the form without _");
  x.impl().set_geometry(view.sizes(), view.strides(), view.storage_offset());
  return x;
}

}  // namespace

const Tensor& Tensor::transpose_(int64_t dim0, int64_t dim1) const {
  return reshape_as_view(*this, detach().transpose(dim0, dim1));
}
const Tensor& Tensor::squeeze_() const { return reshape_as_view(*this, detach().squeeze()); }
const Tensor& Tensor::squeeze_(int64_t dim) const {
  return reshape_as_view(*this, detach().squeeze(dim));
}
const Tensor& Tensor::unsqueeze_(int64_t dim) const {
  return reshape_as_view(*this, detach().unsqueeze(dim));
}

Tensor Tensor::t() const {
  TARN_CHECK(dim() <= 2, "t() expects a tensor with <= 2 dimensions, but self is ", dim(), "D");
  DimVector sizes(this->sizes()), strides(this->strides());
  std::reverse(sizes.begin(), sizes.end());
  std::reverse(strides.begin(), strides.end());
  return view_of(*this, sizes, strides, storage_offset(), "TBackward0",
                 [](const Tensor& g, Backward&) { return g.t(); });
}

Tensor Tensor::movedim(int64_t source, int64_t destination) const {
  const int64_t from = wrap_dim("movedim", source, dim()),
                to = wrap_dim("movedim", destination, dim());
  DimVector order;
  for (int64_t d = 0; d < dim(); ++d) {
    if (d != from) order.push_back(d);
  }
  if (dim() > 0) order.insert(at(to), from);
  return permute(order);
}

Tensor Tensor::expand(IntArrayRef new_sizes) const {
  DimVector sizes(new_sizes);
  TARN_CHECK(new_sizes.size() >= at(dim()), "[expand] the number of sizes provided (",
             new_sizes.size(),
             ") must be greater or equal to the number of dimensions in the tensor (", dim(), ")");
  const size_t lead = sizes.size() - at(dim());
  for (size_t i = lead; i < sizes.size(); ++i) {
    if (sizes[i] == -1) sizes[i] = this->sizes()[i - lead];
  }
  for (int64_t s : sizes) {
    TARN_CHECK(s >= 0, "[expand] The expanded size of the tensor (", s,
               ") isn't allowed in a leading, non-existing dimension");
  }
  if (!is_broadcastable_to(this->sizes(), sizes)) {
    throw ShapeError(
        str("[expand] The expanded size of the tensor must match the existing size at every "
            "non-singleton "
            "dimension. Target sizes: ",
            sizes, ". Tensor sizes: ", this->sizes()));
  }
  DimVector strides(sizes.size(), 0);
  broadcast_strides(this->sizes(), this->strides(), sizes, strides.data());
  // The engine sums the gradient back.
  return view_of(*this, sizes, strides, storage_offset(), "ExpandBackward0",
                 [](const Tensor& g, Backward&) { return g; });
}

Tensor Tensor::as_strided(IntArrayRef sizes, IntArrayRef strides,
                          std::optional<int64_t> storage_offset) const {
  const int64_t offset = storage_offset.value_or(this->storage_offset());
  check_geometry("as_strided", sizes, strides, offset,
                 static_cast<int64_t>(storage().nbytes()) / element_size());
  return view_of(*this, sizes, strides, offset, "AsStridedBackward0",
                 [view_sizes = DimVector(sizes), view_strides = DimVector(strides), offset,
                  from_sizes = DimVector(this->sizes()), from_strides = DimVector(this->strides()),
                  from_offset = this->storage_offset()](const Tensor& g, Backward&) {
                   return as_strided_backward(g, view_sizes, view_strides, offset, from_sizes,
                                              from_strides, from_offset);
                 });
}

Tensor as_strided_backward(const Tensor& g, IntArrayRef view_sizes, IntArrayRef view_strides,
                           int64_t view_offset, IntArrayRef sizes, IntArrayRef strides,
                           int64_t offset) {
  const auto end_of = [](IntArrayRef n, IntArrayRef s, int64_t start) {
    for (size_t d = 0; d < n.size(); ++d) start += (std::max<int64_t>(n[d], 1) - 1) * s[d];
    return start + 1;
  };
  const int64_t start = std::min(view_offset, offset);
  const int64_t extent =
      std::max(end_of(view_sizes, view_strides, view_offset), end_of(sizes, strides, offset)) -
      start;
  // Positions in the storage may repeat in the view, so gradients are added up there.
  const Tensor positions = arange(extent, TensorOptions(kLong).device(g.device()))
                               .as_strided(view_sizes, view_strides, view_offset - start)
                               .reshape({-1});
  const Tensor line = zeros({extent}, g.options()).index_add(0, positions, g.reshape({-1}));
  return line.as_strided(sizes, strides, offset - start + line.storage_offset());
}

Tensor Tensor::narrow(int64_t dim, int64_t start, int64_t length) const {
  TARN_CHECK(this->dim() > 0, "narrow() cannot be applied to a 0-dim tensor.");
  const int64_t d = wrap_dim("narrow", dim, this->dim());
  const int64_t begin = start < 0 ? start + size(d) : start;
  if (begin < 0 || length < 0 || begin + length > size(d)) {
    throw IndexError(str("[narrow] start (", start, ") + length (", length,
                         ") exceeds dimension size (", size(d), ") of dimension ", d));
  }
  return slice(d, begin, begin + length);
}

Tensor Tensor::slice(int64_t dim, std::optional<int64_t> start, std::optional<int64_t> end,
                     int64_t step) const {
  TARN_CHECK(this->dim() > 0, "slice() cannot be applied to a 0-dim tensor.");
  TARN_CHECK(step > 0, "slice step must be positive, got ", step);
  const int64_t d = wrap_dim("slice", dim, this->dim()), length = size(d);
  const auto clip = [length](int64_t i) {
    return std::clamp<int64_t>(i < 0 ? i + length : i, 0, length);
  };
  const int64_t begin = clip(start.value_or(0)), stop = std::max(clip(end.value_or(length)), begin);
  DimVector sizes(this->sizes()), strides(this->strides());
  sizes[at(d)] = (stop - begin + step - 1) / step;
  const int64_t offset = storage_offset() + begin * strides[at(d)];
  strides[at(d)] *= step;
  return view_of(
      *this, sizes, strides, offset, "SliceBackward0",
      write_back(*this, [=](const Tensor& whole) { return whole.slice(d, begin, stop, step); }));
}

Tensor Tensor::select(int64_t dim, int64_t index) const {
  if (this->dim() == 0)
    throw IndexError(
        "select() cannot be applied to a 0-dim tensor: invalid index of a 0-dim tensor. Use "
        "`tensor.item()` to convert it to a number");
  const int64_t d = wrap_dim("select", dim, this->dim()), length = size(d);
  if (index < -length || index >= length) {
    throw IndexError(str("select(): index ", index, " out of range for tensor of size ", sizes(),
                         " at dimension ", d, ": index ", index, " is out of bounds for dimension ",
                         d, " with size ", length));
  }
  const int64_t i = index < 0 ? index + length : index;
  DimVector sizes(this->sizes()), strides(this->strides());
  const int64_t offset = storage_offset() + i * strides[at(d)];
  sizes.erase(at(d));
  strides.erase(at(d));
  return view_of(*this, sizes, strides, offset, "SelectBackward0",
                 write_back(*this, [=](const Tensor& whole) { return whole.select(d, i); }));
}

Tensor Tensor::diagonal(int64_t offset, int64_t dim1, int64_t dim2) const {
  const int64_t a = wrap_dim("diagonal", dim1, dim()), b = wrap_dim("diagonal", dim2, dim());
  TARN_CHECK(a != b, "diagonal dimensions cannot be identical ", dim1, ", ", dim2);
  const int64_t row = offset < 0 ? -offset : 0, column = offset > 0 ? offset : 0;
  const int64_t length = std::max<int64_t>(0, std::min(size(a) - row, size(b) - column));
  DimVector sizes, strides;
  for (int64_t d = 0; d < dim(); ++d) {
    if (d == a || d == b) continue;
    sizes.push_back(size(d));
    strides.push_back(stride(d));
  }
  sizes.push_back(length);
  strides.push_back(stride(a) + stride(b));
  const int64_t start = storage_offset() + (length > 0 ? row * stride(a) + column * stride(b) : 0);
  return view_of(
      *this, sizes, strides, start, "DiagonalBackward0",
      write_back(*this, [=](const Tensor& whole) { return whole.diagonal(offset, a, b); }));
}

Tensor Tensor::unfold(int64_t dim, int64_t size, int64_t step) const {
  const int64_t d = wrap_dim("unfold", dim, this->dim());
  const int64_t length = this->dim() == 0 ? 1 : this->size(d);
  TARN_CHECK(size >= 0 && size <= length, "[unfold] maximum size for tensor at dimension ", d,
             " is ", length, " but size is ", size);
  TARN_CHECK(step > 0, "[unfold] step is ", step, " but must be > 0");
  const Tensor x = this->dim() == 0 ? reshape({1}) : *this;
  // Windows may overlap: as_strided's backward adds them up, given strides in which x has no
  // overlap.
  DimVector sizes(x.sizes()), strides(x.strides()), packed = contiguous_strides(x.sizes());
  sizes[at(d)] = (length - size) / step + 1;
  const DimVector whole(x.sizes()), whole_strides = packed;
  sizes.push_back(size);
  strides.push_back(strides[at(d)]);
  packed.push_back(packed[at(d)]);
  strides[at(d)] *= step;
  packed[at(d)] *= step;
  return view_of(x, sizes, strides, x.storage_offset(), "UnfoldBackward0",
                 [=](const Tensor& g, Backward&) {
                   return as_strided_backward(g, sizes, packed, 0, whole, whole_strides, 0);
                 });
}

}  // namespace tarn
