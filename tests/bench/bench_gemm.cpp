// Speed of tarn::cpu::gemm per shape: first compared with a double-precision reference, then timed
// with one and two threads (the best of many short runs, so that other programs on the machine
// disturb it little).
//
// usage: bench_gemm [text]   only the shapes whose line contains the text

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>

#include "tarn/device/allocator.h"
#include "tarn/device/parallel.h"
#include "tarn/kernels/cpu/gemm.h"

namespace {

using tarn::cpu::GemmArgs;

struct Shape {
  int64_t m, n, k;
  bool a_transposed, b_transposed;  // stored as (k, m), (n, k)
  const char* what;
};

const Shape kShapes[] = {
    {1, 1, 1, false, false, "call overhead"},
    {2, 256, 20, false, false, "20-256 forward, W (in, out)"},
    {2, 256, 20, false, true, "20-256 forward, W (out, in)"},
    {2, 10, 256, false, true, "256-10 forward"},
    {256, 20, 2, true, false, "20-256 dW"},
    {10, 256, 2, true, false, "256-10 dW"},
    {2, 256, 10, false, false, "256-10 dX"},
    {2, 20, 256, false, false, "20-256 dX"},
    {256, 256, 784, false, true, "784-256 forward, batch 256"},
    {256, 784, 256, true, false, "784-256 dW"},
    {256, 784, 256, false, false, "784-256 dX"},
    {256, 10, 256, false, true, "256-10 forward, batch 256"},
    {10, 256, 256, true, false, "256-10 dW, batch 256"},
    {256, 256, 10, false, false, "256-10 dX, batch 256"},
    {8, 256, 256, false, true, "256-256 forward, batch 8"},
    {32, 256, 256, false, true, "256-256 forward, batch 32"},
    {1, 1024, 1024, false, true, "matrix-vector, rows"},
    {1, 1024, 1024, false, false, "matrix-vector, columns"},
    {1024, 1, 1024, false, false, "matrix-vector, n = 1"},
    {4, 4096, 4096, false, true, "4096-4096 forward, batch 4"},
    {4, 4096, 4096, false, false, "4096-4096 dX, batch 4"},
    {512, 1024, 1024, false, true, "1024-1024 forward, batch 512"},
    {8, 8, 8, false, false, "square"},
    {16, 16, 16, false, false, "square"},
    {32, 32, 32, false, false, "square"},
    {64, 64, 64, false, false, "square"},
    {64, 64, 64, false, true, "square, B transposed"},
    {64, 64, 64, true, false, "square, A transposed"},
    {128, 128, 128, false, false, "square"},
    {128, 128, 128, false, true, "square, B transposed"},
    {256, 256, 256, false, false, "square"},
    {512, 512, 512, false, false, "square"},
    {1024, 1024, 1024, false, false, "square"},
    {1024, 1024, 1024, false, true, "square, B transposed"},
    {2048, 2048, 2048, false, false, "square"},
};

// Aligned as tensors are.
struct Buffer {
  explicit Buffer(int64_t count)
      : size(count), data(static_cast<float*>(tarn::allocate(static_cast<size_t>(count) * 4))) {}
  ~Buffer() { tarn::deallocate(data, static_cast<size_t>(size) * 4); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  const int64_t size;
  float* const data;
};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The largest error over the largest magnitude that rounding can scale with, in units of float
// epsilon.
template <class T>
double check(const GemmArgs<T>& g) {
  double worst = 0;
  const int64_t rows = std::min<int64_t>(g.m, 64);  // a sample of rows: the reference is slow
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t i = r * g.m / rows;
    for (int64_t j = 0; j < g.n; ++j) {
      double sum = 0, magnitude = 0;
      for (int64_t p = 0; p < g.k; ++p) {
        const double term = static_cast<double>(g.a[i * g.a_row + p * g.a_col]) *
                            static_cast<double>(g.b[p * g.b_row + j * g.b_col]);
        sum += term;
        magnitude += std::abs(term);
      }
      worst = std::max(worst, std::abs(g.c[i * g.c_row + j] - sum) / magnitude);
    }
  }
  return worst;
}

double best_seconds(const GemmArgs<float>& g) {
  tarn::cpu::gemm(g);
  double start = now();
  int repeats = 0;
  do {
    tarn::cpu::gemm(g);
    ++repeats;
  } while (now() - start < 1e-3);
  double best = 1e9;
  const double deadline = now() + 0.15;
  do {
    start = now();
    for (int i = 0; i < repeats; ++i) tarn::cpu::gemm(g);
    best = std::min(best, (now() - start) / repeats);
  } while (now() < deadline);
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::printf("%26s %-28s %11s %9s %11s %9s\n", "m x n x k (layout)", "", "T1 us", "GFLOP/s",
              "T2 us", "GFLOP/s");
  int status = 0;
  for (const Shape& s : kShapes) {
    char name[96];
    std::snprintf(name, sizeof name, "%ld x %ld x %ld %c%c", static_cast<long>(s.m),
                  static_cast<long>(s.n), static_cast<long>(s.k), s.a_transposed ? 'T' : 'N',
                  s.b_transposed ? 'T' : 'N');
    if (argc > 1 && !std::strstr(name, argv[1]) && !std::strstr(s.what, argv[1])) continue;
    const Buffer a(s.m * s.k), b(s.k * s.n), c(s.m * s.n);
    for (int64_t i = 0; i < a.size; ++i) a.data[i] = uniform(random);
    for (int64_t i = 0; i < b.size; ++i) b.data[i] = uniform(random);
    GemmArgs<float> g{.m = s.m,
                      .n = s.n,
                      .k = s.k,
                      .a = a.data,
                      .a_row = s.a_transposed ? 1 : s.k,
                      .a_col = s.a_transposed ? s.m : 1,
                      .b = b.data,
                      .b_row = s.b_transposed ? 1 : s.n,
                      .b_col = s.b_transposed ? s.k : 1,
                      .c = c.data,
                      .c_row = s.n};
    std::printf("%26s %-28s", name, s.what);
    for (int threads = 1; threads <= 2; ++threads) {
      tarn::set_num_threads(threads);
      std::fill_n(c.data, c.size, NAN);
      tarn::cpu::gemm(g);
      const double error = check(g);
      if (!(error < 1e-6)) {
        std::printf("  WRONG: error %.3g\n", error);
        status = 1;
        break;
      }
      const double seconds = best_seconds(g);
      const double flops = 2.0 * static_cast<double>(s.m) * static_cast<double>(s.n * s.k);
      std::printf(" %11.3f %9.1f", seconds * 1e6, flops / seconds * 1e-9);
      std::fflush(stdout);
    }
    std::printf("\n");
  }
  return status;
}
