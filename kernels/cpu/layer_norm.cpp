// Layer normalization and its gradients. A row stays in the cache while it is gone through.
#include <algorithm>
#include <limits>
#include <vector>

#include "tarn/device/parallel.h"
#include "tarn/kernels/cpu/isa.h"
#include "tarn/kernels/cpu/kernels.h"
#include "tarn/kernels/cpu/softmax_loops.h"
#include "tarn/kernels/cpu/strided.h"

namespace tarn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 13;  // elements worth a thread
// Rows whose contributions to the parameters' gradients are added up one by one; the sums are then
// added up by a reduction, so that results do not depend on the number of threads.
constexpr int64_t kSummedRows = 16;

template <class V>
struct SquaredDistance {
  V from;
  TARN_HD V operator()(V x, V) const { return (x - from) * (x - from); }
};

// The sum of f(x[i], y[i]); without kTwo, y is not read. f(pad, 0) must be 0.
template <bool kTwo, class V, class F>
TARN_HD double row_sum(const V* x, const V* y, int64_t n, V pad, F f) {
  if (n >= kSoftmaxLanes) return map_and_sum<kTwo, false, V>(x, y, nullptr, n, pad, f);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(f(x[i], kTwo ? y[i] : V{0}));
  return sum;
}

// `rows` rows of n elements, one after another.
template <class V>
struct NormRows {
  int64_t rows, n;
  const V* x;
  V *mean, *scale;  // of each row
  const V* weight;
};

template <class V>
struct NormForward {
  TARN_HD static void run(const NormRows<V>* args, const V* bias, double eps, V* result) {
    const int64_t n = args->n;
    const V* const weight = args->weight;
    for (int64_t r = 0; r < args->rows; ++r) {
      const V* const x = args->x + r * n;
      const double count = static_cast<double>(n);
      const V mean = static_cast<V>(row_sum<false>(x, x, n, V{0}, First{}) / count);
      const double squares = row_sum<false>(x, x, n, mean, SquaredDistance<V>{mean});
      const V scale = static_cast<V>(1 / std::sqrt(squares / count + eps));
      args->mean[r] = mean;
      args->scale[r] = scale;
      V* const __restrict__ out = result + r * n;
      for (int64_t i = 0; i < n; ++i) out[i] = (x[i] - mean) * scale * weight[i] + bias[i];
    }
  }
};

// Where gradients go, or null: that of x, and the sums of what rows add to the parameters'.
template <class V>
struct NormGradients {
  V *x, *weight, *bias;
};

template <class V>
struct NormBackward {
  // scratch: 2 n elements.
  TARN_HD static void run(const NormRows<V>* args, const V* grad_out, V* scratch,
                          const NormGradients<V>* gradients) {
    const int64_t n = args->n;
    const V* const weight = args->weight;
    V* const __restrict__ normal = scratch;
    V* const __restrict__ product = scratch + n;
    for (int64_t r = 0; r < args->rows; ++r) {
      const V* const x = args->x + r * n;
      const V* const g = grad_out + r * n;
      const V mean = args->mean[r], scale = args->scale[r];
      for (int64_t i = 0; i < n; ++i) normal[i] = (x[i] - mean) * scale;
      if (gradients->x != nullptr) {
        for (int64_t i = 0; i < n; ++i) product[i] = g[i] * weight[i];
        const double count = static_cast<double>(n);
        const V level = static_cast<V>(row_sum<false>(product, product, n, V{0}, First{}) / count);
        const V slope = static_cast<V>(row_sum<true>(product, normal, n, V{0}, Product{}) / count);
        V* const __restrict__ out = gradients->x + r * n;
        for (int64_t i = 0; i < n; ++i) out[i] = (product[i] - level - normal[i] * slope) * scale;
      }
      if (V* const __restrict__ sums = gradients->weight; sums != nullptr) {
        for (int64_t i = 0; i < n; ++i) sums[i] += g[i] * normal[i];
      }
      if (V* const __restrict__ sums = gradients->bias; sums != nullptr) {
        for (int64_t i = 0; i < n; ++i) sums[i] += g[i];
      }
    }
  }
};

// Elements of type T as V: where they are or, for another type, in a buffer.
template <class T>
class Elements {
 public:
  using V = ComputeType<T>;
  static constexpr bool kDirect = std::is_same_v<T, V>;

  explicit Elements(const View& v) : data_(v.as<T>()) {}
  // n elements from `at` on; those to be written have to be stored, too.
  V* open(int64_t at, int64_t n) {
    if constexpr (kDirect) {
      return data_ + at;
    } else {
      buffer_.resize(static_cast<size_t>(n));
      return buffer_.data();
    }
  }
  const V* load(int64_t at, int64_t n) {
    V* const elements = open(at, n);
    if constexpr (!kDirect) load_chunk(elements, data_ + at, ScalarTypeOf<T>, 1, n);
    return elements;
  }
  void store(int64_t at, int64_t n) {
    if constexpr (!kDirect) store_chunk(data_ + at, ScalarTypeOf<T>, 1, buffer_.data(), n);
  }
  // The same for a parameter, whose elements are all `other` if it is null.
  const V* load_or(int64_t n, V other) {
    if (data_ != nullptr) return load(0, n);
    buffer_.assign(static_cast<size_t>(n), other);
    return buffer_.data();
  }

