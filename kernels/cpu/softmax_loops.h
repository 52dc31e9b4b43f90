// The loops of softmax and its gradient over rows whose elements are adjacent, and over rows that
// lie side by side. Each body is compiled for every instruction set (isa.h).
//
// A row is read twice, for its largest element and for the exponentials, while it is in the cache.
// Sums are of V within a block and of doubles across blocks.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "tarn/kernels/host_device.h"
#include "tarn/kernels/op_math.h"

namespace tarn::cpu {

inline constexpr int kSoftmaxLanes = 32;        // partial results of a row
inline constexpr int64_t kSoftmaxBlock = 1024;  // elements of a row that are summed in V
inline constexpr int64_t kSoftmaxTile = 128;  // most rows taken together when they lie side by side

// `rows` rows of n elements of V. Operand 0 is written; the others are x, or grad_out and out.
// Elements of a row are element[k] apart, the starts of rows row[k].
struct SoftmaxRows {
  void* data[3];
  int64_t row[3], element[3];
  int64_t rows, n;
  bool log;
};

// These reduce `t` by halves and leave it changed.
template <class V>
TARN_HD V largest(V (&t)[kSoftmaxLanes]) {
  for (int half = kSoftmaxLanes / 2; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) t[j] = t[j] > t[j + half] ? t[j] : t[j + half];
  }
  return t[0];
}
template <class V>
TARN_HD V total(V (&t)[kSoftmaxLanes]) {
  for (int half = kSoftmaxLanes / 2; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) t[j] += t[j + half];
  }
  return t[0];
}

// NaN is passed over; it comes back in the exponentials. n is at least kSoftmaxLanes.
template <class V>
TARN_HD V row_max(const V* x, int64_t n) {
  V t[kSoftmaxLanes];
  for (int j = 0; j < kSoftmaxLanes; ++j) t[j] = x[n - kSoftmaxLanes + j];
  for (int64_t i = 0; i + kSoftmaxLanes <= n; i += kSoftmaxLanes) {
    for (int j = 0; j < kSoftmaxLanes; ++j) t[j] = x[i + j] > t[j] ? x[i + j] : t[j];
  }
  return largest(t);
}

// The sum of f(x[i], y[i]), which is stored to out[i] if kStore; without kTwo, y is not read. Works
// on full pieces only, so that nothing is left to a scalar loop: f(pad, 0) must be 0.
template <bool kTwo, bool kStore, class V, class F>
TARN_HD double map_and_sum(const V* x, const V* y, V* out, int64_t n, V pad, F f) {
  double sum = 0;
  for (int64_t begin = 0; begin < n; begin += kSoftmaxBlock) {
    V sums[kSoftmaxLanes] = {};
    const int64_t end = begin + kSoftmaxBlock < n ? begin + kSoftmaxBlock : n;
    for (int64_t i = begin; i < end; i += kSoftmaxLanes) {
      V a[kSoftmaxLanes], b[kSoftmaxLanes] = {};
      const int64_t left = end - i;
      const size_t bytes = static_cast<size_t>(left) * sizeof(V);
      if (left >= kSoftmaxLanes) {
        for (int j = 0; j < kSoftmaxLanes; ++j) a[j] = x[i + j];
        if constexpr (kTwo) {
          for (int j = 0; j < kSoftmaxLanes; ++j) b[j] = y[i + j];
        }
      } else {
        for (int j = 0; j < kSoftmaxLanes; ++j) a[j] = pad;
        std::memcpy(a, x + i, bytes);
        if constexpr (kTwo) std::memcpy(b, y + i, bytes);
      }
      V c[kSoftmaxLanes];
      for (int j = 0; j < kSoftmaxLanes; ++j) c[j] = f(a[j], b[j]);
      for (int j = 0; j < kSoftmaxLanes; ++j) sums[j] += c[j];
      if constexpr (kStore) std::memcpy(out + i, c, left >= kSoftmaxLanes ? sizeof(c) : bytes);
    }
    sum += static_cast<double>(total(sums));
  }
  return sum;
}

template <class V>
struct ShiftedExp {
  V shift;
  TARN_HD V operator()(V x, V) const { return math::exp(x - shift); }
};
struct Product {
  template <class V>
  TARN_HD V operator()(V x, V y) const {
    return x * y;
  }
};
struct First {
  template <class V>
  TARN_HD V operator()(V x, V) const {
    return x;
  }
};
template <class V>
struct LogGradient {
  V sum;
  TARN_HD V operator()(V g, V y) const { return g - math::exp(y) * sum; }
};

// Rows shorter than kSoftmaxLanes. Several fill a buffer, so that the exponentials are of full
// vectors.
template <class V>
struct ShortRows {
  static constexpr int kSize = 512;
  static constexpr int kVector = 16;
  V t[kSize];

