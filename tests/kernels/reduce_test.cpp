#include "tarn/kernels/reduce_ops.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include "tarn/device/check.h"
#include "tarn/kernels/kernel_table.h"
#include "tarn/tests/kernels/array.h"
#include "tarn/tests/support/catch.h"

namespace tarn::testing {
namespace {

using Reference = std::function<double(const std::vector<double>&)>;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double sum_of(const std::vector<double>& x) {
  return static_cast<double>(std::accumulate(x.begin(), x.end(), 0.0L));
}
double mean_of(const std::vector<double>& x) {
  return static_cast<double>(std::accumulate(x.begin(), x.end(), 0.0L) / x.size());
}
Reference variance_of(double correction) {
  return [correction](const std::vector<double>& x) {
    const long double n = x.size(), mean = std::accumulate(x.begin(), x.end(), 0.0L) / n;
    long double squares = 0;
    for (const double v : x) squares += (v - mean) * (v - mean);
    return static_cast<double>(squares / std::max(0.0L, n - correction));
  };
}
Reference norm_of(double p) {
  return [p](const std::vector<double>& x) {
    long double sum = 0;
    for (const double v : x) sum += std::pow(std::abs(v), p);
    return static_cast<double>(std::pow(sum, 1.0L / p));
  };
}
template <class Compare>
double first_extreme(const std::vector<double>& x, Compare compare) {
  return static_cast<double>(std::min_element(x.begin(), x.end(), compare) - x.begin());
}

// An input and its sizes.
struct Input {
  Input(std::vector<int64_t> shape, ScalarType dtype, Layout layout = Layout::kContiguous)
      : sizes(shape), array(dtype, std::move(shape), layout) {}
  double get(int64_t i) const { return array.get(i); }
  void set(int64_t i, double value) { array.set(i, value); }
  int64_t numel() const { return array.numel(); }

