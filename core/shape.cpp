#include "tarn/core/shape.h"

#include <algorithm>

namespace tarn {

void check_same_device(const char* op, Device a, Device b) {
  if (a == b) [[likely]]
    return;
  throw DeviceError(str(
      "[", op, "] Expected all tensors to be on the same device, but found at least two devices, ",
      a, " and ", b, "! HINT: move one with to(device)"));
}

int64_t wrap_dim(const char* op, int64_t d, int64_t ndim) {
  const int64_t range = std::max<int64_t>(ndim, 1);
  if (d < -range || d >= range) {
    throw IndexError(str("[", op, "] Dimension out of range (expected to be in range of [", -range,
                         ", ", range - 1, "], but got ", d, ")"));
  }
  return d < 0 ? d + range : d;
}

SmallVector<bool, 8> dim_mask(const char* op, IntArrayRef dims, int64_t ndim) {
  SmallVector<bool, 8> mask(static_cast<size_t>(ndim), dims.empty());
  for (int64_t d : dims) {
    const auto i = static_cast<size_t>(wrap_dim(op, d, ndim));
    if (ndim == 0) continue;
    if (mask[i])
      throw IndexError(str("[", op, "] dim ", i, " appears multiple times in the list of dims"));
    mask[i] = true;
  }
  return mask;
}

DimVector broadcast_shapes(const char* op, IntArrayRef a, IntArrayRef b) {
  const IntArrayRef longer = a.size() >= b.size() ? a : b, shorter = a.size() >= b.size() ? b : a;
  DimVector out(longer);
  const size_t lead = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    int64_t& d = out[lead + i];
    if (d == shorter[i] || shorter[i] == 1) continue;
    if (d != 1) {
      throw ShapeError(
          str("[", op, "] The size of tensor a (", a[lead + i - (longer.size() - a.size())],
              ") must match the size of tensor b (", b[lead + i - (longer.size() - b.size())],
              ") at non-singleton dimension ", lead + i, ": shapes ", a, " and ", b));
    }
    d = shorter[i];
  }
  return out;
}

bool is_broadcastable_to(IntArrayRef from, IntArrayRef to) {
  if (from.size() > to.size()) return false;
  const size_t lead = to.size() - from.size();
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i] != 1 && from[i] != to[lead + i]) return false;
  }
  return true;
}

void broadcast_strides(IntArrayRef sizes, IntArrayRef strides, IntArrayRef to, int64_t* out) {
  const size_t lead = to.size() - sizes.size();
  for (size_t i = 0; i < lead; ++i) out[i] = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    out[lead + i] = sizes[i] == 1 && to[lead + i] != 1 ? 0 : strides[i];
  }
}

DimVector contiguous_strides(IntArrayRef sizes) {
  DimVector strides(sizes.size(), 1);
  int64_t stride = 1;
  for (size_t d = sizes.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= std::max<int64_t>(sizes[d], 1);
  }
  return strides;
}

bool is_dense(IntArrayRef sizes, IntArrayRef strides) {
  SmallVector<size_t, 6> order;
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] == 0) return true;
    if (sizes[d] != 1) order.push_back(d);
  }
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return strides[a] < strides[b]; });
  int64_t expected = 1;
  for (size_t d : order) {
    if (strides[d] != expected) return false;
    expected *= sizes[d];
  }
  return true;
}

DimVector strides_like(IntArrayRef sizes, ArrayRef<IntArrayRef> operands) {
  // Positive if dimension a belongs outside of b, 0 if nothing says so. A stride of 0 is silent; of
  // equal strides the smaller size is inside.
  const auto compare = [&](size_t a, size_t b) {
    for (const IntArrayRef& strides : operands) {
      if (strides[a] == 0 || strides[b] == 0) continue;
      if (strides[a] != strides[b]) return strides[a] > strides[b] ? 1 : -1;
      if (sizes[a] > sizes[b]) return 1;
    }
    return 0;
  };
  // The relation is not transitive, so only this very sort gives PyTorch's order.
  SmallVector<size_t, 6> order;  // innermost first
  for (size_t d = sizes.size(); d-- > 0;) order.push_back(d);
  for (size_t i = 1; i < order.size(); ++i) {
    for (size_t at = i, below = i; below-- > 0;) {
      const int sign = compare(order[below], order[at]);
      if (sign < 0) break;
      if (sign == 0) continue;
      std::swap(order[below], order[at]);
      at = below;
    }
  }
  DimVector strides(sizes.size(), 1);
  int64_t stride = 1;
  for (size_t d : order) {
    strides[d] = stride;
    stride *= std::max<int64_t>(sizes[d], 1);
  }
  return strides;
}

