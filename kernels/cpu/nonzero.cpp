// Counting and listing the elements that are not zero.
#include <algorithm>
#include <atomic>

#include "tarn/kernels/cpu/kernels.h"
#include "tarn/kernels/cpu/strided.h"
#include "tarn/kernels/element_ops.h"

namespace tarn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 14;  // elements worth a thread
constexpr int64_t kChunk = 256;      // elements searched at once

template <class T>
int64_t count_run(const char* data, int64_t stride, int64_t n) {
  const T* x = reinterpret_cast<const T*>(data);
  int64_t count = 0;
  if (stride == 1) {
    constexpr int64_t kBlock = 240;  // what a byte can count
    using Count = std::conditional_t<sizeof(T) == 1, uint8_t, uint32_t>;
    for (; n >= kBlock; n -= kBlock, x += kBlock) {
      Count block = 0;
      for (int64_t i = 0; i < kBlock; ++i) block = static_cast<Count>(block + is_nonzero(x[i]));
      count += block;
    }
  }
  for (int64_t i = 0; i < n; ++i) count += is_nonzero(x[i * stride]);
  return count;
}

// Writes the i in [0, n) with x[i * stride] != 0 to `found` (n places) and returns how many.
template <class T>
int64_t find_run(const char* data, int64_t stride, int64_t n, int64_t* found) {
  const T* x = reinterpret_cast<const T*>(data);
  int64_t count = 0;
  for (int64_t i = 0; i < n; ++i) {
    found[count] = i;  // without a branch on the data
    count += is_nonzero(x[i * stride]);
  }
  return count;
}

}  // namespace

int64_t count_nonzero(const View& x) {
  const auto count = visit_zero(x.dtype, []<class T>(T) { return &count_run<T>; });
  std::atomic<int64_t> total{0};
  StridedLoop(x).for_each(kGrain, [&](int64_t n, char* const* p, const int64_t* stride) {
    total.fetch_add(count(p[0], stride[0], n), std::memory_order_relaxed);
  });
  return total.load();
}

void nonzero(const View& out, const View& x) {
  if (x.ndim == 0 || x.numel() == 0) return;
  const auto find = visit_zero(x.dtype, []<class T>(T) { return &find_run<T>; });
  const int last = x.ndim - 1;
  const int64_t length = x.sizes[last], item = element_size(x.dtype);
  const int64_t step = out.strides[0], coordinate = out.strides[1];
  int64_t* target = out.as<int64_t>();
  const char* row = x.as<char>();
  int64_t place[kMaxDims] = {};
  for (int d = 0; d >= 0;) {
    for (int64_t start = 0; start < length; start += kChunk) {
      int64_t found[kChunk];
      const int64_t count = find(row + start * x.strides[last] * item, x.strides[last],
                                 std::min(kChunk, length - start), found);
      for (int64_t i = 0; i < count; ++i, target += step) {
        for (int j = 0; j < last; ++j) target[j * coordinate] = place[j];
        target[last * coordinate] = start + found[i];
      }
    }
    for (d = last - 1; d >= 0; --d) {
      row += x.strides[d] * item;
      if (++place[d] < x.sizes[d]) break;
      row -= x.strides[d] * item * x.sizes[d];
      place[d] = 0;
    }
  }
}

}  // namespace tarn::cpu
