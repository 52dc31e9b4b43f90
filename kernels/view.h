// What a kernel sees of a tensor: a pointer, an element type and a strided shape.
#pragma once

#include <cstdint>

#include "tarn/kernels/dtype.h"

namespace tarn {

// The most dimensions a tensor may have, as in PyTorch.
inline constexpr int kMaxDims = 64;

// Non-owning. `sizes` and `strides` have `ndim` entries and outlive the call; strides count
// elements and may be 0 (broadcast). Kernels never write through an input view.
struct View {
  void* data;
  const int64_t* sizes;
  const int64_t* strides;
  int32_t ndim;
  ScalarType dtype;

  int64_t numel() const {
    int64_t n = 1;
    for (int d = 0; d < ndim; ++d) n *= sizes[d];
    return n;
  }
  // True when elements follow one another in row-major order.
  bool is_contiguous() const {
    int64_t expected = 1;
    for (int d = ndim - 1; d >= 0; --d) {
      if (sizes[d] == 1) continue;
      if (strides[d] != expected) return sizes[d] == 0 || numel() == 0;
      expected *= sizes[d];
    }
    return true;
  }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

}  // namespace tarn
