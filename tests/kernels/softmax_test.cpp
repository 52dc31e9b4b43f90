#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "tarn/kernels/kernel_table.h"
#include "tarn/tests/kernels/array.h"

namespace tarn::testing {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Shape {
  std::vector<int64_t> sizes;
  int dim;
};
// Rows of every kind: short, one vector, tails, more than a block; side by side; one element; none.
const Shape kShapes[] = {{{}, 0},        {{1}, 0},         {{2, 10}, 1},   {{600, 3}, 1},
                         {{5, 31}, 1},   {{5, 32}, 1},     {{5, 33}, 1},   {{3, 100}, 1},
                         {{2, 2300}, 1}, {{2, 4203}, 1},   {{3, 104}, 1},  {{10, 37}, 0},
                         {{3, 5, 7}, 1}, {{2, 4, 300}, 1}, {{4, 1, 6}, 1}, {{2, 3, 4, 5}, 0},
                         {{7, 2}, 0},    {{0, 4}, 1},      {{4, 0}, 1},    {{300, 40}, 1},
                         {{3, 40, 2}, 1}};

// Calls f(first element, distance, length) for each row in row-major order.
template <class F>
void for_each_row(const Shape& shape, F f) {
  int64_t inner = 1, outer = 1;
  const int64_t n = shape.sizes.empty() ? 1 : shape.sizes[static_cast<size_t>(shape.dim)];
  for (size_t d = 0; d < shape.sizes.size(); ++d) {
    if (static_cast<int>(d) < shape.dim) outer *= shape.sizes[d];
    if (static_cast<int>(d) > shape.dim) inner *= shape.sizes[d];
  }
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < inner; ++i) f(o * n * inner + i, inner, n);
  }
}

std::vector<double> forward_reference(const Shape& shape, const std::vector<double>& x, bool log) {
  std::vector<double> results(x.size());
  for_each_row(shape, [&](int64_t first, int64_t distance, int64_t n) {
    const double* const row = x.data() + first;
    double* const y = results.data() + first;
    double largest = -kInf, sum = 0;
    for (int64_t k = 0; k < n; ++k) largest = std::max(largest, row[k * distance]);
    for (int64_t k = 0; k < n; ++k) sum += std::exp(row[k * distance] - largest);
    for (int64_t k = 0; k < n; ++k) {
      const double shifted = row[k * distance] - largest;
      y[k * distance] = log ? shifted - std::log(sum) : std::exp(shifted) / sum;
    }
  });
  return results;
}

std::vector<double> backward_reference(const Shape& shape, const std::vector<double>& grad,
                                       const std::vector<double>& out, bool log) {
  std::vector<double> results(grad.size());
  for_each_row(shape, [&](int64_t first, int64_t distance, int64_t n) {
    const double *const g = grad.data() + first, *const y = out.data() + first;
    double* const result = results.data() + first;
    double sum = 0;
    for (int64_t k = 0; k < n; ++k) sum += g[k * distance] * (log ? 1 : y[k * distance]);
    for (int64_t k = 0; k < n; ++k) {
      const int64_t i = k * distance;
      result[i] = log ? g[i] - std::exp(y[i]) * sum : y[i] * (g[i] - sum);
    }
  });
  return results;
}

double worst_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double worst = a.size() == b.size() ? 0 : kInf;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    const double difference = a[i] == b[i] ? 0 : std::abs(a[i] - b[i]) / (1 + std::abs(b[i]));
    worst = difference <= worst ? worst : std::isnan(difference) ? kInf : difference;
  }
  return worst;
}
double tolerance(ScalarType dtype) {
  switch (dtype) {
    case kHalf:
      return 1e-3;
    case kBFloat16:
      return 8e-3;
    case kFloat:
      return 4e-7;
    default:
      return 1e-14;
  }
}

void check_everywhere(ScalarType dtype, const std::vector<Layout>& layouts) {
  std::mt19937 random(5);
  for (const Shape& shape : kShapes) {
    for (const Layout layout : layouts) {
      const Layout writable = layout == Layout::kBroadcast ? Layout::kContiguous : layout;
      Array x(dtype, shape.sizes, layout), g(dtype, shape.sizes, layout);
      x.fill_with([&](int64_t) { return static_cast<double>(random() % 1600) / 100 - 8; });
      g.fill_with([&](int64_t) { return static_cast<double>(random() % 200) / 100 - 1; });
      for (const bool log : {false, true}) {
        const Array out(dtype, shape.sizes, writable), grad(dtype, shape.sizes, writable);
        tested().softmax({out.view(), x.view(), shape.dim, log});
        tested().softmax_backward({grad.view(), g.view(), out.view(), shape.dim, log});
        INFO(dtype << " layout " << static_cast<int>(layout) << ", " << shape.sizes.size()
                   << " dims, " << x.numel() << " elements, dim " << shape.dim << ", log " << log);
        CHECK(worst_difference(out.values(), forward_reference(shape, x.values(), log)) <=
              tolerance(dtype));
        const auto wanted = backward_reference(shape, g.values(), out.values(), log);
        CHECK(worst_difference(grad.values(), wanted) <= 10 * tolerance(dtype));
        CHECK((out.guards_intact() && grad.guards_intact()));
      }
    }
  }
}

