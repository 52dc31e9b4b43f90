// Batched matrix multiplication on views: floating-point by cuBLASLt, all else by the kernel here.
#include <algorithm>
#include <optional>

#include "tarn/kernels/cuda/gemm.h"
#include "tarn/kernels/cuda/kernels.h"
#include "tarn/kernels/cuda/launch.h"
#include "tarn/kernels/cuda/strided.h"

namespace tarn::cuda {
namespace {

constexpr int kTile = 16;

// What products of T are summed in. Integers are exact modulo the type's range.
template <class T>
using Sum = std::conditional_t<std::is_integral_v<T>, uint64_t,
                               std::conditional_t<std::is_same_v<T, double>, double, float>>;

// alpha and beta of a product of integers are integers.
template <class T>
TARN_HD Sum<T> factor(double value) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<uint64_t>(static_cast<int64_t>(value));
  else
    return static_cast<Sum<T>>(value);
}

// Products of any strides: blocks of kTile x kTile threads, one element of out each.
template <class T>
__global__ void multiply_tiles(Gemm g) {
  using S = Sum<T>;
  TARN_SHARED(left, gpu::Arr<S, kTile*(kTile + 1)>);
  TARN_SHARED(right, gpu::Arr<S, kTile*(kTile + 1)>);
  const int x = static_cast<int>(threadIdx.x) % kTile, y = static_cast<int>(threadIdx.x) / kTile;
  const int64_t across = (g.n + kTile - 1) / kTile;
  const int64_t i = blockIdx.x / across * kTile + y, j = blockIdx.x % across * kTile + x;
  const S alpha = factor<T>(g.alpha), beta = factor<T>(g.beta);
  for (int64_t batch = blockIdx.y; batch < g.batches; batch += gridDim.y) {
    const T* a = static_cast<const T*>(g.a.data) + batch * g.a.batch;
    const T* b = static_cast<const T*>(g.b.data) + batch * g.b.batch;
    S sum = 0;
    for (int64_t start = 0; start < g.k; start += kTile) {
      const bool in_a = i < g.m && start + x < g.k, in_b = j < g.n && start + y < g.k;
      left[y * (kTile + 1) + x] =
          in_a ? static_cast<S>(a[i * g.a.row + (start + x) * g.a.column]) : S(0);
      right[y * (kTile + 1) + x] =
          in_b ? static_cast<S>(b[(start + y) * g.b.row + j * g.b.column]) : S(0);
      __syncthreads();
      for (int p = 0; p < kTile; ++p) sum += left[y * (kTile + 1) + p] * right[p * (kTile + 1) + x];
      __syncthreads();
    }
    if (i >= g.m || j >= g.n) continue;
    T& out = static_cast<T*>(g.out.data)[batch * g.out.batch + i * g.out.row + j * g.out.column];
    S total = alpha * sum;
    if (beta != S(0)) total += beta * static_cast<S>(out);
    if (g.bias) total += static_cast<S>(static_cast<const T*>(g.bias)[j]);
    const bool negative = std::is_integral_v<T> ? static_cast<int64_t>(total) < 0 : total < S(0);
    out = static_cast<T>(g.relu && negative ? S(0) : total);
  }
}

// What comes after a product whose algorithm cannot do it as well.
template <class T>
__global__ void add_bias_and_relu(Gemm g) {
  using S = Sum<T>;
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t e = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; e < g.batches * g.m * g.n;
       e += step) {
    const int64_t j = e % g.n, i = e / g.n % g.m, batch = e / g.n / g.m;
    T& out = static_cast<T*>(g.out.data)[batch * g.out.batch + i * g.out.row + j * g.out.column];
    S value = static_cast<S>(out);
    if (g.bias) value += static_cast<S>(static_cast<const T*>(g.bias)[j]);
    out = static_cast<T>(g.relu && value < S(0) ? S(0) : value);
  }
}

void multiply_directly(const Gemm& g) {
  const int64_t tiles = ((g.m + kTile - 1) / kTile) * ((g.n + kTile - 1) / kTile);
  const dim3 grid(static_cast<unsigned>(tiles),
                  static_cast<unsigned>(std::min<int64_t>(g.batches, 65535)));
  visit(g.dtype, [&]<class T>(T) {
    if constexpr (!std::is_same_v<T, bool>) launch(multiply_tiles<T>, grid, kTile * kTile, 0, g);
  });
}

