#include "tarn/kernels/cpu/gemm.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tarn/device/cpu_features.h"
#include "tarn/device/parallel.h"
#include "tarn/tests/support/catch.h"

namespace {

using tarn::CpuIsa;
using tarn::cpu::gemm;
using tarn::cpu::GemmArgs;

// `count` elements between two pages that may not be touched, right after the first or right before
// the second. Also finds stray reads of vector instructions, which sanitizers do not see.
template <class T>
class Fenced {
 public:
  Fenced(int64_t count, bool at_end) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t bytes = static_cast<size_t>(count) * sizeof(T);
    const size_t inside = (bytes + page - 1) / page * page;
    mapped_ = inside + 2 * page;
    base_ =
        static_cast<char*>(mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REQUIRE(base_ != MAP_FAILED);
    if (inside > 0) REQUIRE(mprotect(base_ + page, inside, PROT_READ | PROT_WRITE) == 0);
    data = reinterpret_cast<T*>(base_ + page + (at_end ? inside - bytes : 0));
  }
  ~Fenced() { munmap(base_, mapped_); }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;

  T* data;

 private:
  char* base_;
  size_t mapped_;
};

// How a matrix lies in memory.
enum class Layout { Rows, Columns, PaddedRows, PaddedColumns, Spread, Reversed };
constexpr Layout kLayouts[] = {Layout::Rows,          Layout::Columns, Layout::PaddedRows,
                               Layout::PaddedColumns, Layout::Spread,  Layout::Reversed};

// A (rows, cols) matrix of random numbers; memory between its elements holds NaN.
template <class T>
class Matrix {
 public:
  Matrix(int64_t rows, int64_t cols, Layout layout, bool at_end, std::mt19937& random)
      : size_(extent(rows, cols, layout)), memory_(size_, at_end), origin(memory_.data) {
    for (int64_t i = 0; i < size_; ++i) memory_.data[i] = std::numeric_limits<T>::quiet_NaN();
    if (layout == Layout::Reversed && size_ > 0) {
      origin += size_ - 1;
      row = -row;
      col = -col;
    }
    std::uniform_real_distribution<T> uniform(-1, 1);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < cols; ++j) origin[i * row + j * col] = uniform(random);
    }
  }

  int64_t row = 0, col = 0;

 private:
  // Sets the strides.
  int64_t extent(int64_t rows, int64_t cols, Layout layout) {
    switch (layout) {
      case Layout::Rows:
        row = cols, col = 1;
        break;
      case Layout::Columns:
        row = 1, col = rows;
        break;
      case Layout::PaddedRows:
        row = cols + 3, col = 1;
        break;
      case Layout::PaddedColumns:
        row = 1, col = rows + 5;
        break;
      case Layout::Spread:
        row = 2 * cols + 1, col = 2;
        break;
      case Layout::Reversed:
        row = cols, col = 1;
        break;
    }
    return rows == 0 || cols == 0 ? 0 : (rows - 1) * row + (cols - 1) * col + 1;
  }

  int64_t size_;
  Fenced<T> memory_;

 public:
  T* origin;
};

// Runs the problem for each instruction set and several numbers of threads, puts everything back
// after.
template <class F>
void on_every_isa(F&& body) {
  const CpuIsa isa = tarn::cpu_isa();
  const int threads = tarn::get_num_threads();
  for (CpuIsa wanted : {CpuIsa::Baseline, CpuIsa::Avx2, CpuIsa::Avx512}) {
    if (wanted > tarn::detected_cpu_isa()) continue;
    tarn::set_cpu_isa(wanted);
    for (int n : {1, 2}) {
      tarn::set_num_threads(n);
      INFO("isa " << wanted << ", " << n << " threads");
      body();
    }
  }
  tarn::set_cpu_isa(isa);
  tarn::set_num_threads(threads);
}

struct Problem {
  int64_t m, n, k;
  Layout a, b;
  double alpha, beta;
  bool bias, relu;
  int64_t c_padding;
};

