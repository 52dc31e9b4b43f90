// Walking several strided views at once on the device, and elements of dtypes known at run time.
//
//   for_each_part<3>(StridedLoop(out, a, b), [&](const StridedIndex<3>& index, void* const* data) {
//     launch(kernel, blocks_for(index.count), kBlockSize, 0, index, data[0], ...);
//   });
//   __global__ void kernel(StridedIndex<3> index, ...) {
//     int64_t at[3];
//     index.offsets(i, at);    // element i of operand k is data[k][at[k]]
//   }
//
// Neighbouring i are neighbours in the memory of the first operand wherever its layout allows it.
#pragma once

#include <bit>
#include <cstdint>

#include "tarn/kernels/convert.h"
#include "tarn/kernels/cpu/strided.h"
#include "tarn/kernels/cuda/gpu.h"

namespace tarn::cuda {

using cpu::StridedLoop;

// What one launch can count; for_each_part cuts the rest into several. The kernels' indices have 32
// bits, because divisions of 64 take several times as long.
inline constexpr int64_t kMaxPart = (int64_t{1} << 31) - 1;
inline constexpr int kMaxPartDims = 16;

// Division of numbers below 2^31 by one from 1 to 2^31 - 1 (T. Granlund and P. L. Montgomery,
// Division by Invariant Integers using Multiplication, 1994).
class Divisor {
 public:
  Divisor() = default;
  explicit Divisor(uint32_t d) : divisor_(d), shift_(static_cast<uint32_t>(std::bit_width(d - 1))) {
    const uint64_t excess = (uint64_t{1} << shift_) - d;
    multiplier_ = static_cast<uint32_t>((excess << 32) / d + 1);
  }
  // n becomes the quotient; the remainder is returned.
  TARN_HD uint32_t divide(uint32_t& n) const {
    const uint32_t high = static_cast<uint32_t>(uint64_t{n} * multiplier_ >> 32);
    const uint32_t quotient = (high + n) >> shift_;
    const uint32_t remainder = n - quotient * divisor_;
    n = quotient;
    return remainder;
  }

 private:
  uint32_t divisor_, multiplier_, shift_;
};

// The offsets, in elements, of element i of each of kOperands operands: a kernel parameter.
template <int kOperands>
struct StridedIndex {
  uint32_t count;  // of elements
  int ndim;
  Divisor size[kMaxPartDims];  // innermost first
  int64_t stride[kMaxPartDims][kOperands];

  TARN_HD void offsets(uint32_t i, int64_t (&at)[kOperands]) const {
    for (int k = 0; k < kOperands; ++k) at[k] = 0;
    for (int d = 0; d < ndim; ++d) {
      // What is left of i is the place in the last dimension.
      const uint32_t place = d == ndim - 1 ? i : size[d].divide(i);
      for (int k = 0; k < kOperands; ++k) at[k] += place * stride[d][k];
    }
  }
};

// Dimensions and what they are to kOperands operands, before they are cut into parts. Strides and
// item sizes are in elements and bytes.
template <int kOperands>
struct Walk {
  int ndim = 0;  // at least 1 once filled
  int64_t numel = 1;
  int64_t size[kMaxDims] = {};  // innermost first
  int64_t stride[kMaxDims][kOperands];
  char* data[kOperands];
  int64_t items[kOperands];