int64_t numel_of(IntArrayRef sizes) {
  int64_t n = 1;
  for (int64_t s : sizes) n *= s;
  return n;
}

DimVector infer_size(const char* op, IntArrayRef sizes, int64_t numel) {
  DimVector out(sizes);
  int64_t known = 1, unknown = -1;
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] == -1) {
      if (unknown >= 0)
        throw ShapeError(str("[", op, "] only one dimension can be inferred, got ", sizes));
      unknown = static_cast<int64_t>(i);
    } else {
      if (out[i] < 0)
        throw ShapeError(str("[", op, "] invalid shape dimension ", out[i], " in ", sizes));
      if (__builtin_mul_overflow(known, out[i], &known)) known = -1;
    }
  }
  if (unknown >= 0 && known == 0 && numel == 0) {
    throw ShapeError(
        str("[", op, "] cannot reshape tensor of 0 elements into shape ", sizes,
            " because the unspecified dimension size -1 can be any value and is ambiguous"));
  }
  if (unknown >= 0 && known > 0 && numel % known == 0) {
    out[static_cast<size_t>(unknown)] = numel / known;
  } else if (unknown >= 0 || known != numel) {
    throw ShapeError(str("[", op, "] shape '", sizes, "' is invalid for input of size ", numel));
  }
  return out;
}

bool view_strides(IntArrayRef sizes, IntArrayRef strides, IntArrayRef new_sizes, DimVector* out) {
  const int64_t numel = numel_of(sizes);
  if (numel == 0) {
    *out = sizes == new_sizes ? DimVector(strides) : contiguous_strides(new_sizes);
    return true;
  }
  *out = DimVector(new_sizes.size(), 1);
  // Walk runs of dimensions that are contiguous among themselves, from the last; each run is cut
  // into new dimensions.
  size_t next = new_sizes.size();
  int64_t run_numel = 1, covered = 1;
  int64_t base_stride = sizes.empty() ? 1 : strides[sizes.size() - 1];
  for (size_t d = sizes.size(); d-- > 0;) {
    run_numel *= sizes[d];
    const bool run_ends =
        d == 0 || (sizes[d - 1] != 1 && strides[d - 1] != run_numel * base_stride);
    if (!run_ends) continue;
    while (next > 0 && (covered < run_numel || new_sizes[next - 1] == 1)) {
      --next;
      (*out)[next] = covered * base_stride;
      covered *= new_sizes[next];
    }
    if (covered != run_numel) return false;
    if (d > 0) {
      base_stride = strides[d - 1];
      run_numel = covered = 1;
    }
  }
  while (next > 0) (*out)[--next] = covered * base_stride;
  return true;
}

void check_geometry(const char* op, IntArrayRef sizes, IntArrayRef strides, int64_t offset,
                    int64_t capacity) {
  if (sizes.size() != strides.size()) {
    throw ShapeError(
        str("[", op, "] mismatch in length of strides and shape: ", strides, " and ", sizes));
  }
  if (sizes.size() > kMaxDims) {
    throw ShapeError(
        str("[", op, "] a tensor has at most ", kMaxDims, " dimensions, got rank ", sizes.size()));
  }
  if (offset < 0) throw ShapeError(str("[", op, "] Tensor: invalid storage offset ", offset));
  bool empty = false, overflow = false;
  int64_t last = offset, numel = 1;
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] < 0) throw ShapeError(str("[", op, "] negative size in ", sizes));
    if (strides[d] < 0)
      throw ShapeError(str("[", op, "] Negative strides are not supported, got ", strides));
    empty |= sizes[d] == 0;
    overflow |= __builtin_mul_overflow(numel, std::max<int64_t>(sizes[d], 1), &numel);
    int64_t span = 0;
    overflow |= __builtin_mul_overflow(std::max<int64_t>(sizes[d] - 1, 0), strides[d], &span);
    overflow |= __builtin_add_overflow(last, span, &last);
  }
  if (overflow || (!empty && last >= capacity)) {
    throw ShapeError(str("[", op, "] setStorage: sizes ", sizes, ", strides ", strides,
                         ", storage offset ", offset, " are out of bounds for storage of ",
                         capacity, " elements", overflow ? " (overflow)" : ""));
  }
}

bool has_internal_overlap(const View& v) {
  for (int d = 0; d < v.ndim; ++d) {
    if (v.sizes[d] > 1 && v.strides[d] == 0) return true;
  }
  return false;
}

}  // namespace tarn