template <class T>
void check(const Problem& p, std::mt19937& random) {
  CAPTURE(p.m, p.n, p.k, static_cast<int>(p.a), static_cast<int>(p.b), p.alpha, p.beta, p.bias,
          p.relu, p.c_padding);
  const bool at_end = random() % 2 == 0;
  const Matrix<T> a(p.m, p.k, p.a, at_end, random), b(p.k, p.n, p.b, at_end, random);
  const Matrix<T> bias(1, p.n, Layout::Rows, at_end, random);
  const int64_t c_row = p.n + p.c_padding;
  const int64_t c_size = p.m * c_row - p.c_padding;
  std::vector<T> before(static_cast<size_t>(c_size), T{7});
  std::vector<double> want(before.size(), 7), allowed(before.size(), 0);
  std::uniform_real_distribution<T> uniform(-1, 1);
  for (int64_t i = 0; i < p.m; ++i) {
    for (int64_t j = 0; j < p.n; ++j) {
      const auto at = static_cast<size_t>(i * c_row + j);
      before[at] = p.beta == 0 ? std::numeric_limits<T>::quiet_NaN() : uniform(random);
      long double sum = 0;
      double magnitude = 0;
      const T* x = a.origin + i * a.row;
      const T* y = b.origin + j * b.col;
      for (int64_t q = 0; q < p.k; ++q) {
        const long double term = static_cast<long double>(x[q * a.col]) * y[q * b.row];
        sum += term;
        magnitude += static_cast<double>(term < 0 ? -term : term);
      }
      double value = static_cast<double>(p.alpha * sum);
      if (p.beta != 0) value += p.beta * static_cast<double>(before[at]);
      if (p.bias) value += static_cast<double>(bias.origin[j]);
      want[at] = p.relu && value < 0 ? 0 : value;
      allowed[at] = static_cast<double>(std::numeric_limits<T>::epsilon()) *
                    (4 + 4 * std::abs(p.alpha) * magnitude);
    }
  }
  Fenced<T> c(c_size, at_end);
  on_every_isa([&] {
    std::memcpy(c.data, before.data(), before.size() * sizeof(T));
    gemm(GemmArgs<T>{p.m, p.n, p.k, a.origin, a.row, a.col, b.origin, b.row, b.col, c.data, c_row,
                     static_cast<T>(p.alpha), static_cast<T>(p.beta),
                     p.bias ? bias.origin : nullptr, p.relu});
    size_t wrong = 0, first = 0;
    for (size_t i = before.size(); i-- > 0;) {
      if (!(std::abs(static_cast<double>(c.data[i]) - want[i]) <= allowed[i])) ++wrong, first = i;
    }
    INFO("first at row " << static_cast<int64_t>(first) / c_row << ", column "
                         << static_cast<int64_t>(first) % c_row << ": " << c.data[first]
                         << ", expected " << want[first] << " +- " << allowed[first]);
    CHECK(wrong == 0);
  });
}

template <class T>
T pick(const std::vector<T>& values, std::mt19937& random) {
  return values[random() % values.size()];
}

Problem random_problem(int64_t m, int64_t n, int64_t k, std::mt19937& random) {
  return {m,
          n,
          k,
          kLayouts[random() % 6],
          kLayouts[random() % 6],
          pick<double>({1, 1, -0.5}, random),
          pick<double>({0, 0, 1, 0.25}, random),
          random() % 2 == 0,
          random() % 4 == 0,
          pick<int64_t>({0, 0, 1, 9}, random)};
}

TEMPLATE_TEST_CASE("gemm agrees with a higher-precision reference on small shapes", "[gemm]", float,
                   double) {
  std::mt19937 random(20);
  const std::vector<int64_t> sizes{1,  2,  3,  4,  5,  6,  7,  8,  9,  13, 14,
                                   15, 16, 17, 20, 23, 31, 32, 33, 47, 65};
  for (int round = 0; round < 300; ++round)
    check<TestType>(
        random_problem(pick(sizes, random), pick(sizes, random), pick(sizes, random), random),
        random);
}

TEMPLATE_TEST_CASE("gemm agrees with the reference for every pair of layouts", "[gemm]", float,
                   double) {
  std::mt19937 random(21);
  for (Layout a : kLayouts) {
    for (Layout b : kLayouts) {
      for (auto [m, n, k] :
           {std::array<int64_t, 3>{2, 40, 20}, {2, 10, 100}, {41, 1, 67}, {50, 67, 43}}) {
        Problem p = random_problem(m, n, k, random);
        p.a = a;
        p.b = b;
        check<TestType>(p, random);
      }
    }
  }
}

TEMPLATE_TEST_CASE("gemm agrees with the reference around its block sizes", "[gemm]", float,
                   double) {
  std::mt19937 random(22);
  // Packed blocks are 256 deep and 64, 96 or 224 rows by 1024 columns (Spread is always packed);
  // products in place are 512 deep, dot products 512 vectors long, and up to 32 rows are streamed.
  constexpr int64_t shapes[][3] = {
      {33, 5, 255},  {33, 17, 257}, {50, 60, 258},  {40, 9, 769},   {3, 7, 511},   {3, 7, 513},
      {2, 3, 8193},  {1, 1, 16400}, {63, 8, 40},    {65, 33, 20},   {97, 16, 33},  {223, 18, 21},
      {225, 35, 13}, {449, 3, 3},   {33, 1023, 11}, {34, 1025, 12}, {33, 2100, 2}, {1, 700, 400},
      {5, 600, 300}, {700, 1, 90},  {20, 400, 180}};
  for (const auto& [m, n, k] : shapes) {
    for (Layout b : {Layout::Rows, Layout::Columns, Layout::Spread}) {
      Problem p = random_problem(m, n, k, random);
      p.b = b;
      p.a = p.k > 1000 ? Layout::Rows : p.a;
      check<TestType>(p, random);
    }
  }
}

