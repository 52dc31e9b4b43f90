// Walking several strided views at once, and converting runs of elements between dtypes.
//
//   StridedLoop loop(out, a, b);                      // collapses dimensions; stack only
//   loop.for_each(grain, [&](int64_t n, char* const* p, const int64_t* stride) {
//     // n elements of each operand: element i of operand k is at p[k] + i * stride[k] * item size
//   });
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "tarn/device/parallel.h"
#include "tarn/kernels/view.h"

namespace tarn::cpu {

// In which order elements are visited. kMemory: dimensions sorted so that the first operand's (then
// the others') smallest strides run innermost, as PyTorch's TensorIterator does. kRowMajor: as the
// sizes say, last dimension fastest.
enum class LoopOrder : int8_t { kMemory, kRowMajor };

class StridedLoop {
 public:
  static constexpr int kMaxOperands = 10;

  // All views have the same sizes. The loop keeps pointers and strides, not the views.
  template <class... Views>
  explicit StridedLoop(const View& first, const Views&... rest) {
    const View* views[] = {&first, &rest...};
    init(views, 1 + static_cast<int>(sizeof...(rest)), LoopOrder::kMemory);
  }
  StridedLoop(const View* const* views, int count, LoopOrder order = LoopOrder::kMemory) {
    init(views, count, order);
  }

  int64_t numel() const { return numel_; }
  // True when the inner function is called once for everything.
  bool is_flat() const { return ndim_ == 1; }
  // Strides, in elements, with which the inner function is called.
  const int64_t* inner_strides() const { return inner_strides_; }
  // The collapsed dimensions, innermost first, for kernels that walk them on their own. size and
  // stride (in bytes) may be asked for only if !is_flat().
  int ndim() const { return ndim_; }
  int64_t size(int d) const { return sizes_[d]; }
  int64_t stride(int d, int operand) const { return strides_[d][operand]; }
  char* data(int operand) const { return data_[operand]; }

  // Calls inner(n, pointers, strides) for the elements [begin, end) of the visiting order.
  template <class Inner>
  void run(int64_t begin, int64_t end, Inner&& inner) const {
    if (begin >= end) return;
    char* pointers[kMaxOperands];
    if (ndim_ == 1) {
      for (int k = 0; k < count_; ++k) {
        pointers[k] = data_[k] + begin * inner_strides_[k] * item_size_[k];
      }
      inner(end - begin, static_cast<char* const*>(pointers), inner_strides_);
      return;
    }
    int64_t index[kMaxDims];
    for (int k = 0; k < count_; ++k) pointers[k] = data_[k];
    int64_t rest = begin;
    for (int d = 0; d < ndim_; ++d) {
      index[d] = rest % sizes_[d];
      rest /= sizes_[d];
      for (int k = 0; k < count_; ++k) pointers[k] += index[d] * strides_[d][k];
    }
    for (int64_t left = end - begin;;) {
      const int64_t n = std::min(sizes_[0] - index[0], left);
      inner(n, static_cast<char* const*>(pointers), inner_strides_);
      left -= n;
      if (left == 0) return;
      for (int k = 0; k < count_; ++k) pointers[k] -= index[0] * strides_[0][k];
      index[0] = 0;
      for (int d = 1;; ++d) {
        if (++index[d] < sizes_[d]) {
          for (int k = 0; k < count_; ++k) pointers[k] += strides_[d][k];
          break;
        }
        for (int k = 0; k < count_; ++k) pointers[k] -= (sizes_[d] - 1) * strides_[d][k];
        index[d] = 0;
      }
    }
  }

  // The same for all elements, on several threads when there are at least two grains of them.
  template <class Inner>
  void for_each(int64_t grain, Inner&& inner) const {
    parallel_for(0, numel_, grain, [&](int64_t begin, int64_t end) { run(begin, end, inner); });
  }

 private:
  // Inlined for the common case: every operand is contiguous or one broadcast element.
  void init(const View* const* views, int count, LoopOrder order) {
    const int ndim = views[0]->ndim;
    const int64_t* sizes = views[0]->sizes;
    count_ = count;
    bool flat = true;
    int64_t numel = 1;
    for (int d = 0; d < ndim; ++d) numel *= sizes[d];
    numel_ = numel;
    for (int k = 0; k < count; ++k) {
      const View& view = *views[k];
      data_[k] = static_cast<char*>(view.data);
      item_size_[k] = element_size(view.dtype);
      bool contiguous = true, broadcast = true;
      int64_t expected = 1;
      for (int d = ndim - 1; d >= 0; --d) {
        if (sizes[d] == 1) continue;
        contiguous &= view.strides[d] == expected;
        broadcast &= view.strides[d] == 0;
        expected *= sizes[d];
      }
      inner_strides_[k] = contiguous ? 1 : 0;
      flat &= contiguous || broadcast;
    }
    ndim_ = 1;
    if (!flat && numel > 1) collapse(views, order);
  }
  void collapse(const View* const* views, LoopOrder order);

  int count_;
  int ndim_;  // at least 1
  int64_t numel_;
  char* data_[kMaxOperands];
  int64_t item_size_[kMaxOperands];
  int64_t inner_strides_[kMaxOperands];      // elements
  int64_t sizes_[kMaxDims];                  // innermost first; these two only if ndim_ > 1
  int64_t strides_[kMaxDims][kMaxOperands];  // bytes
};

// A loop over the lines of the views along dimension `dim`, which leads to their first elements. A
// 0-dim view is a line of its own.
StridedLoop starts_of_lines(const View* const* views, int count, int dim);

// dst[i * dst_stride] = src[i * src_stride] for i in [0, n), strides in elements, converted as
// kernels/convert.h says. dst and src must not overlap, unless they are equal in address, dtype and
// stride.
using Converter = void (*)(void* dst, int64_t dst_stride, const void* src, int64_t src_stride,
                           int64_t n);
// The converter of the instruction set in use. Costs a few ns: fetch it once, outside loops.
Converter converter(ScalarType to, ScalarType from);

// Gathers n strided elements of any dtype into a buffer of the compute type and scatters them back.
template <class V>
void load_chunk(V* buffer, const void* src, ScalarType dtype, int64_t stride, int64_t n) {
  converter(ScalarTypeOf<V>, dtype)(buffer, 1, src, stride, n);
}
template <class V>
void store_chunk(void* dst, ScalarType dtype, int64_t stride, const V* buffer, int64_t n) {
  converter(dtype, ScalarTypeOf<V>)(dst, stride, buffer, 1, n);
}

}  // namespace tarn::cpu