  std::vector<int64_t> sizes;
  Array array;
};

// Reduces `in` over the dimensions in `mask` and returns the results in row-major order.
template <class Op>
std::vector<double> reduce(const Op& op, const Input& in, unsigned mask, ScalarType out_dtype,
                           Layout out_layout = Layout::kContiguous) {
  std::vector<int64_t> kept = in.sizes;
  for (size_t d = 0; d < kept.size(); ++d) {
    if (mask >> d & 1) kept[d] = 1;
  }
  const Array out(out_dtype, kept, out_layout);
  View result = out.view();
  std::vector<int64_t> strides(result.strides, result.strides + kept.size());
  for (size_t d = 0; d < kept.size(); ++d) {
    if (mask >> d & 1) strides[d] = 0;
  }
  result.sizes = in.sizes.data();
  result.strides = strides.data();
  tested().reduce({index_of<Op, op::ReduceOps>, &op, result, in.array.view()});
  CHECK(out.guards_intact());
  return out.values();
}

// The same, one result at a time, in double.
std::vector<double> reference(const Reference& f, const Input& in, unsigned mask) {
  std::vector<int64_t> kept = in.sizes;
  for (size_t d = 0; d < kept.size(); ++d) {
    if (mask >> d & 1) kept[d] = 1;
  }
  int64_t outputs = 1;
  for (const int64_t n : kept) outputs *= n;
  std::vector<std::vector<double>> groups(static_cast<size_t>(outputs));
  // With pointers: most of what this takes under a sanitizer would be the vectors' operators.
  const int64_t *const sizes = in.sizes.data(), *const kept_sizes = kept.data();
  int64_t i = 0;
  for (const double value : in.array.values()) {
    int64_t group = 0, scale = 1, rest = i++;
    for (size_t d = kept.size(); d-- > 0;) {
      if (!(mask >> d & 1)) group += rest % sizes[d] * scale;
      scale *= kept_sizes[d];
      rest /= sizes[d];
    }
    groups[static_cast<size_t>(group)].push_back(value);
  }
  std::vector<double> results;
  for (const auto& group : groups) results.push_back(f(group));
  return results;
}

// Half the distance of neighbouring numbers, relative to them.
double epsilon(ScalarType dtype) {
  switch (dtype) {
    case kHalf:
      return 1.0 / 2048;
    case kBFloat16:
      return 1.0 / 256;
    case kFloat:
      return 1.0 / (1 << 24);
    default:
      return std::numeric_limits<double>::epsilon() / 2;
  }
}

bool close(double a, double b, double relative) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  if (std::isinf(a) || std::isinf(b)) return a == b;
  return std::abs(a - b) <= relative * std::max(std::abs(a), std::abs(b)) + 1e-300;
}

// How many epsilons a result may be off: floats are accumulated in float on CUDA.
double slack(ScalarType dtype, double on_cpu = 1.01) {
  return test_device.is_cpu() || dtype == kDouble ? on_cpu : 32;
}

// Checks Op over every subset of dimensions of every shape and layout. On a GPU only float sums
// meet all of them; others see each shape in one layout, another one for each op and dtype.
template <class Op>
void check_everywhere(const Op& op, ScalarType dtype, const Reference& f, double slack = 1.01) {
  const std::vector<std::vector<int64_t>> shapes = {{},           {1},       {7},        {33},
                                                    {3, 5},       {2, 3, 5}, {3, 1, 70}, {40, 33},
                                                    {3, 2, 4, 5}, {6, 530},  {300, 3}};
  const ScalarType out_dtype = reduce_result_type(Op::kTraits.result, Op::kName, dtype);
  std::mt19937 random(7);
  constexpr int kNumber = index_of<Op, op::ReduceOps>;
  const bool all_layouts = meets_all() || (std::is_same_v<Op, op::Sum> && dtype == kFloat);
  int turn = kNumber + static_cast<int>(dtype);
  for (const auto& shape : shapes) {
    ++turn;
    for (const Layout layout : kAllLayouts) {
      if (!all_layouts && static_cast<int>(layout) != turn % 4) continue;
      Input in(shape, dtype, layout);
      for (int64_t i = 0; i < in.numel(); ++i) {
        const double value = static_cast<double>(random() % 17) - (is_signed(dtype) ? 8 : 0);
        in.set(i, dtype == kBool ? random() % 2 : value / (is_floating_point(dtype) ? 4 : 1));
      }
      for (unsigned mask = 0; mask < 1u << shape.size(); ++mask) {
        const std::vector<double> expected = reference(f, in, mask);
        // Often not that of the input.
        const Layout out_layout = kWritableLayouts[(static_cast<unsigned>(layout) + mask) % 3];
        const std::vector<double> got = reduce(op, in, mask, out_dtype, out_layout);
        bool same = got.size() == expected.size();
        for (size_t i = 0; same && i < got.size(); ++i) {
          same = close(got[i], expected[i], slack * epsilon(out_dtype));
        }
        INFO(Op::kName << " of " << dtype << " layout " << static_cast<int>(layout) << ", "
                       << shape.size() << " dims, first " << (shape.empty() ? 0 : shape[0])
                       << ", mask " << mask);
        REQUIRE(same);
      }
    }
  }
}

TEST_CASE("every reduction is right over any dimensions, layout and instruction set") {
  for_each_isa_and_device([] {
    for (const ScalarType dtype : {kFloat, kDouble}) {
      const double wide = slack(dtype, dtype == kDouble ? 64 : 1.01);
      check_everywhere(op::Sum{}, dtype, sum_of, wide);
      check_everywhere(op::Mean{}, dtype, mean_of, wide);
      check_everywhere(op::Max{}, dtype,
                       [](const auto& x) { return *std::max_element(x.begin(), x.end()); });
      check_everywhere(op::Min{}, dtype,
                       [](const auto& x) { return *std::min_element(x.begin(), x.end()); });
      check_everywhere(op::ArgMax{}, dtype,
                       [](const auto& x) { return first_extreme(x, std::greater<>()); });
      check_everywhere(op::ArgMin{}, dtype,
                       [](const auto& x) { return first_extreme(x, std::less<>()); });
      check_everywhere(op::Var{1}, dtype, variance_of(1), wide);
      check_everywhere(
          op::Std{0}, dtype, [](const auto& x) { return std::sqrt(variance_of(0)(x)); }, wide);
      check_everywhere(op::Norm{2}, dtype, norm_of(2), wide);
    }
  });
}

TEST_CASE("less common reductions are right over any dimensions and layout") {
  for_each_device([] {
    const Reference product = [](const auto& x) {
      return std::accumulate(x.begin(), x.end(), 1.0, std::multiplies<>());
    };
    const Reference any = [](const auto& x) {
      return std::any_of(x.begin(), x.end(), [](double v) { return v != 0; });
    };
    const Reference all = [](const auto& x) {
      return std::all_of(x.begin(), x.end(), [](double v) { return v != 0; });
    };
    const Reference count = [](const auto& x) {
      return static_cast<double>(
          std::count_if(x.begin(), x.end(), [](double v) { return v != 0; }));
    };
    const Reference largest = [](const auto& x) {
      double m = 0;
      for (const double v : x) m = std::max(m, std::abs(v));
      return m;
    };
    const Reference smallest = [](const auto& x) {
      double m = kInfinity;
      for (const double v : x) m = std::min(m, std::abs(v));
      return m;
    };
    check_everywhere(op::Prod{}, kDouble, product, 3000);
    check_everywhere(op::Any{}, kFloat, any);
    check_everywhere(op::All{}, kFloat, all);
    check_everywhere(op::Norm{0}, kFloat, count, slack(kFloat));
    check_everywhere(op::Norm{1}, kFloat, norm_of(1), slack(kFloat));
    check_everywhere(op::Norm{3}, kFloat, norm_of(3), slack(kFloat));
    check_everywhere(op::Norm{kInfinity}, kFloat, largest);
    check_everywhere(op::Norm{-kInfinity}, kFloat, smallest);
    check_everywhere(op::Var{0.5}, kFloat, variance_of(0.5), slack(kFloat));
  });
}

TEST_CASE("every dtype is reduced without loss before the result is stored") {
  for_each_device([] {
    for (const ScalarType dtype : {kByte, kChar, kShort, kInt, kLong, kBool, kHalf, kBFloat16}) {
      check_everywhere(op::Sum{}, dtype, sum_of);
      check_everywhere(op::Max{}, dtype,
                       [](const auto& x) { return *std::max_element(x.begin(), x.end()); });
      check_everywhere(op::ArgMin{}, dtype,
                       [](const auto& x) { return first_extreme(x, std::less<>()); });
      check_everywhere(op::Any{}, dtype, [](const auto& x) {
        return std::any_of(x.begin(), x.end(), [](double v) { return v != 0; });
      });
    }
    check_everywhere(op::Mean{}, kHalf, mean_of);
    check_everywhere(op::Var{1}, kBFloat16, variance_of(1));
  });
}

TEST_CASE("long reductions are right and do not depend on the number of threads") {
  for_each_device([] {
    struct Case {
      std::vector<int64_t> shape;
      unsigned mask;
    };
    // Beyond one chunk: along rows, columns (wide, narrow, gapped), and over split dimensions.
    const int64_t n = on_cpu_or_gpu(140001, 24001);
    const int64_t wide = on_cpu_or_gpu(100, 40), deep = on_cpu_or_gpu(150, 60);
    const Case cases[] = {{{n}, 1},        {{2, n / 2 + 7000}, 2},
                          {{n / 7, 7}, 1}, {{1100, wide}, 1},
                          {{n / 4, 3}, 1}, {{deep, 3, 2 * deep + 200}, 5}};
    for (const Case& c : cases) {
      for (const Layout layout : {Layout::kContiguous, Layout::kSliced}) {
        Input in(c.shape, kFloat, layout);
        std::mt19937 random(3);
        for (int64_t i = 0; i < in.numel(); ++i) {
          in.set(i, static_cast<double>(static_cast<int>(random() % 2001) - 1000) / 8);
        }
        const auto check = [&](const auto& op, const Reference& f, ScalarType out) {
          std::vector<double> one, two;
          {
            const WithThreads threads(1);
            one = reduce(op, in, c.mask, out);
          }
          if (test_device.is_cpu()) {
            const WithThreads threads(2);
            two = reduce(op, in, c.mask, out);
          }
          const std::vector<double> expected = reference(f, in, c.mask);
          INFO(op.kName << " layout " << static_cast<int>(layout) << " first " << c.shape[0]);
          if (test_device.is_cpu()) CHECK(one == two);
          for (size_t i = 0; i < one.size(); ++i) {
            if (!close(one[i], expected[i], (test_device.is_cpu() ? 1e-11 : 1e-6) + epsilon(out)))
              CHECK(one[i] == expected[i]);
          }
        };
        check(op::Sum{}, sum_of, kDouble);
        check(
            op::Max{}, [](const auto& x) { return *std::max_element(x.begin(), x.end()); }, kFloat);
        check(
            op::ArgMax{}, [](const auto& x) { return first_extreme(x, std::greater<>()); }, kLong);
        check(op::Var{1}, variance_of(1), kDouble);
      }
    }
  });
}

TEST_CASE("many adjacent columns, a few at a time of a thread") {
  for_each_device([] {
    // The last dimension is enough for whole blocks, or not; the first for several chunks, or one.
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{2600, 404}, {40, 26216}, {2, 1300, 404}}) {
      Input in(shape, kFloat);
      for (int64_t i = 0; i < in.numel(); ++i) in.set(i, static_cast<double>(i * 7919 % 2003) / 4);
      const unsigned mask = 1u << (shape.size() - 2);
      INFO("first " << shape[0]);
      const auto check = [&](const auto& op, const Reference& f, ScalarType out, double off) {
        const std::vector<double> got = reduce(op, in, mask, out), wanted = reference(f, in, mask);
        for (size_t i = 0; i < got.size(); ++i) {
          if (!close(got[i], wanted[i], off)) CHECK(got[i] == wanted[i]);
        }
      };
      check(op::Sum{}, sum_of, kFloat, 1e-6);
      check(
          op::ArgMax{}, [](const auto& x) { return first_extreme(x, std::greater<double>()); },
          kLong, 0);
    }
  });
}

