// Shapes by composition: joining, splitting, repeating, and undoing broadcasts.
#include <algorithm>

#include "tarn/core/factories.h"
#include "tarn/core/node.h"
#include "tarn/core/shape.h"

namespace tarn {

Tensor cat(TensorList tensors, int64_t dim) {
  TARN_CHECK(!tensors.empty(), "[cat] expected a non-empty list of Tensors");
  // A 1-d tensor without elements joins anything, as in PyTorch.
  const auto is_skipped = [](const Tensor& t) { return t.dim() == 1 && t.size(0) == 0; };
  const Tensor* first = nullptr;
  ScalarType dtype = tensors[0].dtype();
  for (const Tensor& t : tensors) {
    TARN_CHECK(t.dim() > 0,
               "[cat] zero-dimensional tensor cannot be concatenated. HINT: stack() joins along a "
               "new dimension");
    if (!first && !is_skipped(t)) first = &t;
    dtype = promote_types(dtype, t.dtype());
    check_same_device("cat", tensors[0].device(), t.device());
  }
  if (!first) first = &tensors[0];
  const int64_t d = wrap_dim("cat", dim, first->dim());
  DimVector sizes(first->sizes());
  sizes[static_cast<size_t>(d)] = 0;
  for (const Tensor& t : tensors) {
    if (is_skipped(t)) continue;
    TARN_CHECK(t.dim() == first->dim(), "[cat] Tensors must have same number of dimensions: got ",
               first->dim(), " and ", t.dim());
    for (int64_t k = 0; k < t.dim(); ++k) {
      if (k == d || t.size(k) == first->size(k)) continue;
      throw ShapeError(str("[cat] Sizes of tensors must match except in dimension ", d,
                           ". Expected size ", first->size(k), " but got size ", t.size(k),
                           " for dimension ", k, ": shapes ", first->sizes(), " and ", t.sizes()));
    }
    sizes[static_cast<size_t>(d)] += t.size(d);
  }
  Tensor out = detail::make_empty(sizes, dtype, first->device());
  SmallVector<int64_t, 8> starts;
  {
    const NoGradGuard guard;
    int64_t start = 0;
    for (const Tensor& t : tensors) {
      const int64_t length = is_skipped(t) ? 0 : t.size(d);
      starts.push_back(start);
      if (length > 0) out.narrow(d, start, length).copy_(t);
      start += length;
    }
    starts.push_back(start);
  }
  if (!is_floating_point(dtype) || !needs_grad(tensors)) return out;
  auto node = make_node("CatBackward0", {}, {}, [d, starts](Backward& b) {
    for (size_t i = 0; i + 1 < starts.size(); ++i) {
      if (b.needs(i)) b[i] = b.grad().narrow(d, starts[i], starts[i + 1] - starts[i]);
    }
  });
  for (const Tensor& t : tensors) node->add_input(is_skipped(t) ? Tensor() : t);
  set_history(out, std::move(node));
  return out;
}

Tensor stack(TensorList tensors, int64_t dim) {
  TARN_CHECK(!tensors.empty(), "[stack] expected a non-empty TensorList");
  const int64_t d = wrap_dim("stack", dim, tensors[0].dim() + 1);
  std::vector<Tensor> rows;
  for (const Tensor& t : tensors) {
    if (!(t.sizes() == tensors[0].sizes())) {
      throw ShapeError(str("[stack] stack expects each tensor to be equal size, but got ",
                           tensors[0].sizes(), " at entry 0 and ", t.sizes(), " at entry ",
                           rows.size()));
    }
    check_same_device("stack", tensors[0].device(), t.device());
    rows.push_back(t.unsqueeze(d));
  }
  return cat(rows, d);
}

Tensor vstack(TensorList tensors) {
  std::vector<Tensor> rows;
  for (const Tensor& t : tensors) rows.push_back(t.dim() < 2 ? t.reshape({1, -1}) : t);
  return cat(rows, 0);
}

Tensor hstack(TensorList tensors) {
  std::vector<Tensor> parts;
  for (const Tensor& t : tensors) parts.push_back(t.dim() == 0 ? t.reshape({1}) : t);
  return cat(parts, !parts.empty() && parts[0].dim() == 1 ? 0 : 1);
}

Tensor broadcast_to(const Tensor& x, IntArrayRef sizes) { return x.expand(sizes); }

std::vector<Tensor> broadcast_tensors(TensorList tensors) {
  DimVector sizes;
  for (const Tensor& t : tensors) sizes = broadcast_shapes("broadcast_tensors", sizes, t.sizes());
  std::vector<Tensor> out;
  for (const Tensor& t : tensors) out.push_back(t.expand(sizes));
  return out;
}

std::vector<Tensor> Tensor::split(IntArrayRef split_sizes, int64_t dim) const {
  const int64_t d = wrap_dim("split", dim, this->dim());
  int64_t total = 0;
  for (int64_t n : split_sizes) total += n;
  TARN_CHECK(total == size(d), "[split] split_with_sizes expects split_sizes to sum exactly to ",
             size(d), " (input tensor's size at dimension ", d,
             "), but got split_sizes=", split_sizes);
  std::vector<Tensor> parts;
  int64_t start = 0;
  for (int64_t n : split_sizes) {
    parts.push_back(narrow(d, start, n));
    start += n;
  }
  return parts;
}

std::vector<Tensor> Tensor::split(int64_t split_size, int64_t dim) const {
  const int64_t d = wrap_dim("split", dim, this->dim()), length = size(d);
  TARN_CHECK(split_size > 0 || (split_size == 0 && length == 0),
             "[split] split_size must be positive, got ", split_size);
  std::vector<Tensor> parts;
  for (int64_t start = 0; start < length || parts.empty(); start += split_size) {
    parts.push_back(narrow(d, start, std::min(split_size, length - start)));
  }
  return parts;
}

std::vector<Tensor> Tensor::chunk(int64_t chunks, int64_t dim) const {
  TARN_CHECK(chunks > 0, "chunk expects `chunks` to be greater than 0, got: ", chunks);
  const int64_t length = size(dim);
  return split(std::max<int64_t>((length + chunks - 1) / chunks, length == 0 ? 0 : 1), dim);
}

std::vector<Tensor> Tensor::tensor_split(int64_t sections, int64_t dim) const {
  TARN_CHECK(this->dim() > 0, "[tensor_split] expected at least a 1-dimensional tensor");
  TARN_CHECK(sections > 0, "[tensor_split] number of sections must be larger than 0, got ",
             sections);
  const int64_t length = size(dim);
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < sections; ++i)
    lengths.push_back(length / sections + (i < length % sections));
  return split(lengths, dim);
}

