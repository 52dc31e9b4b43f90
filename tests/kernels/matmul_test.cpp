#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tarn/device/check.h"
#include "tarn/kernels/matmul_precision.h"
#include "tarn/tests/kernels/array.h"
#if defined(TARN_CUDA_EMULATE)
#include "tarn/tests/cuda_emulator/settings.h"
#endif

namespace tarn::testing {
namespace {

constexpr ScalarType kNumberTypes[] = {kByte, kChar,  kShort,  kInt,     kLong,
                                       kHalf, kFloat, kDouble, kBFloat16};

struct Problem {
  std::vector<int64_t> batch;  // of out
  int64_t m, n, k;
  Layout a = Layout::kContiguous, b = Layout::kContiguous, out = Layout::kContiguous;
  double alpha = 1, beta = 0;
  bool bias = false, relu = false;
  bool one_a = false, one_b = false;  // one matrix stands for the whole batch
  bool a_sums = false;
};

std::vector<int64_t> joined(std::vector<int64_t> batch, int64_t rows, int64_t columns) {
  batch.push_back(rows);
  batch.push_back(columns);
  return batch;
}

// `matrix` as a view of the sizes, with stride 0 along the batch.
struct Repeated {
  Repeated(const View& matrix, std::vector<int64_t> batch)
      : sizes(joined(batch, matrix.sizes[0], matrix.sizes[1])),
        strides(sizes.size(), 0),
        view(matrix) {
    strides[batch.size()] = matrix.strides[0];
    strides[batch.size() + 1] = matrix.strides[1];
    view.sizes = sizes.data();
    view.strides = strides.data();
    view.ndim = static_cast<int32_t>(sizes.size());
  }
  std::vector<int64_t> sizes, strides;
  View view;
};

// Compares the kernel with sums in double of small whole numbers, which every dtype holds exactly.
void check(ScalarType type, const Problem& p) {
  const bool is_float = is_floating_point(type);
  const int64_t low = is_signed(type) ? -2 : 0;
  Array a(type, joined(p.one_a ? std::vector<int64_t>{} : p.batch, p.m, p.k), p.a);
  Array b(type, joined(p.one_b ? std::vector<int64_t>{} : p.batch, p.k, p.n), p.b);
  Array out(type, joined(p.batch, p.m, p.n), p.out), bias(type, {p.n}), a_sums(type, {p.m});
  a.fill_with([&](int64_t i) { return low + i * 7 % 5; });
  b.fill_with([&](int64_t i) { return low + i * 5 % 4; });
  bias.fill_with([&](int64_t i) { return low + i % 3; });
  const double nan = std::numeric_limits<double>::quiet_NaN();
  out.fill_with([&](int64_t i) { return p.beta == 0 && is_float ? nan : low + i % 5; });
  std::vector<double> expected(static_cast<size_t>(out.numel()));
  for (int64_t e = 0; e < out.numel(); ++e) {
    const int64_t j = e % p.n, i = e / p.n % p.m, batch = e / p.n / p.m;
    double sum = 0;
    for (int64_t q = 0; q < p.k; ++q)
      sum += a.get(((p.one_a ? 0 : batch) * p.m + i) * p.k + q) *
             b.get(((p.one_b ? 0 : batch) * p.k + q) * p.n + j);
    double value = p.alpha * sum;
    if (p.beta != 0) value += p.beta * out.get(e);
    if (p.bias) value += bias.get(j);
    expected[static_cast<size_t>(e)] = p.relu && value < 0 ? 0 : value;
  }
  View a_view = a.view(), b_view = b.view();
  const Repeated all_a(a_view, p.batch), all_b(b_view, p.batch);
  if (p.one_a) a_view = all_a.view;
  if (p.one_b) b_view = all_b.view;
  tested().matmul({.out = out.view(),
                   .a = a_view,
                   .b = b_view,
                   .bias = p.bias ? bias.view() : View{},
                   .alpha = p.alpha,
                   .beta = p.beta,
                   .relu = p.relu,
                   .a_sums = p.a_sums ? a_sums.view() : View{}});
  INFO(type << ", batches of " << p.batch.size() << " dims, " << p.m << " x " << p.n << " x " << p.k
            << ", layouts " << static_cast<int>(p.a) << static_cast<int>(p.b)
            << static_cast<int>(p.out) << ", alpha " << p.alpha << ", beta " << p.beta << ", bias "
            << p.bias << ", relu " << p.relu);
  REQUIRE(out.values() == expected);
  REQUIRE(out.guards_intact());
  for (int64_t i = 0; p.a_sums && i < p.m; ++i) {
    double sum = 0;
    for (int64_t q = 0; q < p.k; ++q) sum += a.get(i * p.k + q);
    REQUIRE(a_sums.get(i) == sum);
  }
}

// Devices write results of any layout, the CPU rows that are dense.
std::vector<Layout> out_layouts() {
  if (test_device.is_cpu()) return {Layout::kContiguous};
  return {Layout::kContiguous, Layout::kTransposed, Layout::kSliced};
}

TEST_CASE("products are exact for small whole numbers in every dtype and layout") {
  for_each_device([] {
    for (const ScalarType type : kNumberTypes) {
      for (const Layout a : kAllLayouts) {
        for (const Layout b : kAllLayouts) {
          for (const Layout out : out_layouts()) {
            if (!is_worthwhile(a, out, type) || !is_worthwhile(b, out, type)) continue;
            check(type, {.batch = {}, .m = 5, .n = 7, .k = 6, .a = a, .b = b, .out = out});
            check(type, {.batch = {3}, .m = 4, .n = 3, .k = 5, .a = a, .b = b, .out = out});
          }
        }
      }
    }
  });
}

TEST_CASE("products of sizes 0 and 1 and of more than a tile are right") {
  for_each_device([] {
    for (const ScalarType type : {kFloat, kBFloat16, kInt}) {
      for (const auto& [m, n, k] : {std::array<int64_t, 3>{1, 1, 1},
                                    {1, 9, 4},
                                    {9, 1, 4},
                                    {3, 5, 1},
                                    {0, 3, 2},
                                    {3, 0, 2},
                                    {3, 4, 0},
                                    {17, 33, 20},
                                    {40, 16, 35}}) {
        check(type, {.batch = {}, .m = m, .n = n, .k = k});
        check(type, {.batch = {}, .m = m, .n = n, .k = k, .a = Layout::kTransposed});
        check(type, {.batch = {2}, .m = m, .n = n, .k = k, .bias = true});
      }
    }
  });
}

TEST_CASE("alpha, beta, bias and relu combine in every dtype") {
  for_each_device([] {
    for (const ScalarType type : kNumberTypes) {
      for (const double alpha : {1.0, 2.0, is_signed(type) ? -1.0 : 3.0}) {
        for (const double beta : {0.0, 1.0, 2.0}) {
          for (const bool bias : {false, true}) {
            for (const bool relu : {false, true}) {
              for (const int64_t k : {4, 0}) {
                check(type, {.batch = {},
                             .m = 3,
                             .n = 5,
                             .k = k,
                             .alpha = alpha,
                             .beta = beta,
                             .bias = bias,
                             .relu = relu});
              }
            }
          }
        }
      }
    }
  });
}

// What an algorithm makes of NaN is remembered for its shape: m is to be the caller's own.
void check_relu_of_nan(int64_t m) {
  for (const ScalarType type : kFloatTypes) {
    for (const bool has_bias : {false, true}) {
      Array a(type, {m, 2}), b(type, {2, 3}), out(type, {m, 3}), bias(type, {3});
      const double nan = std::numeric_limits<double>::quiet_NaN();
      a.fill_with([&](int64_t i) { return i == 0 ? nan : i % 2 == 0 ? -1 : 1; });
      b.fill_with([](int64_t) { return 1; });
      bias.fill_with([](int64_t i) { return i - 1; });
      for (int round = 0; round < 2; ++round) {  // with a plan to make, and one that is there
        tested().matmul({.out = out.view(),
                         .a = a.view(),
                         .b = b.view(),
                         .bias = has_bias ? bias.view() : View{},
                         .relu = true});
        for (int64_t i = 0; i < out.numel(); ++i) {
          const double value = out.get(i), sum = has_bias ? i % 3 - 1 : 0;
          CAPTURE(type, has_bias, round, i, value);
          CHECK((i < 3 ? std::isnan(value) : value == std::max(sum, 0.0)));
        }
      }
    }
  }
}

TEST_CASE("relu of NaN is NaN behind a product, too") {
  for_each_device([] { check_relu_of_nan(5); });
}

TEST_CASE("batches of any number of dimensions may repeat one matrix") {
  for_each_device([] {
    for (const ScalarType type : {kFloat, kHalf, kLong}) {
      for (const std::vector<int64_t>& batch :
           {std::vector<int64_t>{4}, {2, 3}, {2, 1, 3}, {0}, {1, 1}}) {
        for (const bool one_a : {false, true}) {
          for (const bool one_b : {false, true}) {
            for (const Layout layout :
                 {Layout::kContiguous, Layout::kTransposed, Layout::kSliced}) {
              check(type, {.batch = batch,
                           .m = 3,
                           .n = 4,
                           .k = 5,
                           .a = layout,
                           .b = layout,
                           .bias = true,
                           .relu = true,
                           .one_a = one_a,
                           .one_b = one_b});
            }
          }
        }
      }
    }
  });
}

TEST_CASE("the same problem at other addresses is solved there") {
  for_each_device([] {
    for (int round = 0; round < 3; ++round) {
      check(kFloat, {.batch = {}, .m = 6, .n = 8, .k = 4, .bias = true, .relu = round == 1});
      check(kFloat, {.batch = {}, .m = 6, .n = 8, .k = 4, .a_sums = true});
    }
  });
}

TEST_CASE("a product brings along the sums of its left factor's rows") {
  for_each_device([] {
    for (const ScalarType type : kFloatTypes) {
      for (const Layout a : kAllLayouts) {
        for (const auto& [m, n, k] :
             {std::array<int64_t, 3>{5, 7, 6}, {1, 3, 40}, {3, 1, 1}, {4, 0, 5}, {4, 3, 0}}) {
          check(type, {.batch = {}, .m = m, .n = n, .k = k, .a = a, .a_sums = true});
        }
      }
    }
  });
}

// The middle columns of a wider matrix, which begin at an address that is a multiple of no more
// than the element's size.
struct Columns {
  Columns(ScalarType type, int64_t rows, int64_t columns)
      : whole(type, {rows, columns + 4}), sizes{rows, columns} {
    whole.fill_with([](int64_t i) { return i * 7 % 5 - 2; });
  }
  View view() const {
    View v = whole.view();
    v.data = static_cast<char*>(v.data) + element_size(v.dtype);
    v.sizes = sizes;
    return v;
  }
  double get(int64_t i, int64_t j) const { return whole.get(i * (sizes[1] + 4) + 1 + j); }
  Array whole;
  int64_t sizes[2];
};

TEST_CASE("matrices inside of others, at odd addresses, are multiplied where they are") {
  for_each_device([] {
    for (const ScalarType type : kFloatTypes) {
      const Columns a(type, 5, 7), b(type, 7, 9), out(type, 5, 9);
      const double before = out.whole.get(0);
      tested().matmul({.out = out.view(), .a = a.view(), .b = b.view(), .bias = View{}});
      INFO(type);
      for (int64_t i = 0; i < 5; ++i) {
        for (int64_t j = 0; j < 9; ++j) {
          double sum = 0;
          for (int64_t q = 0; q < 7; ++q) sum += a.get(i, q) * b.get(q, j);
          REQUIRE(out.get(i, j) == sum);
        }
      }
      CHECK(out.whole.get(0) == before);
    }
  });
}

TEST_CASE("float32 products are computed in float32 unless asked otherwise") {
  CHECK(float32_matmul_precision() == "highest");
  CHECK_FALSE(tf32_matmul_allowed());
  for (const char* precision : {"high", "medium", "highest"}) {
    set_float32_matmul_precision(precision);
    CHECK(float32_matmul_precision() == precision);
    CHECK(tf32_matmul_allowed() == (std::string(precision) != "highest"));
    // Small whole numbers need no more than TensorFloat-32 has.
    for_each_device([] { check(kFloat, {.batch = {}, .m = 5, .n = 4, .k = 3, .bias = true}); });
  }
  globalContext().setAllowTF32CuBLAS(true);
  CHECK(float32_matmul_precision() == "high");
  CHECK(globalContext().allowTF32CuBLAS());
  globalContext().setAllowTF32CuBLAS(false);
  CHECK_THROWS_AS(set_float32_matmul_precision("low"), ValueError);
  CHECK_THROWS_WITH_TEXT(set_float32_matmul_precision("low"), "\"low\" is not a precision");
  CHECK(float32_matmul_precision() == "highest");
}

#if defined(TARN_CUDA_EMULATE)
TEST_CASE("TensorFloat-32 rounds the factors of float32 products alone, and only when allowed") {
  struct Restore {
    ~Restore() { set_float32_matmul_precision("highest"); }
  } restore;
  const double fine = 1 + std::ldexp(1.0, -12);  // 10 bits of fraction do not hold it
  for (const char* precision : {"highest", "high", "medium"}) {
    set_float32_matmul_precision(precision);
    for_each_device([&] {
      for (const ScalarType type : {kFloat, kDouble}) {
        const Array a(type, {1, 1}, std::vector{fine}), b(type, {1, 1}, std::vector{1.0});
        const Array out(type, {1, 1});
        tested().matmul({.out = out.view(), .a = a.view(), .b = b.view(), .bias = View{}});
        const bool rounds = test_device.is_cuda() && type == kFloat && tf32_matmul_allowed();
        INFO(type << " " << precision);
        CHECK(out.get(0) == (rounds ? 1 : fine));
      }
    });
  }
}

TEST_CASE("products of floating-point numbers are cuBLASLt's, whatever their layout") {
  auto& settings = cuda_emulator::settings();
  const auto uses_cublas_lt = [&](ScalarType type, Problem p) {
    std::strcpy(settings.fail_api, "cublasLtMatmul");
    settings.fail_call = 1;
    bool failed = false;
    try {
      check(type, p);
    } catch (const DeviceError&) {
      failed = true;
    }
    settings.fail_api[0] = '\0';
    settings.fail_call = 0;
    return failed;
  };
  for_each_device([&] {
    if (test_device.is_cpu()) return;
    for (const ScalarType type : kFloatTypes) {
      for (const std::vector<int64_t>& batch : {std::vector<int64_t>{}, {3}, {2, 3}}) {
        for (const Layout layout : {Layout::kContiguous, Layout::kTransposed, Layout::kSliced}) {
          CHECK(uses_cublas_lt(type,
                               {.batch = batch, .m = 5, .n = 7, .k = 3, .a = layout, .b = layout}));
        }
      }
      CHECK(uses_cublas_lt(type, {.batch = {}, .m = 5, .n = 7, .k = 3, .a_sums = true}));
    }
    CHECK_FALSE(uses_cublas_lt(kInt, {.batch = {}, .m = 5, .n = 7, .k = 3}));
  });
}

TEST_CASE("what cuBLASLt refuses is done without it") {
  struct Restore {
    ~Restore() {
      cuda_emulator::settings().lt_refuse_all = false;
      cuda_emulator::settings().lt_refuse_epilogue = -1;
    }
  } restore;
  // Shapes of their own: an answer is remembered for its shape.
  int64_t m = 100;
  for (const int epilogue : {2, 4, 6, 512, -1}) {  // RELU, BIAS, both, BGRADB, and everything
    cuda_emulator::settings().lt_refuse_epilogue = epilogue;
    cuda_emulator::settings().lt_refuse_all = epilogue < 0;
    for_each_device([&] {
      for (const ScalarType type : kFloatTypes) {
        for (const bool bias : {false, true}) {
          for (const bool relu : {false, true}) {
            check(type,
                  {.batch = {2}, .m = ++m, .n = 3, .k = 2, .beta = 1, .bias = bias, .relu = relu});
          }
        }
        check(type, {.batch = {}, .m = ++m, .n = 3, .k = 2, .a_sums = true});
      }
    });
  }
}
TEST_CASE("relu is taken from cuBLASLt where it keeps NaN, and only there") {
  auto& settings = cuda_emulator::settings();
  struct Restore {
    ~Restore() {
      cuda_emulator::settings().lt_relu_keeps_nan = true;
      cuda_emulator::settings().fail_call = 0;
    }
  } restore;
  std::strcpy(settings.fail_api, "cudaLaunchKernel");
  for (const bool keeps : {true, false}) {
    settings.lt_relu_keeps_nan = keeps;
    for_each_device([&] {
      settings.fail_call = 1'000;  // far away: counts the launches
      check_relu_of_nan(keeps ? 6 : 7);
      const bool on_device = !test_device.is_cpu();
      CHECK((settings.fail_call < 1'000) == (on_device && !keeps));
    });
  }
}
#endif

}  // namespace
}  // namespace tarn::testing