  Walk() = default;
  Walk(const StridedLoop& loop, const int64_t* item_sizes)
      : ndim(loop.ndim()), numel(loop.numel()) {
    for (int k = 0; k < kOperands; ++k) {
      data[k] = loop.data(k);
      items[k] = item_sizes[k];
    }
    for (int d = 0; d < ndim; ++d) {
      size[d] = loop.is_flat() ? numel : loop.size(d);
      for (int k = 0; k < kOperands; ++k) {
        stride[d][k] = loop.is_flat() ? loop.inner_strides()[k] : loop.stride(d, k) / items[k];
      }
    }
  }
};

namespace detail {

// What is called for a part, whatever its type: all callers share the code that cuts.
template <int kOperands>
struct PartCallback {
  void (*call)(const void* f, const StridedIndex<kOperands>& index, void* const* data);
  const void* f;
};

template <int kOperands>
[[gnu::noinline]] void cut(const Walk<kOperands>& walk, PartCallback<kOperands> callback,
                           int64_t limit) {
  if (walk.numel == 0) return;
  // The dimensions below `cut` go into a part as they are, `step` of dimension `cut`.
  StridedIndex<kOperands> index{};  // what a kernel is given holds nothing by chance
  int cut = 0;
  int64_t inner = 1;
  while (cut < walk.ndim - 1 && cut < kMaxPartDims - 1 && inner * walk.size[cut] <= limit) {
    inner *= walk.size[cut++];
  }
  const int64_t step = std::min(walk.size[cut], limit / inner);
  index.ndim = cut + 1;
  for (int d = 0; d <= cut; ++d) {
    index.size[d] = Divisor(static_cast<uint32_t>(d < cut ? walk.size[d] : step));
    std::copy_n(walk.stride[d], kOperands, index.stride[d]);
  }
  const int64_t slices = (walk.size[cut] + step - 1) / step;
  const int64_t parts = walk.numel / (inner * walk.size[cut]) * slices;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t first = part % slices * step;
    void* data[kOperands];
    for (int k = 0; k < kOperands; ++k) {
      int64_t at = first * walk.stride[cut][k], outer = part / slices;
      for (int d = cut + 1; d < walk.ndim; ++d) {
        at += outer % walk.size[d] * walk.stride[d][k];
        outer /= walk.size[d];
      }
      data[k] = walk.data[k] + at * walk.items[k];
    }
    index.count = static_cast<uint32_t>(inner * std::min(step, walk.size[cut] - first));
    callback.call(callback.f, index, data);
  }
}

}  // namespace detail

// Calls f(const StridedIndex<kOperands>&, void* const* data) for parts that make up all elements:
// one, unless there are more than `limit` of them or more dimensions than an index has.
template <int kOperands, class F>
void for_each_part(const Walk<kOperands>& walk, const F& f, int64_t limit = kMaxPart) {
  const auto call = [](const void* opaque, const StridedIndex<kOperands>& index,
                       void* const* data) { (*static_cast<const F*>(opaque))(index, data); };
  detail::cut<kOperands>(walk, {call, &f}, limit);
}
// The same for a loop whose operands have elements of the given sizes in bytes.
template <int kOperands, class F>
void for_each_part(const StridedLoop& loop, const int64_t* items, const F& f,
                   int64_t limit = kMaxPart) {
  for_each_part(Walk<kOperands>(loop, items), f, limit);
}

// Element i of an array of `dtype`, as V, and the way back.
template <class V>
TARN_HD V load(const void* data, ScalarType dtype, int64_t i) {
  return visit(dtype, [&]<class T>(T) -> V {
    return convert<V, T>(static_cast<const Stored<T>*>(data)[i]);
  });
}
template <class V>
TARN_HD void store(void* data, ScalarType dtype, int64_t i, V value) {
  visit(dtype, [&]<class T>(T) { static_cast<Stored<T>*>(data)[i] = convert<T, V>(value); });
}

// The same for several elements, those of operand k at the places that offsets() gave, in code that
// the emulator's builds share among all kernels.
template <class V, int kCount, int kOperands>
TARN_SHARED_CODE void load(V (&values)[kCount], const void* data, ScalarType dtype,
                           const int64_t (&at)[kCount][kOperands], int k) {
  visit(dtype, [&]<class T>(T) {
    for (int u = 0; u < kCount; ++u) {
      values[u] = convert<V, T>(static_cast<const Stored<T>*>(data)[at[u][k]]);
    }
  });
}
// Stores the first `count` of them.
template <class V, int kCount, int kOperands>
TARN_SHARED_CODE void store(void* data, ScalarType dtype, const int64_t (&at)[kCount][kOperands],
                            int k, const V (&values)[kCount], int count) {
  visit(dtype, [&]<class T>(T) {
    for (int u = 0; u < kCount; ++u) {
      if (u < count) static_cast<Stored<T>*>(data)[at[u][k]] = convert<T, V>(values[u]);
    }
  });
}

// 16 bytes of elements, which load and store at once. Only at addresses that are multiples of 16.
template <class T>
struct alignas(16) Vec {
  static constexpr int kSize = 16 / sizeof(T);
  T v[kSize];
};
inline bool is_aligned(const void* data) { return reinterpret_cast<uintptr_t>(data) % 16 == 0; }

}  // namespace tarn::cuda
