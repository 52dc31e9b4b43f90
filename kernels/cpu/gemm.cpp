#include "tarn/kernels/cpu/gemm.h"

#include <algorithm>

#include "tarn/device/cpu_features.h"
#include "tarn/device/parallel.h"
#include "tarn/kernels/cpu/gemm_isa.h"

namespace tarn::cpu {
namespace {

template <class T>
const GemmKernels<T>& kernels_of_cpu() {
  switch (cpu_isa()) {
#if defined(__x86_64__)
    case CpuIsa::Avx512:
      return gemm_avx512::kKernels<T>;
    case CpuIsa::Avx2:
      return gemm_avx2::kKernels<T>;
#endif
    default:
      return gemm_baseline::kKernels<T>;
  }
}

// act(beta * C + bias), for products without terms.
template <class T>
void scale(const GemmArgs<T>& g) {
  for (int64_t i = 0; i < g.m; ++i) {
    for (int64_t j = 0; j < g.n; ++j) {
      T& c = g.c[i * g.c_row + j];
      T value = g.beta == 0 ? T{0} : g.beta * c;
      if (g.bias) value += g.bias[j];
      c = g.relu && value < 0 ? T{0} : value;
    }
  }
}

template <class T>
using Method = void (*)(const GemmArgs<T>&);

// The limits are where the methods cross on an AVX-512 Xeon: packing pays once its copies are used
// often.
template <class T>
Method<T> choose_method(const GemmArgs<T>& g, const GemmKernels<T>& kernels) {
  if (g.b_col == 1 || g.n == 1) {
    constexpr int64_t kCacheElements = (1 << 18) / sizeof(T);
    if (g.k * g.n <= kCacheElements) return kernels.direct;
    if (g.m <= 32) return kernels.streamed;
  } else if (g.a_col == 1 && g.b_row == 1) {
    const int64_t narrow = std::min(g.m, g.n);
    if (narrow <= 48 && narrow <= std::max<int64_t>(2, g.k / 10)) return kernels.dot;
  }
  return kernels.packed;
}

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// C cut into rows x cols blocks of whole register tiles, one for each thread.
struct Grid {
  int64_t rows, cols;              // how many blocks
  int64_t block_rows, block_cols;  // of C in one
};

// The grid of at most `threads` blocks whose largest is done first. Packing one row of A or column
// of B takes as long as multiplying by about 10.
Grid choose_grid(int64_t m, int64_t n, int64_t threads, int64_t tile_rows, int64_t tile_cols) {
  Grid best{};
  int64_t best_cost = 0;
  for (int64_t rows = 1; rows <= threads; ++rows) {
    const int64_t block_rows = ceil_div(ceil_div(m, tile_rows), rows) * tile_rows;
    const int64_t block_cols = ceil_div(ceil_div(n, tile_cols), threads / rows) * tile_cols;
    const int64_t cost = (block_rows + 10) * (block_cols + 10);
    if (rows == 1 || cost < best_cost) {
      best_cost = cost;
      best = {ceil_div(m, block_rows), ceil_div(n, block_cols), block_rows, block_cols};
    }
  }
  return best;
}

template <class T>
void run_parallel(const GemmArgs<T>& g, const GemmKernels<T>& kernels, Method<T> method,
                  int64_t threads) {
  const Grid grid = choose_grid(g.m, g.n, threads, kernels.rows, kernels.cols);
  parallel_for(0, grid.rows * grid.cols, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t i = block / grid.cols * grid.block_rows,
                    j = block % grid.cols * grid.block_cols;
      GemmArgs<T> part = g;
      part.m = std::min(grid.block_rows, g.m - i);
      part.n = std::min(grid.block_cols, g.n - j);
      part.a += i * g.a_row;
      part.b += j * g.b_col;
      part.c += i * g.c_row + j;
      if (g.bias) part.bias += j;
      method(part);
    }
  });
}

// Below this many multiply-adds a thread costs more than it saves.
constexpr int64_t kThreadWork = 75'000;

template <class T>
void run(const GemmArgs<T>& g) {
  if (g.m <= 0 || g.n <= 0) return;
  if (g.k <= 0 || g.alpha == 0) return scale(g);
  const GemmKernels<T>& kernels = kernels_of_cpu<T>();
  if (g.n == 1 && g.c_row == 1 && g.m > 1) {
    // As C^T = B^T A^T, because rows of one element would leave the vectors empty.
    run<T>({.m = 1,
            .n = g.m,
            .k = g.k,
            .a = g.b,
            .a_row = 0,
            .a_col = g.b_row,
            .b = g.a,
            .b_row = g.a_col,
            .b_col = g.a_row,
            .c = g.c,
            .c_row = 0,
            .alpha = g.alpha,
            .beta = g.beta,
            .relu = g.relu && !g.bias});
    if (g.bias) {
      GemmArgs<T> rest = g;
      rest.beta = 1;
      scale(rest);
    }
    return;
  }
  const Method<T> method = choose_method(g, kernels);
  const int64_t work = g.m * g.n * g.k;
  if (work >= 2 * kThreadWork && !in_parallel_region()) {
    const int64_t threads = std::min<int64_t>(get_num_threads(), work / kThreadWork);
    if (threads > 1) return run_parallel(g, kernels, method, threads);
  }
  method(g);
}

}  // namespace

void gemm(const GemmArgs<float>& args) { run(args); }
void gemm(const GemmArgs<double>& args) { run(args); }

}  // namespace tarn::cpu