TEMPLATE_TEST_CASE("gemm gives the same bits for every number of threads", "[gemm]", float,
                   double) {
  using T = TestType;
  std::mt19937 random(23);
  const int threads = tarn::get_num_threads();
  for (auto [m, n, k] :
       {std::array<int64_t, 3>{150, 170, 90}, {3, 500, 400}, {200, 10, 300}, {1, 900, 500}}) {
    for (Layout layout : {Layout::Rows, Layout::Columns}) {
      const Matrix<T> a(m, k, Layout::Rows, true, random), b(k, n, layout, true, random);
      std::vector<T> first;
      for (int t : {1, 2, 3, 4, 7}) {
        CAPTURE(m, n, k, t);
        tarn::set_num_threads(t);
        std::vector<T> c(static_cast<size_t>(m * n));
        gemm(GemmArgs<T>{m, n, k, a.origin, a.row, a.col, b.origin, b.row, b.col, c.data(), n});
        if (first.empty()) first = c;
        CHECK(std::memcmp(c.data(), first.data(), c.size() * sizeof(T)) == 0);
      }
    }
  }
  tarn::set_num_threads(threads);
}

TEST_CASE("gemm without terms leaves the scaled C, the bias and the activation", "[gemm]") {
  const float bias[] = {10, -20};
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> c{1, 2, 3, 4};
  GemmArgs<float> g{2, 2, 0, nullptr, 0, 1, nullptr, 2, 1, c.data(), 2, 1, 2, bias, true};
  gemm(g);
  CHECK(c == std::vector<float>{12, 0, 16, 0});

  c = {nan, nan, nan, nan};
  g.beta = 0;
  g.bias = nullptr;
  gemm(g);
  CHECK(c == std::vector<float>{0, 0, 0, 0});

  SECTION("alpha of 0 reads neither A nor B") {
    g.k = 5;
    g.alpha = 0;
    g.beta = 1;
    c = {1, 2, 3, 4};
    gemm(g);
    CHECK(c == std::vector<float>{1, 2, 3, 4});
  }
  SECTION("no rows or no columns is nothing to do") {
    g.k = 5;
    g.c = nullptr;
    g.m = 0;
    CHECK_NOTHROW(gemm(g));
    g.m = 2;
    g.n = 0;
    CHECK_NOTHROW(gemm(g));
  }
}

TEST_CASE("gemm hands NaN and infinity on, through relu as well", "[gemm]") {
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              inf = std::numeric_limits<float>::infinity();
  for (int64_t n : {1, 9, 40}) {
    for (bool columns : {false, true}) {
      for (int64_t k : {3, 21, 200}) {
        for (int64_t m : {1, 2, 60}) {
          CAPTURE(m, n, k, columns);
          std::vector<float> a(static_cast<size_t>(m * k), 1), b(static_cast<size_t>(k * n), 1);
          a[static_cast<size_t>(k - 1)] = nan;  // the last term of row 0
          if (m > 1) a[static_cast<size_t>(2 * k - 2)] = inf;
          std::vector<float> c(static_cast<size_t>(m * n));
          on_every_isa([&] {
            GemmArgs<float> g{
                m, n, k, a.data(), k, 1, b.data(), columns ? 1 : n, columns ? k : 1, c.data(), n};
            g.relu = true;
            gemm(g);
            bool right = true;
            for (int64_t i = 0; i < m * n; ++i) {
              const float value = c[static_cast<size_t>(i)];
              right &= i < n       ? std::isnan(value)
                       : i < 2 * n ? value == inf
                                   : value == static_cast<float>(k);
            }
            CHECK(right);
          });
        }
      }
    }
  }
}

TEST_CASE("gemm reads broadcast operands through strides of 0", "[gemm]") {
  const float row[] = {1, 2, 3}, two = 2;
  for (int64_t m : {2, 40}) {
    std::vector<float> c(static_cast<size_t>(m * 4));
    on_every_isa([&] {
      gemm(GemmArgs<float>{m, 4, 3, row, 0, 1, &two, 0, 0, c.data(), 4});
      CHECK(c == std::vector<float>(c.size(), 12));
    });
  }
}

TEST_CASE("gemm adds long sums more accurately than one running sum", "[gemm]") {
  const int64_t k = 300'000;
  std::mt19937 random(24);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<float> a(static_cast<size_t>(k));
  double exact = 0;
  float running = 0;
  for (float& x : a) {
    x = uniform(random);
    exact += static_cast<double>(x);
    running += x;
  }
  const double running_error = std::abs(static_cast<double>(running) - exact);
  const std::vector<float> ones(static_cast<size_t>(k) * 2, 1);
  for (bool columns : {false, true}) {
    std::vector<float> c(2);
    on_every_isa([&] {
      gemm(GemmArgs<float>{1, 2, k, a.data(), k, 1, ones.data(), columns ? 1 : 2, columns ? k : 1,
                           c.data(), 2});
      CHECK(std::abs(static_cast<double>(c[0]) - exact) < running_error / 4);
      CHECK(std::abs(static_cast<double>(c[1]) - exact) < 2e-6 * exact);
    });
  }
}

}  // namespace