 private:
  T* data_;
  std::vector<V> buffer_;
};

template <class T>
struct Norm {
  using V = ComputeType<T>;
  // As many rows at once as a body can be given.
  static constexpr int64_t kRows = Elements<T>::kDirect ? std::numeric_limits<int64_t>::max() : 1;

  template <class Args>
  explicit Norm(const Args& args)
      : x(args.x),
        rows(args.statistics.sizes[1]),
        n(args.x.numel() / rows),
        mean(args.statistics.template as<V>()),
        weights(args.weight),
        weight(weights.load_or(n, V{1})) {}
  // Calls f(first, count) for rows [begin, end).
  template <class F>
  void for_runs(int64_t begin, int64_t end, F f) const {
    for (int64_t r = begin; r < end;) {
      const int64_t count = std::min(kRows, end - r);
      f(r, count);
      r += count;
    }
  }
  NormRows<V> run(int64_t first, int64_t count, const V* elements) const {
    return {count, n, elements, mean + first, mean + rows + first, weight};
  }

  View x;
  int64_t rows, n;
  V* mean;
  Elements<T> weights;
  const V* weight;
};

template <class T>
void forward(const LayerNormArgs& args) {
  using V = ComputeType<T>;
  const Norm<T> norm(args);
  const int64_t n = norm.n;
  Elements<T> biases(args.bias);
  const V* const bias = biases.load_or(n, V{0});
  const auto body = select_isa<NormForward<V>, const NormRows<V>*, const V*, double, V*>();
  parallel_for(0, norm.rows, std::max<int64_t>(1, kGrain / n), [&](int64_t begin, int64_t end) {
    Elements<T> x(args.x), out(args.out);
    norm.for_runs(begin, end, [&](int64_t first, int64_t count) {
      const int64_t at = first * n, elements = count * n;
      const NormRows<V> run = norm.run(first, count, x.load(at, elements));
      body(&run, bias, args.eps, out.open(at, elements));
      out.store(at, elements);
    });
  });
}

template <class T>
void backward(const LayerNormBackwardArgs& args) {
  using V = ComputeType<T>;
  const Norm<T> norm(args);
  const int64_t n = norm.n, chunks = (norm.rows + kSummedRows - 1) / kSummedRows;
  const bool wants[] = {args.grad_weight.data != nullptr, args.grad_bias.data != nullptr};
  std::vector<V> sums[2];
  for (int k = 0; k < 2; ++k) sums[k].resize(static_cast<size_t>(wants[k] ? chunks * n : 0));
  const auto body =
      select_isa<NormBackward<V>, const NormRows<V>*, const V*, V*, const NormGradients<V>*>();
  const int64_t grain = std::max<int64_t>(1, kGrain / (n * kSummedRows));
  parallel_for(0, chunks, grain, [&](int64_t begin, int64_t end) {
    Elements<T> x(args.x), g(args.grad_out), grad_in(args.grad_in);
    std::vector<V> scratch(static_cast<size_t>(2 * n));
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t last = std::min(norm.rows, (chunk + 1) * kSummedRows);
      norm.for_runs(chunk * kSummedRows, last, [&](int64_t first, int64_t count) {
        const int64_t at = first * n, elements = count * n;
        const NormRows<V> run = norm.run(first, count, x.load(at, elements));
        const bool wants_x = args.grad_in.data != nullptr;
        const NormGradients<V> gradients{wants_x ? grad_in.open(at, elements) : nullptr,
                                         wants[0] ? sums[0].data() + chunk * n : nullptr,
                                         wants[1] ? sums[1].data() + chunk * n : nullptr};
        body(&run, g.load(at, elements), scratch.data(), &gradients);
        if (wants_x) grad_in.store(at, elements);
      });
    }
  });
  const int64_t sizes[] = {n, chunks}, strides[] = {1, n};
  const View* const outs[] = {&args.grad_weight, &args.grad_bias};
  for (int k = 0; k < 2; ++k) {
    if (!wants[k]) continue;
    sum_rows(reduce, {outs[k]->data, sizes, strides, 1, ScalarTypeOf<T>},
             {sums[k].data(), sizes, strides, 2, ScalarTypeOf<V>});
  }
}

}  // namespace

void layer_norm(const LayerNormArgs& args) {
  visit_floating(args.x.dtype, [&]<class T>(T) { forward<T>(args); });
}

void layer_norm_backward(const LayerNormBackwardArgs& args) {
  visit_floating(args.x.dtype, [&]<class T>(T) { backward<T>(args); });
}

}  // namespace tarn::cpu
