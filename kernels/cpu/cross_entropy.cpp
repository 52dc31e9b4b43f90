// Cross-entropy of class indices with logits, and its gradient: the walking. The loops are in
// cross_entropy_loops.h.
#include <algorithm>
#include <vector>

#include "tarn/device/parallel.h"
#include "tarn/kernels/cpu/cross_entropy_loops.h"
#include "tarn/kernels/cpu/isa.h"
#include "tarn/kernels/cpu/kernels.h"
#include "tarn/kernels/cpu/nll_loss.h"
#include "tarn/kernels/cpu/strided.h"

namespace tarn::cpu {
namespace {

// A view (n, classes, d) as rows of classes: row r is that of sample r.
template <class V>
class Rows {
 public:
  static constexpr int64_t kMost = ShortRows<V>::kSize;

  explicit Rows(const View& v)
      : data_(static_cast<char*>(v.data)),
        dtype_(v.dtype),
        classes_(v.sizes[1]),
        outer_(v.strides[0]),
        element_(v.strides[1]),
        row_(v.strides[2]),
        inner_(v.sizes[2]) {
    if (inner_ != 1) return;
    inner_ = std::max<int64_t>(1, v.sizes[0]);
    row_ = outer_;
  }
  // Calls f(first, count) for runs of at most kMost rows that are row() apart, in several threads.
  template <class F>
  void for_runs(int64_t rows, F f) const {
    const int64_t grain = std::max<int64_t>(1, kLossGrain / std::max<int64_t>(1, classes_));
    parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) {
      const int64_t most = std::min(grain, kMost);
      for (int64_t r = begin; r < end;) {
        const int64_t count = std::min({most, end - r, inner_ - r % inner_});
        f(r, count);
        r += count;
      }
    });
  }
  // Whether rows can be used where they are.
  bool direct() const { return element_ == 1 && dtype_ == ScalarTypeOf<V>; }
  int64_t row() const { return row_; }
  V* at(int64_t r) const { return reinterpret_cast<V*>(address(r)); }
  // Between the view and a buffer in which rows follow one another.
  void load(int64_t r, int64_t count, V* buffer) const {
    const Converter convert = converter(ScalarTypeOf<V>, dtype_);
    for_lines(r, count, buffer, [&](V* to, int64_t step, char* from, int64_t distance, int64_t n) {
      convert(to, step, from, distance, n);
    });
  }
  void store(int64_t r, int64_t count, V* buffer) const {
    const Converter convert = converter(dtype_, ScalarTypeOf<V>);
    for_lines(r, count, buffer, [&](V* from, int64_t step, char* to, int64_t distance, int64_t n) {
      convert(to, distance, from, step, n);
    });
  }

 private:
  char* address(int64_t r) const {
    return data_ + (r / inner_ * outer_ + r % inner_ * row_) * element_size(dtype_);
  }
  // Along rows or across them, wherever the view's elements are closer together.
  template <class F>
  void for_lines(int64_t r, int64_t count, V* buffer, F f) const {
    char* data = address(r);
    if (std::abs(row_) < std::abs(element_)) {
      for (int64_t c = 0; c < classes_; ++c)
        f(buffer + c, classes_, data + c * element_ * element_size(dtype_), row_, count);
    } else {
      for (int64_t i = 0; i < count; ++i)
        f(buffer + i * classes_, 1, data + i * row_ * element_size(dtype_), element_, classes_);
    }
  }

  char* data_;
  ScalarType dtype_;
  int64_t classes_, outer_, element_, row_, inner_;
};

// What the passes over logits have in common.
template <class T>
struct Logits {
  using V = ComputeType<T>;

  template <class Args>
  explicit Logits(const Args& args)
      : rows(args.logits),
        targets(args.target, args.weight, args.ignore_index),
        count(args.target.numel()),
        classes(args.logits.sizes[1]),
        smoothing(args.smoothing, classes),
        largest(args.statistics.template as<V>()),
        total_over_sum(largest + count) {
    targets.check(count, classes);
    if (args.smoothing == 0) return;
    for (int64_t c = 0; c < classes; ++c) {
      const double weight = targets.template weight<T>(c);
      weights.push_back(static_cast<V>(weight));
      all_weights += weight;
    }
  }
  ExpectedRow expected(int64_t i) const {
    return {smoothing, targets.template weight<T>(targets[i])};
  }
  // Rows [first, first + n), from a buffer if they have to be brought together.
  LogitRows<V> run(int64_t first, int64_t n, std::vector<V>& buffer) const {
    LogitRows<V> run{rows.at(first), rows.row(),      n,
                     classes,        largest + first, weights.empty() ? nullptr : weights.data()};
    if (rows.direct()) return run;
    buffer.resize(static_cast<size_t>(n * classes));
    rows.load(first, n, buffer.data());
    run.x = buffer.data();
    run.row = classes;
    return run;
  }