std::vector<Tensor> Tensor::unbind(int64_t dim) const {
  std::vector<Tensor> parts;
  for (int64_t i = 0, n = size(dim); i < n; ++i) parts.push_back(select(dim, i));
  return parts;
}

Tensor Tensor::repeat(IntArrayRef repeats) const {
  TARN_CHECK(static_cast<int64_t>(repeats.size()) >= dim(),
             "[repeat] Number of dimensions of repeat dims ", repeats,
             " can not be smaller than number of dimensions of tensor ", sizes());
  const size_t lead = repeats.size() - sizes().size();
  DimVector ones_between, expanded, result;
  for (size_t i = 0; i < repeats.size(); ++i) {
    const int64_t n = i < lead ? 1 : sizes()[i - lead];
    ones_between.append({1, n});
    expanded.append({repeats[i], n});
    result.push_back(repeats[i] * n);
  }
  return reshape(ones_between).expand(expanded).clone(MemoryFormat::Contiguous).view(result);
}

Tensor Tensor::repeat_interleave(int64_t repeats, std::optional<int64_t> dim) const {
  TARN_CHECK(repeats >= 0, "[repeat_interleave] repeats can not be negative, got ", repeats);
  if (!dim) return flatten().repeat_interleave(repeats, 0);
  const int64_t d = wrap_dim("repeat_interleave", *dim, this->dim());
  DimVector once(this->sizes()), sizes(this->sizes());
  once.insert(static_cast<size_t>(d) + 1, repeats);
  sizes[static_cast<size_t>(d)] *= repeats;
  return unsqueeze(d + 1).expand(once).reshape(sizes);
}