void multiply(const Gemm& g) {
  if (g.k == 0) {
    Gemm empty = g;
    empty.a.batch = empty.b.batch = 0;  // there is no memory to walk in
    return multiply_directly(empty);
  }
  if (!is_floating_point(g.dtype)) return multiply_directly(g);
  if (gemm_lt(g)) return;
  // With less and less of what comes behind the product.
  Gemm product = g, rest = g;
  product.relu = false;
  if (g.relu && gemm_lt(product)) {
    rest.bias = nullptr;
  } else {
    product.bias = nullptr;
    if (!g.bias || !gemm_lt(product)) return multiply_directly(g);
  }
  visit(g.dtype, [&]<class T>(T) {
    if constexpr (is_floating_point(ScalarTypeOf<T>)) {
      launch(add_bias_and_relu<T>, blocks_for(g.batches * g.m * g.n), kBlockSize, 0, rest);
    }
  });
}

// Row-major room for a view's matrices. Batches that repeat have one place.
class Dense {
 public:
  explicit Dense(const View& v) : once_(v), memory_(set_up(v)), view_(v) {
    once_.sizes = sizes_;
    view_.data = memory_.data();
    view_.strides = strides_;
  }
  Dense(const Dense&) = delete;
  Dense& operator=(const Dense&) = delete;

  const View& view() const { return view_; }
  void load() const { copy(packed(), once_); }
  void store() const { copy(once_, packed()); }

 private:
  // Sets sizes_ and strides_; returns the bytes needed.
  size_t set_up(const View& v) {
    int64_t next = 1;
    for (int d = v.ndim - 1; d >= 0; --d) {
      const bool repeats = d < v.ndim - 2 && v.strides[d] == 0;
      sizes_[d] = repeats ? 1 : v.sizes[d];
      strides_[d] = repeats ? 0 : next;
      next *= sizes_[d];
    }
    return static_cast<size_t>(next * element_size(v.dtype));
  }
  View packed() const {
    View v = view_;
    v.sizes = sizes_;
    return v;
  }

  int64_t sizes_[kMaxDims], strides_[kMaxDims];
  View once_;
  Scratch memory_;
  View view_;
};

Matrix matrix_of(const View& v, void* data, int64_t batch) {
  return {data, v.strides[v.ndim - 2], v.strides[v.ndim - 1], batch};
}

}  // namespace

void matmul(const MatmulArgs& args) {
  View out = args.out, a = args.a, b = args.b;
  // By themselves, unless the product's algorithm brings them along.
  void* a_sums = args.a_sums.data;
  const auto sum_rows_of_a = [&] {
    if (a_sums) sum_rows(reduce, args.a_sums, args.a);
    a_sums = nullptr;
  };
  const int rows = out.ndim - 2, columns = out.ndim - 1;
  const int64_t m = out.sizes[rows], n = out.sizes[columns], k = a.sizes[columns];
  if (out.numel() == 0 || k == 0 || !is_floating_point(out.dtype)) sum_rows_of_a();
  if (out.numel() == 0) return;
  std::optional<Dense> dense_out, dense_a, dense_b;
  if (is_floating_point(out.dtype) && k > 0) {
    // cuBLASLt reads and writes matrices of dense rows or columns.
    if (!is_addressable(matrix_of(a, a.data, 0), m, k)) {
      dense_a.emplace(a).load();
      a = dense_a->view();
    }
    if (!is_addressable(matrix_of(b, b.data, 0), k, n)) {
      dense_b.emplace(b).load();
      b = dense_b->view();
    }
    if ((out.strides[columns] != 1 && n > 1) || (out.strides[rows] < n && m > 1)) {
      dense_out.emplace(out);
      if (args.beta != 0) dense_out->load();
      out = dense_out->view();
    }
  }
  View out_batches = out, a_batches = a, b_batches = b;
  for (View* v : {&out_batches, &a_batches, &b_batches}) v->ndim -= 2;
  const StridedLoop batches(out_batches, a_batches, b_batches);
  batches.run(0, batches.numel(), [&](int64_t count, char* const* p, const int64_t* stride) {
    Gemm gemm{.dtype = out.dtype,
              .batches = count,
              .m = m,
              .n = n,
              .k = k,
              .out = matrix_of(out, p[0], stride[0]),
              .a = matrix_of(a, p[1], stride[1]),
              .b = matrix_of(b, p[2], stride[2]),
              .bias = args.bias.data,
              .alpha = args.alpha,
              .beta = args.beta,
              .relu = args.relu,
              .a_sums = a_sums};
    if (a_sums && gemm_lt(gemm)) return;
    sum_rows_of_a();
    gemm.a_sums = nullptr;
    multiply(gemm);
  });
  if (dense_out) dense_out->store();
}

}  // namespace tarn::cuda