  // Both fill the array up to the next full vector first.
  TARN_HD static void exp(V* x, int64_t n) {
    for (; n % kVector != 0; ++n) x[n] = V{0};
    for (int64_t i = 0; i < n; i += kVector) {
      for (int j = 0; j < kVector; ++j) x[i + j] = math::exp(x[i + j]);
    }
  }
  TARN_HD static void log(V* x, int64_t n) {
    for (; n % kVector != 0; ++n) x[n] = V{1};
    for (int64_t i = 0; i < n; i += kVector) {
      for (int j = 0; j < kVector; ++j) x[i + j] = math::log(x[i + j]);
    }
  }
  // Four partial results: one would wait for itself at every element.
  TARN_HD static V max(const V* x, int64_t n) {
    V m[4] = {x[0], x[0], x[0], x[0]};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
      for (int j = 0; j < 4; ++j) m[j] = x[i + j] > m[j] ? x[i + j] : m[j];
    }
    for (; i < n; ++i) m[0] = x[i] > m[0] ? x[i] : m[0];
    m[0] = m[1] > m[0] ? m[1] : m[0];
    m[2] = m[3] > m[2] ? m[3] : m[2];
    return m[2] > m[0] ? m[2] : m[0];
  }
  TARN_HD static V sum(const V* x, int64_t n) {
    V s[4] = {};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
      for (int j = 0; j < 4; ++j) s[j] += x[i + j];
    }
    for (; i < n; ++i) s[0] += x[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
  }

  // Fills t with `rows` rows of n elements, `row` apart, each less its largest.
  TARN_HD void shift(const V* x, int64_t row, int64_t n, int64_t rows, V* shifts) {
    V* e = t;
    for (int64_t r = 0; r < rows; ++r, e += n, x += row) {
      const V largest = max(x, n);
      for (int64_t i = 0; i < n; ++i) e[i] = x[i] - largest;
      shifts[r] = largest;
    }
  }
  // Replaces these by their exponentials, and sums them row by row.
  TARN_HD void sums(int64_t n, int64_t rows, V* totals) {
    exp(t, rows * n);
    for (int64_t r = 0; r < rows; ++r) totals[r] = sum(t + r * n, n);
  }

  TARN_HD void forward(const SoftmaxRows& args, int64_t begin, int64_t end) {
    const int64_t n = args.n;
    V shifts[kSize], totals[kSize];
    shift(static_cast<const V*>(args.data[1]) + begin * args.row[1], args.row[1], n, end - begin,
          shifts);
    sums(n, end - begin, totals);
    if (args.log) log(totals, end - begin);
    V* e = t;
    for (int64_t r = begin; r < end; ++r, e += n) {
      V* out = static_cast<V*>(args.data[0]) + r * args.row[0];
      if (args.log) {
        const V* x = static_cast<const V*>(args.data[1]) + r * args.row[1];
        const V shift = shifts[r - begin], log_sum = totals[r - begin];
        for (int64_t i = 0; i < n; ++i) out[i] = x[i] - shift - log_sum;
      } else {
        const V scale = V{1} / totals[r - begin];
        for (int64_t i = 0; i < n; ++i) out[i] = e[i] * scale;
      }
    }
  }

  TARN_HD void backward(const SoftmaxRows& args, int64_t begin, int64_t end) {
    const int64_t n = args.n;
    V* e = t;
    for (int64_t r = begin; args.log && r < end; ++r, e += n) {
      const V* y = static_cast<const V*>(args.data[2]) + r * args.row[2];
      for (int64_t i = 0; i < n; ++i) e[i] = y[i];
    }
    exp(t, e - t);
    e = t;
    for (int64_t r = begin; r < end; ++r, e += n) {
      V* out = static_cast<V*>(args.data[0]) + r * args.row[0];
      const V* g = static_cast<const V*>(args.data[1]) + r * args.row[1];
      const V* y = static_cast<const V*>(args.data[2]) + r * args.row[2];
      if (args.log) {
        const V total = sum(g, n);
        for (int64_t i = 0; i < n; ++i) out[i] = g[i] - e[i] * total;
      } else {
        V total = V{0};
        for (int64_t i = 0; i < n; ++i) total += g[i] * y[i];
        for (int64_t i = 0; i < n; ++i) out[i] = y[i] * (g[i] - total);
      }
    }
  }
};

// The elements of each row are adjacent.
template <class V>
struct ForwardRows {
  TARN_HD static void run(const SoftmaxRows* args) {
    if (args->n < kSoftmaxLanes) {
      ShortRows<V> rows;
      const int64_t step = rows.kSize / args->n;
      for (int64_t r = 0; r < args->rows; r += step) {
        rows.forward(*args, r, r + step < args->rows ? r + step : args->rows);
      }
      return;
    }
    for (int64_t r = 0; r < args->rows; ++r) {
      V* out = static_cast<V*>(args->data[0]) + r * args->row[0];
      const V* x = static_cast<const V*>(args->data[1]) + r * args->row[1];
      const int64_t n = args->n;
      const V shift = row_max(x, n);
      const V pad = -std::numeric_limits<V>::infinity();
      const ShiftedExp<V> f{shift};
      if (args->log) {
        const double sum = map_and_sum<false, false, V>(x, nullptr, nullptr, n, pad, f);
        const V log_sum = static_cast<V>(std::log(sum));
        for (int64_t i = 0; i < n; ++i) out[i] = x[i] - shift - log_sum;
      } else {
        const V scale = static_cast<V>(1 / map_and_sum<false, true, V>(x, nullptr, out, n, pad, f));
        for (int64_t i = 0; i < n; ++i) out[i] *= scale;
      }
    }
  }
};