  Rows<V> rows;
  Targets targets;
  int64_t count, classes;
  Smoothing smoothing;
  V *largest, *total_over_sum;  // of each row: the statistics
  std::vector<V> weights;       // of the classes, with smoothing
  double all_weights = 0;
};

template <class T>
void forward(const CrossEntropyArgs& args) {
  using V = ComputeType<T>;
  const Logits<T> logits(args);
  std::vector<double> losses(static_cast<size_t>(logits.count));
  const auto statistics = select_isa<LogitStatistics<V>, const LogitRows<V>*, V*, V*, V*>();
  logits.rows.for_runs(logits.count, [&](int64_t first, int64_t n) {
    std::vector<V> buffer;
    const LogitRows<V> run = logits.run(first, n, buffer);
    V sum[Rows<V>::kMost], log_sum[Rows<V>::kMost], weighted[Rows<V>::kMost];
    if (logits.classes > 0) statistics(&run, sum, log_sum, weighted);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t t = logits.targets[first + i];
      if (logits.targets.ignores(t)) continue;
      const ExpectedRow expected = logits.expected(first + i);
      const V shifted = run.x[i * run.row + t] - run.largest[i];
      losses[static_cast<size_t>(first + i)] =
          expected.loss(log_sum[i], shifted, logits.all_weights, weighted[i]);
      logits.total_over_sum[first + i] =
          static_cast<V>(expected.total(logits.all_weights) / static_cast<double>(sum[i]));
    }
  });
  reduce<T>(logits.targets, logits.count, args.reduction, args.loss, args.total_weight,
            [&](int64_t i) { return losses[static_cast<size_t>(i)]; });
}

template <class T>
void backward(const CrossEntropyBackwardArgs& args) {
  using V = ComputeType<T>;
  const Logits<T> logits(args);
  const Rows<V> grad_in(args.grad_in);
  const LossGradient<T> gradient(args.grad_out, args.total_weight, args.reduction);
  const auto differentiate =
      select_isa<LogitGradient<V>, const LogitRows<V>*, const RowGradient<V>*, V*, int64_t>();
  if (logits.classes == 0) return;
  logits.rows.for_runs(logits.count, [&](int64_t first, int64_t n) {
    std::vector<V> buffer, result;
    const LogitRows<V> run = logits.run(first, n, buffer);
    std::vector<RowGradient<V>> gradients;
    gradients.reserve(static_cast<size_t>(n));
    for (int64_t i = first; i < first + n; ++i) {
      const bool ignored = logits.targets.ignores(logits.targets[i]);
      gradients.emplace_back(ignored
                                 ? RowGradient<V>({logits.smoothing, 0}, 0, 0)
                                 : RowGradient<V>(logits.expected(i), gradient[i],
                                                  static_cast<double>(logits.total_over_sum[i])));
    }
    const bool direct = grad_in.direct();
    if (!direct) result.resize(static_cast<size_t>(n * logits.classes));
    V* const out = direct ? grad_in.at(first) : result.data();
    const int64_t row = direct ? grad_in.row() : logits.classes;
    differentiate(&run, gradients.data(), out, row);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t t = logits.targets[first + i];
      if (!logits.targets.ignores(t)) out[i * row + t] -= gradients[static_cast<size_t>(i)].target;
    }
    if (!direct) grad_in.store(first, n, out);
  });
}

}  // namespace

void cross_entropy(const CrossEntropyArgs& args) {
  visit_floating(args.logits.dtype, [&]<class T>(T) { forward<T>(args); });
}

void cross_entropy_backward(const CrossEntropyBackwardArgs& args) {
  visit_floating(args.logits.dtype, [&]<class T>(T) { backward<T>(args); });
}

}  // namespace tarn::cpu
