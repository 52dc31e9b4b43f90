// Cross-entropy of class indices with logits, and its gradient. A few threads share a row; forward
// reads it once, and once more, from the cache if it is not long, for label smoothing.
#include "tarn/kernels/cross_entropy_row.h"
#include "tarn/kernels/cuda/kernels.h"
#include "tarn/kernels/cuda/nll_loss.h"
#include "tarn/kernels/cuda/softmax_rows.h"

namespace tarn::cuda {
namespace {

// The row of the calling thread in a view (n, classes, d), and where rows are.
struct Layout {
  int64_t inner, outer, element, row;

  explicit Layout(const View& v)
      : inner(v.sizes[2]), outer(v.strides[0]), element(v.strides[1]), row(v.strides[2]) {}
  __device__ int64_t start(int64_t i) const { return i / inner * outer + i % inner * row; }
};

template <class T>
struct Logits {
  using V = ComputeType<T>;
  const T* data;
  Layout layout;
  int64_t count, classes;
  Smoothing smoothing;
  Targets<T> targets;
  V *largest, *total_over_sum;  // of each row: the statistics
  BlockShape block;

  template <class Args>
  explicit Logits(const Args& args)
      : data(args.logits.template as<const T>()),
        layout(args.logits),
        count(args.target.numel()),
        classes(args.logits.sizes[1]),
        smoothing(args.smoothing, classes),
        targets(args.target, args.weight, classes, args.ignore_index),
        largest(args.statistics.template as<V>()),
        total_over_sum(largest + count),
        block(layout.row == 1 && layout.inner > 1 && layout.element != 1
                  ? BlockShape::by_columns(layout.inner, classes)
                  : BlockShape::rows(count, classes)) {}
  // The calling thread's sample, which may be beyond the last.
  __device__ int64_t sample() const {
    return int64_t{blockIdx.x} * block.width + block.result(static_cast<int>(threadIdx.x));
  }
  __device__ ExpectedRow expected(int64_t target) const {
    return {smoothing, targets.weight(target)};
  }
};

// Sums of weight * shifted logit and of weights.
template <class V>
struct Weighted {
  V logits, weights;

  TARN_HD static Weighted none() { return {V(0), V(0)}; }
  TARN_HD static Weighted merge(const Weighted& a, const Weighted& b) {
    return {a.logits + b.logits, a.weights + b.weights};
  }
  TARN_HD void add(const Weighted (&x)[kUnroll]) {
    for (int j = 0; j < kUnroll; ++j) *this = merge(*this, x[j]);
  }
};

template <class T>
__global__ void __launch_bounds__(kBlockSize)
    loss_kernel(Logits<T> logits, LossResults<T> results, LossSums* partial) {
  using V = ComputeType<T>;
  const int64_t i = logits.sample();
  const int64_t target = i < logits.count ? logits.targets[i] : -1;
  const T* x = logits.data + (target >= 0 ? logits.layout.start(i) : 0);
  const auto read = [&](int64_t c) { return V(x[c * logits.layout.element]); };
  const auto all = gather_row<Exponentials<V>>(logits.block, logits.classes, target >= 0,
                                               -std::numeric_limits<V>::infinity(), read);
  Weighted<V> weighted = Weighted<V>::none();
  if (logits.smoothing.share > 0) {
    weighted = gather_row<Weighted<V>>(
        logits.block, logits.classes, target >= 0, weighted, [&](int64_t c) {
          const V weight = static_cast<V>(logits.targets.weight(c));
          return Weighted<V>{weight * (read(c) - all.largest), weight};
        });
  }
  LossSums sums{0, 0};
  if (i < logits.count && logits.block.place(static_cast<int>(threadIdx.x)) == 0) {
    if (target >= 0) {
      const ExpectedRow expected = logits.expected(target);
      const double total = expected.total(static_cast<double>(weighted.weights));
      sums.weight = logits.targets.weight(target);
      sums.loss = expected.loss(
          static_cast<double>(math::log(all.sum)), static_cast<double>(read(target) - all.largest),
          static_cast<double>(weighted.weights), static_cast<double>(weighted.logits));
      logits.largest[i] = all.largest;
      logits.total_over_sum[i] = static_cast<V>(total / static_cast<double>(all.sum));
    }
    results.set_each(i, sums.loss);
  }
  reduce_block(sums, results, partial);
}

template <class T>
__global__ void __launch_bounds__(kBlockSize)
    gradient_kernel(Logits<T> logits, T* grad_in, Layout out, LossGradient<T> grad_out) {
  using V = ComputeType<T>;
  const int64_t i = logits.sample();
  if (i >= logits.count) return;
  grad_in += out.start(i);
  const int64_t target = logits.targets[i];
  if (target < 0) {
    const auto zero = [](int64_t) { return V(0); };
    map_row(logits.block, logits.classes, zero,
            [&](int64_t c, V value) { grad_in[c * out.element] = T(value); });
    return;
  }
  const T* x = logits.data + logits.layout.start(i);
  const V largest = logits.largest[i];
  const RowGradient<V> gradient(logits.expected(target), grad_out[i],
                                static_cast<double>(logits.total_over_sum[i]));
  const auto read = [&](int64_t c) { return V(x[c * logits.layout.element]); };
  map_row(logits.block, logits.classes, read, [&](int64_t c, V value) {
    const V weight = logits.smoothing.share > 0 ? static_cast<V>(logits.targets.weight(c)) : V(0);
    grad_in[c * out.element] = T(gradient(math::exp(value - largest), weight, c == target));
  });
}

template <class T>
void forward(const CrossEntropyArgs& args) {
  const Logits<T> logits(args);
  const LossResults<T> results(args.loss, args.total_weight, args.reduction);
  const int64_t blocks = std::max<int64_t>(1, logits.block.tiles(logits.count));
  reduce_losses(blocks, results, [&](LossSums* partial) {
    launch(loss_kernel<T>, static_cast<unsigned>(blocks), kBlockSize, 0, logits, results, partial);
  });
}

template <class T>
void backward(const CrossEntropyBackwardArgs& args) {
  const Logits<T> logits(args);
  if (logits.count == 0 || logits.classes == 0) return;
  launch(gradient_kernel<T>, static_cast<unsigned>(logits.block.tiles(logits.count)), kBlockSize, 0,
         logits, args.grad_in.as<T>(), Layout(args.grad_in),
         LossGradient<T>(args.grad_out, args.total_weight, args.reduction));
}

}  // namespace

void cross_entropy(const CrossEntropyArgs& args) {
  visit_floating(args.logits.dtype, [&]<class T>(T) { forward<T>(args); });
}

void cross_entropy_backward(const CrossEntropyBackwardArgs& args) {
  visit_floating(args.logits.dtype, [&]<class T>(T) { backward<T>(args); });
}

}  // namespace tarn::cuda