Tensor Tensor::roll(IntArrayRef shifts, IntArrayRef dims) const {
  if (dims.empty() && shifts.size() == 1) return flatten().roll(shifts, 0).view(sizes());
  TARN_CHECK(shifts.size() == dims.size(),
             "[roll] shifts and dimensions must align. shifts: ", shifts.size(),
             ", dims:", dims.size());
  Tensor out = *this;
  for (size_t i = 0; i < dims.size() && numel() > 0; ++i) {
    const int64_t n = size(dims[i]), start = ((-shifts[i]) % n + n) % n;
    out = cat({out.narrow(dims[i], start, n - start), out.narrow(dims[i], 0, start)}, dims[i]);
  }
  return out;
}

Tensor Tensor::flip(IntArrayRef dims) const {
  Tensor out = *this;
  if (dims.empty()) return clone();
  dim_mask("flip", dims, dim());
  for (int64_t d : dims) {
    const int64_t n = dim() == 0 ? 1 : size(d);
    if (dim() == 0) return clone();
    out = out.index_select(d, n - 1 - arange(n, TensorOptions(kLong).device(device())));
  }
  return out;
}

Tensor Tensor::sum_to_size(IntArrayRef target) const {
  if (sizes() == target) return *this;
  if (!is_broadcastable_to(target, sizes())) {
    throw ShapeError(str("[sum_to_size] size ", target, " is not expandable to size ", sizes()));
  }
  const size_t lead = sizes().size() - target.size();
  DimVector dims;
  for (size_t d = 0; d < sizes().size(); ++d) {
    if (d < lead || (target[d - lead] == 1 && sizes()[d] != 1))
      dims.push_back(static_cast<int64_t>(d));
  }
  if (dims.empty()) return reshape(target);
  const Tensor total = sum(dims, /*keepdim=*/true);
  return lead > 0 ? total.reshape(target) : total;
}

namespace {

Tensor triangle(const char* op, const Tensor& x, int64_t diagonal, bool lower) {
  TARN_CHECK(x.dim() >= 2, "[", op, "] input tensor must have at least 2 dimensions, got ",
             x.sizes());
  const TensorOptions index = TensorOptions(kLong).device(x.device());
  const Tensor rows = arange(x.size(-2), index).unsqueeze(1), columns = arange(x.size(-1), index);
  const Tensor offset = columns - rows;
  return where(lower ? offset <= diagonal : offset >= diagonal, x, false);
}

}  // namespace

Tensor Tensor::tril(int64_t diagonal) const { return triangle("tril", *this, diagonal, true); }
Tensor Tensor::triu(int64_t diagonal) const { return triangle("triu", *this, diagonal, false); }

std::vector<Tensor> meshgrid(TensorList tensors, std::string_view indexing) {
  TARN_CHECK(indexing == "ij" || indexing == "xy",
             "[meshgrid] indexing must be one of \"xy\" or \"ij\", but received: ", indexing);
  const bool swap = indexing == "xy" && tensors.size() > 1;
  std::vector<Tensor> lines;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const size_t place = swap && i < 2 ? 1 - i : i;
    DimVector sizes(tensors.size(), 1);
    sizes[place] = tensors[i].numel();
    lines.push_back(tensors[i].reshape(sizes));
  }
  return broadcast_tensors(lines);
}

}  // namespace tarn
