#include "tarn/kernels/op_math.h"

#include <bit>
#include <cmath>
#include <limits>

#include "tarn/kernels/kernel_table.h"
#include "tarn/kernels/pointwise_ops.h"
#include "tarn/tests/kernels/array.h"

namespace tarn::testing {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kTiny = std::numeric_limits<float>::denorm_min();

double sigmoid_of(double x) {
  return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
}

// The pointwise kernel of Op, compiled as programs get it.
template <class Op>
std::vector<float> run_kernel(std::vector<float> x) {
  std::vector<float> y(x.size());
  const int64_t size = static_cast<int64_t>(x.size()), stride = 1;
  const Op op;
  PointwiseArgs args{};
  args.op = index_of<Op, op::PointwiseKernels>;
  args.num_inputs = 1;
  args.compute = kFloat;
  args.params = &op;
  args.out = View{y.data(), &size, &stride, 1, kFloat};
  args.in[0] = View{x.data(), &size, &stride, 1, kFloat};
  kernels(kCPU).pointwise(args);
  return y;
}

// The distance of `got` from the exact value, in units of the last place of the nearest float.
double error_in_ulp(float got, double exact) {
  const float nearest = static_cast<float>(exact);
  if (std::isnan(exact)) return std::isnan(got) ? 0 : kInf;
  if (std::isinf(nearest) || std::isinf(got)) return got == nearest ? 0 : kInf;
  if (std::isnan(got) || std::signbit(got) != std::signbit(nearest)) return kInf;
  int exponent;
  std::frexp(std::max(std::abs(exact), 0x1p-126), &exponent);
  return std::abs(static_cast<double>(got) - exact) / std::ldexp(1.0, exponent - 24);
}

struct Function {
  const char* name;
  std::vector<float> (*kernel)(std::vector<float>);
  float (*scalar)(float);
  double (*exact)(double);
};
const Function kFunctions[] = {
    {"exp", run_kernel<op::Exp>, [](float x) { return math::exp(x); }, std::exp},
    {"expm1", run_kernel<op::Expm1>, [](float x) { return math::expm1(x); }, std::expm1},
    {"log", run_kernel<op::Log>, [](float x) { return math::log(x); }, std::log},
    {"log1p", run_kernel<op::Log1p>, [](float x) { return math::log1p(x); }, std::log1p},
    {"tanh", run_kernel<op::Tanh>, [](float x) { return math::tanh(x); }, std::tanh},
    {"sigmoid", run_kernel<op::Sigmoid>, [](float x) { return math::sigmoid(x); }, sigmoid_of},
    {"erf", run_kernel<op::Erf>, [](float x) { return math::erf(x); }, std::erf},
};

// Every 20,011th float, both signs and all exponents among them, and those where something changes.
std::vector<float> sample() {
  std::vector<float> x;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 20011) {
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  }
  for (const float base :
       {0.0f,       kTiny,       1e-38f, 1e-8f,      0.25f,     0.34657359f, 0.41421357f,
        0.625f,     0.70710678f, 1.0f,   1.4142135f, 4.0f,      9.0f,        10.0f,
        16.635532f, 17.328679f,  25.0f,  87.33654f,  88.37626f, 88.722839f,  89.0f,
        103.27893f, 103.97208f,  105.0f, 3.4e38f,    kInf}) {
    float below = base, above = base;
    for (int i = 0; i < 50; ++i) {
      x.insert(x.end(), {below, above, -below, -above});
      below = std::nextafter(below, -kInf);
      above = std::nextafter(above, kInf);
    }
  }
  x.push_back(kNan);
  x.push_back(-kNan);
  return x;
}

TEST_CASE("elementary functions of floats are within 2 ulp everywhere, in every kernel") {
  const std::vector<float> x = sample();
  for (const Function& f : kFunctions) {
    std::vector<double> exact;
    for (const float v : x) exact.push_back(f.exact(static_cast<double>(v)));
    for_each_isa([&] {
      const std::vector<float> y = f.kernel(x);
      double worst = 0;
      float at = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const double error = error_in_ulp(y[i], exact[i]);
        if (error > worst) worst = error, at = x[i];
      }
      INFO(f.name << "(" << at << "): " << worst << " ulp");
      CHECK(worst <= 2);
    });
  }
}

TEST_CASE("the scalar forms agree with the kernels to 2 ulp, whatever the compiler fuses") {
  const std::vector<float> x = sample();
  for (const Function& f : kFunctions) {
    double worst = 0;
    for (size_t i = 0; i < x.size(); i += 5) {
      worst = std::max(worst, error_in_ulp(f.scalar(x[i]), f.exact(static_cast<double>(x[i]))));
    }
    INFO(f.name);
    CHECK(worst <= 2);
  }
}

TEST_CASE("exp2 is within 2 ulp everywhere") {
  double worst = 0;
  for (const float x : sample()) {
    worst = std::max(worst, error_in_ulp(math::exp2(x), std::exp2(double{x})));
  }
  CHECK(worst <= 2);
  for (int n = -149; n < 128; ++n) CHECK(math::exp2(static_cast<float>(n)) == std::ldexp(1.0f, n));
}

// 1 + erf(x / sqrt(2)), the textbook's form, has no digit left at -5.5.
TEST_CASE("gelu keeps its digits where the normal distribution's tail is thin") {
  std::vector<float> x = sample();
  for (float v = -7; v < 7; v += 0.0007f) x.push_back(v);
  for_each_isa([&] {
    const std::vector<float> y = run_kernel<op::Gelu>(x);
    double ulp = 0, relative = 0;
    bool vanishes = true;
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = double{x[i]} * 0.5 * std::erfc(-double{x[i]} * std::sqrt(0.5));
      if (x[i] >= -6.5f && x[i] < -1) {
        relative = std::max(relative, std::abs(y[i] / exact - 1));
      } else if (x[i] >= -1 || std::isnan(exact)) {
        ulp = std::max(ulp, error_in_ulp(y[i], exact));
      } else {
        vanishes = vanishes && y[i] <= 0 && y[i] > -1e-9f;
      }
    }
    CHECK(vanishes);
    CHECK(ulp <= 3);
    CHECK(relative <= 2.5e-5);
  });
}

