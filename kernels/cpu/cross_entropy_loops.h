// The loops of cross-entropy over rows of adjacent logits. Each body is compiled for every
// instruction set (isa.h).
#pragma once

#include "tarn/kernels/cpu/softmax_loops.h"
#include "tarn/kernels/cross_entropy_row.h"

namespace tarn::cpu {

// At most ShortRows<V>::kSize rows of n logits, `row` apart, and the largest of each. The weights
// of the classes are null without label smoothing.
template <class V>
struct LogitRows {
  const V* x;
  int64_t row, rows, n;
  V* largest;
  const V* weights;
};

template <class V>
struct ShiftedProduct {
  V shift;
  TARN_HD V operator()(V x, V weight) const { return (x - shift) * weight; }
};

// Finds of each row the largest logit, the sum of the exponentials of the shifted logits and its
// logarithm, and the sum of weight * shifted logit. log_sum has room for ShortRows<V>::kSize.
template <class V>
struct LogitStatistics {
  TARN_HD static void run(const LogitRows<V>* args, V* sum, V* log_sum, V* weighted) {
    const int64_t n = args->n;
    ShortRows<V> tile;
    if (n < kSoftmaxLanes) {
      const int64_t step = tile.kSize / n;
      for (int64_t begin = 0; begin < args->rows; begin += step) {
        const int64_t count = begin + step < args->rows ? step : args->rows - begin;
        tile.shift(args->x + begin * args->row, args->row, n, count, args->largest + begin);
        for (int64_t r = 0; r < count; ++r) {
          V total = V{0};
          for (int64_t i = 0; args->weights != nullptr && i < n; ++i)
            total += tile.t[r * n + i] * args->weights[i];
          weighted[begin + r] = total;
        }
        tile.sums(n, count, sum + begin);
      }
    } else {
      for (int64_t r = 0; r < args->rows; ++r) {
        const V* x = args->x + r * args->row;
        const V shift = row_max(x, n), pad = -std::numeric_limits<V>::infinity();
        args->largest[r] = shift;
        sum[r] = static_cast<V>(
            map_and_sum<false, false, V>(x, nullptr, nullptr, n, pad, ShiftedExp<V>{shift}));
        weighted[r] = args->weights == nullptr
                          ? V{0}
                          : static_cast<V>(map_and_sum<true, false, V>(
                                x, args->weights, nullptr, n, shift, ShiftedProduct<V>{shift}));
      }
    }
    std::memcpy(log_sum, sum, static_cast<size_t>(args->rows) * sizeof(V));
    tile.log(log_sum, args->rows);
  }
};

// Writes the gradient of each row as if it had no target, `out_row` apart: all 0 where it is scaled
// by 0, whatever the logits.
template <class V>
struct LogitGradient {
  TARN_HD static void run(const LogitRows<V>* args, const RowGradient<V>* gradients, V* out,
                          int64_t out_row) {
    const int64_t n = args->n;
    if (n < kSoftmaxLanes) {
      ShortRows<V> tile;
      const int64_t step = tile.kSize / n;
      for (int64_t begin = 0; begin < args->rows; begin += step) {
        const int64_t end = begin + step < args->rows ? begin + step : args->rows;
        V* e = tile.t;
        for (int64_t r = begin; r < end; ++r, e += n) {
          for (int64_t i = 0; i < n; ++i) e[i] = args->x[r * args->row + i] - args->largest[r];
        }
        tile.exp(tile.t, e - tile.t);
        e = tile.t;
        for (int64_t r = begin; r < end; ++r, e += n) {
          const RowGradient<V> gradient = gradients[r];
          V* to = out + r * out_row;
          if (gradient.scale == V{0})
            std::memset(to, 0, static_cast<size_t>(n) * sizeof(V));
          else if (args->weights == nullptr)
            for (int64_t i = 0; i < n; ++i) to[i] = gradient(e[i], V{0}, false);
          else
            for (int64_t i = 0; i < n; ++i) to[i] = gradient(e[i], args->weights[i], false);
        }
      }
      return;
    }
    for (int64_t r = 0; r < args->rows; ++r) {
      V* to = out + r * out_row;
      if (gradients[r].scale == V{0})
        std::memset(to, 0, static_cast<size_t>(n) * sizeof(V));
      else if (args->weights == nullptr)
        long_row<false>(args->x + r * args->row, nullptr, n, args->largest[r], gradients[r], to);
      else
        long_row<true>(args->x + r * args->row, args->weights, n, args->largest[r], gradients[r],
                       to);
    }
  }

 private:
  // Full pieces only, the last of which overlaps the one before.
  template <bool kWeights>
  TARN_HD static void long_row(const V* x, const V* weights, int64_t n, V shift,
                               const RowGradient<V>& row, V* out) {
    const RowGradient<V> gradient = row;
    for (int64_t i = 0; i < n; i += kSoftmaxLanes) {
      const int64_t at = i + kSoftmaxLanes <= n ? i : n - kSoftmaxLanes;
      const V* const a = x + at;
      const V* const w = kWeights ? weights + at : a;
      V* const __restrict__ to = out + at;
      for (int j = 0; j < kSoftmaxLanes; ++j)
        to[j] = gradient(math::exp(a[j] - shift), kWeights ? w[j] : V{0}, false);
    }
  }
};

}  // namespace tarn::cpu