TEST_CASE("softmax and its gradient are right for every dim, layout and instruction set") {
  const std::vector<Layout> all(std::begin(kAllLayouts), std::end(kAllLayouts));
  for_each_isa_and_device([&] {
    check_everywhere(kFloat, all);
    check_everywhere(kDouble, all);
  });
}

TEST_CASE("softmax works on 16-bit floats and on mixed layouts") {
  for_each_device([] {
    check_everywhere(kHalf, {Layout::kContiguous, Layout::kTransposed});
    check_everywhere(kBFloat16, {Layout::kContiguous, Layout::kSliced});
    Array x(kFloat, {6, 40}, Layout::kTransposed);
    x.fill_with([](int64_t i) { return i % 11; });
    const Array out(kFloat, {6, 40});
    tested().softmax({out.view(), x.view(), 1, false});
    CHECK(worst_difference(out.values(), forward_reference({{6, 40}, 1}, x.values(), false)) <
          4e-7);
  });
}

TEST_CASE("softmax gives the same with any number of threads") {
  for_each_device([] {
    const int64_t rows = on_cpu_or_gpu(2000, 300);
    Array x(kFloat, {rows, 40});
    x.fill_with([](int64_t i) { return std::sin(static_cast<double>(i)) * 5; });
    for (const int dim : {0, 1}) {
      std::vector<double> results[2];
      for (const int threads : {1, 2}) {
        const WithThreads scope(threads);
        const Array out(kFloat, {rows, 40});
        tested().softmax({out.view(), x.view(), dim, false});
        results[threads - 1] = out.values();
      }
      CHECK(results[0] == results[1]);
    }
  });
}

// Rows or columns with something special in one of them; the others must not notice.
TEST_CASE("softmax treats infinities, NaN and large numbers as PyTorch does") {
  for_each_isa_and_device([] {
    for (const int64_t n : {3, 40}) {
      for (const int dim : {0, 1}) {
        const std::vector<int64_t> sizes =
            dim == 1 ? std::vector{int64_t{6}, n} : std::vector{n, int64_t{6}};
        const auto at = [&](int64_t row, int64_t k) {
          return dim == 1 ? row * n + k : k * 6 + row;
        };
        Array x(kFloat, sizes);
        x.fill_with([](int64_t) { return 1; });
        for (int64_t k = 0; k < n; ++k) x.set(at(0, k), -kInf);
        x.set(at(1, 1), -kInf);
        x.set(at(2, 1), kInf);
        x.set(at(3, n - 1), kNan);
        x.set(at(4, n - 1), 3e38);
        const Array soft(kFloat, sizes), log(kFloat, sizes);
        tested().softmax({soft.view(), x.view(), dim, false});
        tested().softmax({log.view(), x.view(), dim, true});
        INFO("n " << n << ", dim " << dim);
        for (int64_t k = 0; k < n; ++k) {
          for (const int64_t row : {0, 3}) {
            CHECK(std::isnan(soft.get(at(row, k))));
            CHECK(std::isnan(log.get(at(row, k))));
          }
          CHECK(soft.get(at(4, k)) == (k == n - 1 ? 1 : 0));
          CHECK(soft.get(at(5, k)) == Approx(1.0 / static_cast<double>(n)));
        }
        CHECK(soft.get(at(1, 1)) == 0);
        CHECK(log.get(at(1, 1)) == -kInf);
        CHECK(soft.get(at(1, 0)) == Approx(1.0 / static_cast<double>(n - 1)));
        CHECK(std::isnan(soft.get(at(2, 1))));
        CHECK(soft.get(at(2, 0)) != 1);
        CHECK(log.get(at(4, 1)) == Approx(-3e38));
      }
    }
  });
}

TEST_CASE("a long row of equal numbers sums to one") {
  for_each_device([] {
    const int64_t n = on_cpu_or_gpu(1 << 20, 1 << 16);
    Array x(kFloat, {n});
    x.fill_with([](int64_t) { return 0.5; });
    const Array out(kFloat, {n});
    tested().softmax({out.view(), x.view(), 0, false});
    CHECK(out.get(0) == 1.0 / n);
    CHECK(out.get(n - 1) == 1.0 / n);
  });
}

}  // namespace
}  // namespace tarn::testing