TEST_CASE("elementary functions have the right values at special points") {
  const auto is = [](float got, float wanted) {
    return std::isnan(wanted) ? std::isnan(got)
                              : got == wanted && std::signbit(got) == std::signbit(wanted);
  };
  struct Point {
    float x, exp, expm1, log, log1p, tanh, sigmoid, erf;
  };
  const Point points[] = {
      {0.0f, 1, 0, -kInf, 0, 0, 0.5f, 0},
      {-0.0f, 1, -0.0f, -kInf, -0.0f, -0.0f, 0.5f, -0.0f},
      {kInf, kInf, kInf, kInf, kInf, 1, 1, 1},
      {-kInf, 0, -1, kNan, kNan, -1, 0, -1},
      {kNan, kNan, kNan, kNan, kNan, kNan, kNan, kNan},
      {200, kInf, kInf, std::log(200.0f), std::log(201.0f), 1, 1, 1},
      {-200, 0, -1, kNan, kNan, -1, 0, -1},
      {kTiny, 1, kTiny, std::log(kTiny), kTiny, kTiny, 0.5f, kTiny},
      {-1, std::exp(-1.0f), std::expm1(-1.0f), kNan, -kInf, std::tanh(-1.0f), 0.26894143f,
       std::erf(-1.0f)},
  };
  for_each_isa([&] {
    for (const Point& p : points) {
      const float wanted[] = {p.exp, p.expm1, p.log, p.log1p, p.tanh, p.sigmoid, p.erf};
      for (size_t f = 0; f < std::size(kFunctions); ++f) {
        // Once in the vector loop, once in what is left of it.
        const std::vector<float> y = kFunctions[f].kernel(std::vector<float>(37, p.x));
        INFO(kFunctions[f].name << "(" << p.x << ") = " << y[0] << ", not " << wanted[f]);
        const bool ordinary = std::abs(p.x) == 1 || std::abs(p.x) == 200 || p.x == kTiny;
        CHECK((ordinary ? error_in_ulp(y[0], kFunctions[f].exact(p.x)) <= 2 : is(y[0], wanted[f])));
        CHECK(std::bit_cast<uint32_t>(y[0]) == std::bit_cast<uint32_t>(y[36]));
      }
    }
  });
}

TEST_CASE("max and min return NaN if either argument is") {
  CHECK(math::max(1.0f, 2.0f) == 2.0f);
  CHECK(math::min(1.0, 2.0) == 1.0);
  CHECK(math::max(int64_t{-3}, int64_t{-5}) == -3);
  for (const float other : {-kInf, 0.0f, kInf, kNan}) {
    CHECK(std::isnan(math::max(kNan, other)));
    CHECK(std::isnan(math::max(other, kNan)));
    CHECK(std::isnan(math::min(kNan, other)));
    CHECK(std::isnan(math::min(other, kNan)));
  }
}

TEST_CASE("rounding goes to even, sign and classification treat NaN as PyTorch") {
  CHECK(math::round(0.5f) == 0.0f);
  CHECK(math::round(1.5) == 2.0);
  CHECK(math::round(-2.5f) == -2.0f);
  CHECK(math::sign(-3.5) == -1.0);
  CHECK(math::sign(kNan) == 0.0f);
  CHECK(math::sign(int64_t{9}) == 1);
  CHECK(math::isnan(kNan));
  CHECK_FALSE(math::isnan(kInf));
  CHECK(math::isinf(-std::numeric_limits<double>::infinity()));
  CHECK_FALSE(math::isinf(std::numeric_limits<double>::max()));
  CHECK(math::isfinite(3.4e38f));
  CHECK_FALSE(math::isfinite(kNan));
}

TEST_CASE("remainder has the sign of the divisor, fmod that of the dividend") {
  CHECK(math::remainder(5.5, 3.0) == 2.5);
  CHECK(math::remainder(-5.5, 3.0) == 0.5);
  CHECK(math::remainder(5.5f, -3.0f) == -0.5f);
  CHECK(math::remainder(-6.0, 3.0) == 0.0);
  CHECK(math::fmod(-5.5, 3.0) == -2.5);
  CHECK(math::remainder(int64_t{-7}, int64_t{3}) == 2);
  CHECK(math::remainder(int64_t{7}, int64_t{-3}) == -2);
  CHECK(math::fmod(int64_t{-7}, int64_t{3}) == -1);
  CHECK(math::fmod(std::numeric_limits<int64_t>::min(), int64_t{-1}) == 0);
}

TEST_CASE("integer pow wraps around and truncates negative powers") {
  CHECK(math::pow(int64_t{3}, int64_t{4}) == 81);
  CHECK(math::pow(int64_t{-2}, int64_t{63}) == std::numeric_limits<int64_t>::min());
  CHECK(math::pow(int64_t{2}, int64_t{64}) == 0);
  CHECK(math::pow(int64_t{5}, int64_t{0}) == 1);
  CHECK(math::pow(int64_t{2}, int64_t{-1}) == 0);
  CHECK(math::pow(int64_t{-1}, int64_t{-3}) == -1);
  CHECK(math::abs(std::numeric_limits<int64_t>::min()) == std::numeric_limits<int64_t>::min());
}

}  // namespace
}  // namespace tarn::testing