template <class V>
struct BackwardRows {
  TARN_HD static void run(const SoftmaxRows* args) {
    if (args->n < kSoftmaxLanes) {
      ShortRows<V> rows;
      const int64_t step = rows.kSize / args->n;
      for (int64_t r = 0; r < args->rows; r += step) {
        rows.backward(*args, r, r + step < args->rows ? r + step : args->rows);
      }
      return;
    }
    for (int64_t r = 0; r < args->rows; ++r) {
      V* out = static_cast<V*>(args->data[0]) + r * args->row[0];
      const V* g = static_cast<const V*>(args->data[1]) + r * args->row[1];
      const V* y = static_cast<const V*>(args->data[2]) + r * args->row[2];
      const int64_t n = args->n;
      if (args->log) {
        const V sum =
            static_cast<V>(map_and_sum<false, false, V>(g, nullptr, nullptr, n, V{0}, First{}));
        map_and_sum<true, true, V>(g, y, out, n, V{0}, LogGradient<V>{sum});
      } else {
        const V sum =
            static_cast<V>(map_and_sum<true, false, V>(g, y, nullptr, n, V{0}, Product{}));
        for (int64_t i = 0; i < n; ++i) out[i] = y[i] * (g[i] - sum);
      }
    }
  }
};

// Adjacent rows begin at adjacent addresses; at most kSoftmaxTile of them.
template <class V>
struct ForwardColumns {
  TARN_HD static void run(const SoftmaxRows* args) {
    const int64_t lanes = args->rows;
    V shift[kSoftmaxTile], scale[kSoftmaxTile];
    double sum[kSoftmaxTile];
    for (int64_t j = 0; j < lanes; ++j) shift[j] = -std::numeric_limits<V>::infinity(), sum[j] = 0;
    for (int64_t i = 0; i < args->n; ++i) {
      const V* x = static_cast<const V*>(args->data[1]) + i * args->element[1];
      for (int64_t j = 0; j < lanes; ++j) shift[j] = x[j] > shift[j] ? x[j] : shift[j];
    }
    for (int64_t i = 0; i < args->n; ++i) {
      const V* x = static_cast<const V*>(args->data[1]) + i * args->element[1];
      V* out = static_cast<V*>(args->data[0]) + i * args->element[0];
      V e[kSoftmaxTile];
      for (int64_t j = 0; j < lanes; ++j) e[j] = math::exp(x[j] - shift[j]);
      for (int64_t j = 0; j < lanes; ++j) sum[j] += static_cast<double>(e[j]);
      if (!args->log) std::memcpy(out, e, static_cast<size_t>(lanes) * sizeof(V));
    }
    for (int64_t j = 0; j < lanes; ++j) {
      scale[j] = static_cast<V>(args->log ? std::log(sum[j]) : 1 / sum[j]);
    }
    for (int64_t i = 0; i < args->n; ++i) {
      const V* x = static_cast<const V*>(args->data[1]) + i * args->element[1];
      V* out = static_cast<V*>(args->data[0]) + i * args->element[0];
      if (args->log) {
        for (int64_t j = 0; j < lanes; ++j) out[j] = x[j] - shift[j] - scale[j];
      } else {
        for (int64_t j = 0; j < lanes; ++j) out[j] *= scale[j];
      }
    }
  }
};

template <class V>
struct BackwardColumns {
  TARN_HD static void run(const SoftmaxRows* args) {
    const int64_t lanes = args->rows;
    double sums[kSoftmaxTile];
    V sum[kSoftmaxTile];
    for (int64_t j = 0; j < lanes; ++j) sums[j] = 0;
    for (int64_t i = 0; i < args->n; ++i) {
      const V* g = static_cast<const V*>(args->data[1]) + i * args->element[1];
      const V* y = static_cast<const V*>(args->data[2]) + i * args->element[2];
      if (args->log) {
        for (int64_t j = 0; j < lanes; ++j) sums[j] += static_cast<double>(g[j]);
      } else {
        for (int64_t j = 0; j < lanes; ++j) sums[j] += static_cast<double>(g[j] * y[j]);
      }
    }
    for (int64_t j = 0; j < lanes; ++j) sum[j] = static_cast<V>(sums[j]);
    for (int64_t i = 0; i < args->n; ++i) {
      V* out = static_cast<V*>(args->data[0]) + i * args->element[0];
      const V* g = static_cast<const V*>(args->data[1]) + i * args->element[1];
      const V* y = static_cast<const V*>(args->data[2]) + i * args->element[2];
      if (args->log) {
        for (int64_t j = 0; j < lanes; ++j) out[j] = g[j] - math::exp(y[j]) * sum[j];
      } else {
        for (int64_t j = 0; j < lanes; ++j) out[j] = y[j] * (g[j] - sum[j]);
      }
    }
  }
};

}  // namespace tarn::cpu
