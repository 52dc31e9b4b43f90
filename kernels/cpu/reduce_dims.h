// The dimensions of a reduction, brought into the order in which they are walked.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "tarn/kernels/kernel_table.h"

namespace tarn::cpu {

// The kept or the reduced dimensions, innermost first, collapsed. Strides count elements.
struct ReduceDims {
  int count = 0;
  int64_t size[kMaxDims], in[kMaxDims], out[kMaxDims];

  int64_t numel() const {
    int64_t n = 1;
    for (int d = 0; d < count; ++d) n *= size[d];
    return n;
  }
  void add(int64_t n, int64_t in_stride, int64_t out_stride) {
    size[count] = n;
    in[count] = in_stride;
    out[count++] = out_stride;
  }
  // Smallest input stride innermost; a broadcast (0) goes outermost.
  void sort() {
    const auto key = [&](int d) {
      return in[d] == 0 ? std::numeric_limits<int64_t>::max() : in[d];
    };
    for (int i = 1; i < count; ++i) {
      for (int j = i; j > 0 && key(j) < key(j - 1); --j) {
        std::swap(size[j], size[j - 1]);
        std::swap(in[j], in[j - 1]);
        std::swap(out[j], out[j - 1]);
      }
    }
  }
  void collapse() {
    int last = 0;
    for (int d = 1; d < count; ++d) {
      if (in[d] == in[last] * size[last] && out[d] == out[last] * size[last]) {
        size[last] *= size[d];
      } else {
        ++last;
        size[last] = size[d], in[last] = in[d], out[last] = out[d];
      }
    }
    count = last + 1;
  }

  // Calls f(input offset, n, index) for the runs along dimension 0 that make up [begin, end) of the
  // flattened dimensions.
  template <class F>
  void runs(int64_t begin, int64_t end, F&& f) const {
    int64_t place[kMaxDims];
    int64_t offset = 0, rest = begin;
    for (int d = 0; d < count; ++d) {
      place[d] = rest % size[d];
      rest /= size[d];
      offset += place[d] * in[d];
    }
    for (;;) {
      const int64_t n = std::min(size[0] - place[0], end - begin);
      f(offset, n, begin);
      begin += n;
      if (begin == end) return;
      offset -= place[0] * in[0];
      place[0] = 0;
      for (int d = 1;; ++d) {
        offset += in[d];
        if (++place[d] < size[d]) break;
        offset -= size[d] * in[d];
        place[d] = 0;
      }
    }
  }
};

// Sorts the dimensions into kept and reduced ones, at least one of each. The reduced ones of an op
// that wants the index of an element stay in row-major order.
inline void split_dims(const ReduceArgs& args, bool indexed, ReduceDims& kept,
                       ReduceDims& reduced) {
  const View &in = args.in, &out = args.out;
  for (int d = in.ndim - 1; d >= 0; --d) {
    if (in.sizes[d] == 1) continue;
    ReduceDims& dims = out.strides[d] == 0 ? reduced : kept;
    dims.add(in.sizes[d], in.strides[d], out.strides[d]);
  }
  if (!indexed) reduced.sort();
  kept.sort();
  if (reduced.count == 0) reduced.add(1, 0, 0);
  if (kept.count == 0) kept.add(1, 0, 0);
  reduced.collapse();
  kept.collapse();
}

}  // namespace tarn::cpu