TEST_CASE("a sum of millions of floats is exact to the last bit of a float, on CUDA to two") {
  for_each_device([] {
    const int64_t n = on_cpu_or_gpu(10'000'000, 200'000);
    Input in({n}, kFloat);
    float* x = in.array.as<float>();
    long double exact = 0;
    uint32_t state = 1;
    for (int64_t i = 0; i < n; ++i) {
      state = state * 1664525u + 1013904223u;
      x[i] = static_cast<float>(state >> 8) * 1e-5f;
      exact += x[i];
    }
    const double off = test_device.is_cpu() ? 0 : 2 * epsilon(kFloat);
    CHECK(close(reduce(op::Sum{}, in, 1, kFloat)[0], static_cast<float>(exact), off));
    CHECK(close(reduce(op::Mean{}, in, 1, kFloat)[0], static_cast<float>(exact / n), off));
  });
}

TEST_CASE("a sum of doubles is as accurate as pairwise summation") {
  for_each_device([] {
    const int64_t n = on_cpu_or_gpu(3'000'000, 100'000);
    Input in({n}, kDouble);
    double* x = in.array.as<double>();
    long double exact = 0;
    for (int64_t i = 0; i < n; ++i) exact += x[i] = 0.1 + 1e-3 * static_cast<double>(i % 7);
    const double sum = reduce(op::Sum{}, in, 1, kDouble)[0];
    CHECK(std::abs(static_cast<double>(sum - exact)) <= 4e-16 * 21 * static_cast<double>(exact));
  });
}

TEST_CASE("the variance of nearly equal numbers does not cancel") {
  for_each_device([] {
    for (const ScalarType dtype : {kFloat, kDouble}) {
      const int64_t n = on_cpu_or_gpu(100'000, 40'000);
      const double base = dtype == kFloat ? 4096 : 1e9;  // all values are exact in dtype
      Input in({n}, dtype);
      for (int64_t i = 0; i < n; ++i) in.set(i, base + static_cast<double>(i % 3));
      in.set(0, 0);  // an outlier where the kernel takes its origin
      std::vector<double> x;
      for (int64_t i = 0; i < n; ++i) x.push_back(in.get(i));
      const double got = reduce(op::Var{1}, in, 1, kDouble)[0];
      const bool rough = !test_device.is_cpu() && dtype == kFloat;
      CHECK(close(got, variance_of(1)(x), rough ? 1e-6 : 1e-9));
      in.set(0, base);
      x[0] = base;
      CHECK(close(reduce(op::Var{1}, in, 1, kDouble)[0], variance_of(1)(x), rough ? 1e-6 : 1e-11));
    }
  });
}

TEST_CASE("NaN, infinity and ties are treated as PyTorch treats them") {
  for_each_isa_and_device([] {
    for (const int64_t n : {int64_t{3}, int64_t{100}, on_cpu_or_gpu(70000, 17000)}) {
      for (const unsigned mask : {1u, 2u}) {  // columns and rows
        Input in(mask == 1 ? std::vector<int64_t>{n, 5} : std::vector<int64_t>{5, n}, kFloat);
        const auto at = [&](int64_t k, int64_t result) {
          return mask == 1 ? k * 5 + result : result * n + k;
        };
        for (int64_t i = 0; i < in.numel(); ++i) in.set(i, -1);
        in.set(at(n - 2, 0), kNan);  // a NaN, then a larger number
        in.set(at(n - 1, 0), 5);
        in.set(at(n - 2, 1), 3);  // equal largest numbers
        in.set(at(n - 1, 1), 3);
        in.set(at(1, 2), kInfinity);
        in.set(at(n - 1, 3), -kInfinity);
        in.set(at(n - 2, 4), kNan);  // two NaNs
        in.set(at(n - 1, 4), kNan);
        const double last = static_cast<double>(n - 1), before = last - 1;
        const auto max = reduce(op::Max{}, in, mask, kFloat);
        CHECK(std::isnan(max[0]));
        CHECK(max[1] == 3);
        CHECK(max[2] == kInfinity);
        CHECK(max[3] == -1);
        CHECK(std::isnan(max[4]));
        const auto min = reduce(op::Min{}, in, mask, kFloat);
        CHECK(std::isnan(min[0]));
        CHECK(min[3] == -kInfinity);
        CHECK(reduce(op::ArgMax{}, in, mask, kLong) ==
              std::vector<double>{before, before, 1, 0, before});
        CHECK(reduce(op::ArgMin{}, in, mask, kLong) ==
              std::vector<double>{before, 0, 0, last, before});
        CHECK(std::isnan(reduce(op::Sum{}, in, mask, kFloat)[0]));
        CHECK(reduce(op::Sum{}, in, mask, kFloat)[2] == kInfinity);
        CHECK(std::isnan(reduce(op::Var{1}, in, mask, kFloat)[2]));
        CHECK(std::isnan(reduce(op::Norm{kInfinity}, in, mask, kFloat)[4]));
      }
    }
    Input low({40}, kFloat);
    for (int64_t i = 0; i < 40; ++i) low.set(i, -kInfinity);
    CHECK(reduce(op::ArgMax{}, low, 1, kLong)[0] == 0);
  });
}

TEST_CASE("a reduction of nothing gives the identity") {
  for_each_device([] {
    for (const unsigned mask : {1u, 3u}) {
      Input in({0, 3}, kFloat);
      CHECK(reduce(op::Sum{}, in, mask, kFloat) == std::vector<double>(mask == 1 ? 3 : 1, 0.0));
      CHECK(reduce(op::Prod{}, in, mask, kFloat)[0] == 1);
      CHECK(reduce(op::All{}, in, mask, kBool)[0] == 1);
      CHECK(reduce(op::Any{}, in, mask, kBool)[0] == 0);
      CHECK(std::isnan(reduce(op::Mean{}, in, mask, kFloat)[0]));
      CHECK(std::isnan(reduce(op::Var{1}, in, mask, kFloat)[0]));
      CHECK(reduce(op::Norm{2}, in, mask, kFloat)[0] == 0);
    }
    Input none({0, 3}, kFloat);
    CHECK(reduce(op::Sum{}, none, 2, kFloat).empty());
    Input one({1}, kFloat);
    one.set(0, 4);
    CHECK(std::isnan(reduce(op::Var{1}, one, 1, kFloat)[0]));
    CHECK(reduce(op::Var{0}, one, 1, kFloat)[0] == 0);
  });
}

TEST_CASE("integer reductions wrap around and reach every bit of int64") {
  for_each_device([] {
    Input in({3}, kLong);
    int64_t* x = in.array.as<int64_t>();
    x[0] = std::numeric_limits<int64_t>::max(), x[1] = 1, x[2] = -7;
    Input out({1}, kLong);
    const int64_t zero = 0, three = 3;
    const View result{out.array.view().data, &three, &zero, 1, kLong};
    const op::Sum sum;
    tested().reduce({index_of<op::Sum, op::ReduceOps>, &sum, result, in.array.view()});
    CHECK(*std::as_const(out.array).as<int64_t>() == std::numeric_limits<int64_t>::max() - 6);
    const op::Max max;
    tested().reduce({index_of<op::Max, op::ReduceOps>, &max, result, in.array.view()});
    CHECK(*std::as_const(out.array).as<int64_t>() == std::numeric_limits<int64_t>::max());
  });
}

TEST_CASE("result dtypes and their errors are PyTorch's") {
  CHECK(reduce_result_type(ReduceResult::kPromoteInts, "sum", kBool) == kLong);
  CHECK(reduce_result_type(ReduceResult::kPromoteInts, "sum", kHalf) == kHalf);
  CHECK(reduce_result_type(ReduceResult::kBool, "any", kByte) == kByte);
  CHECK(reduce_result_type(ReduceResult::kBool, "any", kFloat) == kBool);
  CHECK(reduce_result_type(ReduceResult::kIndex, "argmax", kFloat) == kLong);
  CHECK(reduce_result_type(ReduceResult::kSame, "max", kChar) == kChar);
  CHECK_THROWS_AS(reduce_result_type(ReduceResult::kFloating, "mean", kLong), TypeError);
  CHECK_THROWS_WITH_TEXT(reduce_result_type(ReduceResult::kFloating, "mean", kLong),
                         "mean(): could not infer output dtype. Input dtype must be either a "
                         "floating point or complex "
                         "dtype. Got: Long");
  CHECK_THROWS_WITH_TEXT(fail_empty_reduction("max", -1),
                         "max(): Expected reduction dim to be specified for input.numel() == 0. "
                         "Specify the reduction dim with the 'dim' argument.");
  CHECK_THROWS_WITH_TEXT(fail_empty_reduction("argmin", 1),
                         "argmin(): Expected reduction dim 1 to have non-zero size.");
}

}  // namespace
}  // namespace tarn::testing
