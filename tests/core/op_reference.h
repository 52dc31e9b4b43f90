// What every pointwise op and reduction must compute, in double precision, independent of the
// formulas in kernels/. A row missing here does not compile.
#pragma once

#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <string_view>
#include <vector>

#include "tarn/kernels/pointwise_ops.h"
#include "tarn/kernels/reduce_ops.h"

namespace tarn::testing {

// The reference of an op with its default parameters, and the interval its arguments are drawn
// from. Gradients are checked there too, so it keeps off kinks by `kink` (multiples of it are
// avoided).
struct UnaryReference {
  std::string_view name;
  double (*value)(double);
  double low, high;
  double kink = 0;  // gradcheck keeps this distance from multiples of the unit below
  double unit = 0;
};

inline const UnaryReference kUnaryReference[] = {
    {"neg", [](double x) { return 0 - x; }, -3, 3},
    {"abs", [](double x) { return x < 0 ? -x : x; }, -3, 3, 0.05, 10},
    {"sign", [](double x) { return x > 0   ? 1.0
                                   : x < 0 ? -1.0
                                           : 0.0; }, -3, 3, 0.05, 10},
    {"square", [](double x) { return x * x; }, -3, 3},
    {"reciprocal", [](double x) { return 1 / x; }, 0.5, 3},
    {"sqrt", [](double x) { return std::sqrt(x); }, 0.5, 4},
    {"rsqrt", [](double x) { return std::pow(x, -0.5); }, 0.5, 4},
    {"floor", [](double x) { return std::floor(x); }, -3, 3, 0.05, 1},
    {"ceil", [](double x) { return std::ceil(x); }, -3, 3, 0.05, 1},
    {"round", [](double x) { return std::nearbyint(x); }, -3, 3, 0.05, 0.5},
    {"trunc", [](double x) { return std::trunc(x); }, -3, 3, 0.05, 1},
    {"clamp", [](double x) { return std::fmin(std::fmax(x, -1), 2); }, -3, 3, 0.05, 1},
    {"exp", [](double x) { return std::exp(x); }, -5, 5},
    {"expm1", [](double x) { return std::expm1(x); }, -5, 5},
    {"log", [](double x) { return std::log(x); }, 0.5, 5},
    {"log2", [](double x) { return std::log(x) / std::log(2.0); }, 0.5, 5},
    {"log10", [](double x) { return std::log(x) / std::log(10.0); }, 0.5, 5},
    {"log1p", [](double x) { return std::log1p(x); }, -0.5, 5},
    {"sin", [](double x) { return std::sin(x); }, -4, 4},
    {"cos", [](double x) { return std::cos(x); }, -4, 4},
    {"tan", [](double x) { return std::sin(x) / std::cos(x); }, -1, 1},
    {"asin", [](double x) { return std::asin(x); }, -0.8, 0.8},
    {"acos", [](double x) { return std::acos(x); }, -0.8, 0.8},
    {"atan", [](double x) { return std::atan(x); }, -3, 3},
    {"sinh", [](double x) { return (std::exp(x) - std::exp(-x)) / 2; }, -3, 3},
    {"cosh", [](double x) { return (std::exp(x) + std::exp(-x)) / 2; }, -3, 3},
    {"erf", [](double x) { return std::erf(x); }, -2, 2},
    {"erfc", [](double x) { return std::erfc(x); }, -2, 2},
    {"logical_not", [](double x) { return x == 0 ? 1.0 : 0.0; }, -3, 3},
    {"bitwise_not", [](double x) { return -1 - x; }, -9, 9},
    {"isnan", [](double x) { return std::isnan(x) ? 1.0 : 0.0; }, -3, 3},
    {"isinf", [](double x) { return std::isinf(x) ? 1.0 : 0.0; }, -3, 3},
    {"isfinite", [](double x) { return std::isfinite(x) ? 1.0 : 0.0; }, -3, 3},
    {"tanh", [](double x) { return std::tanh(x); }, -3, 3},
    {"sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }, -6, 6},
    {"log_sigmoid", [](double x) { return -std::log(1 + std::exp(-x)); }, -6, 6},
    {"relu", [](double x) { return x > 0 ? x : 0; }, -3, 3, 0.05, 10},
    {"leaky_relu", [](double x) { return x > 0 ? x : 0.01 * x; }, -3, 3, 0.05, 10},
    {"elu", [](double x) { return x > 0 ? x : std::exp(x) - 1; }, -3, 3, 0.05, 10},
    {"gelu", [](double x) { return x * 0.5 * std::erfc(-x / std::sqrt(2.0)); }, -3, 3},
    {"gelu_tanh",
     [](double x) {
       return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
     },
     -3, 3},
    {"silu", [](double x) { return x / (1 + std::exp(-x)); }, -4, 4},
    {"mish", [](double x) { return x * std::tanh(std::log(1 + std::exp(x))); }, -4, 4},
    {"softplus", [](double x) { return std::log(1 + std::exp(x)); }, -4, 4},
};
static_assert(std::size(kUnaryReference) == op::UnaryOps::size,
              "every unary op has a reference row, in list order");

struct BinaryReference {
  std::string_view name;
  double (*value)(double, double);
  double low, high;  // of both arguments
  double kink = 0;   // gradcheck keeps the arguments this far apart
};

inline const BinaryReference kBinaryReference[] = {
    {"add", [](double a, double b) { return a + b; }, -3, 3},
    {"mul", [](double a, double b) { return a * b; }, -3, 3},
    {"div", [](double a, double b) { return a / b; }, 0.5, 3},
    {"floor_divide", [](double a, double b) { return std::floor(a / b); }, 0.6, 3},
    {"trunc_divide", [](double a, double b) { return std::trunc(a / b); }, 0.6, 3},
    {"remainder", [](double a, double b) { return a - b * std::floor(a / b); }, 1.1, 2, 0.05},
    {"fmod", [](double a, double b) { return a - b * std::trunc(a / b); }, 1.1, 2, 0.05},
    {"pow", [](double a, double b) { return std::exp(b * std::log(a)); }, 0.5, 3},
    {"atan2", [](double a, double b) { return std::atan2(a, b); }, 0.5, 3},
    {"maximum", [](double a, double b) { return a > b ? a : b; }, -3, 3, 0.05},
    {"minimum", [](double a, double b) { return a < b ? a : b; }, -3, 3, 0.05},
    {"eq", [](double a, double b) { return double(a == b); }, -2, 2},
    {"ne", [](double a, double b) { return double(a != b); }, -2, 2},
    {"lt", [](double a, double b) { return double(a < b); }, -2, 2},
    {"le", [](double a, double b) { return double(a <= b); }, -2, 2},
    {"gt", [](double a, double b) { return double(a > b); }, -2, 2},
    {"ge", [](double a, double b) { return double(a >= b); }, -2, 2},
    {"logical_and", [](double a, double b) { return double(a != 0 && b != 0); }, -2, 2},
    {"logical_or", [](double a, double b) { return double(a != 0 || b != 0); }, -2, 2},
    {"logical_xor", [](double a, double b) { return double((a != 0) != (b != 0)); }, -2, 2},
    {"bitwise_and", [](double a, double b) { return double(int64_t(a) & int64_t(b)); }, -9, 9},
    {"bitwise_or", [](double a, double b) { return double(int64_t(a) | int64_t(b)); }, -9, 9},
    {"bitwise_xor", [](double a, double b) { return double(int64_t(a) ^ int64_t(b)); }, -9, 9},
    {"squared_error", [](double a, double b) { return std::pow(a - b, 2); }, -3, 3},
    {"smooth_error",
     [](double a, double b) {
       return std::fabs(a - b) < 1 ? 0.5 * std::pow(a - b, 2) : std::fabs(a - b) - 0.5;
     },
     -0.4, 0.4},
    {"binary_cross_entropy_with_logits",
     [](double a, double b) {
       const double p = 1 / (1 + std::exp(-a));
       return -b * std::log(p) - (1 - b) * std::log(1 - p);
     },
     0.1, 0.9},
};
static_assert(std::size(kBinaryReference) == op::BinaryOps::size,
              "every binary op has a reference row, in list order");

struct TernaryReference {
  std::string_view name;
  double (*value)(double, double, double);
};

// Arguments are drawn from [0.5, 2].
inline const TernaryReference kTernaryReference[] = {
    {"where", [](double a, double b, double c) { return a != 0 ? b : c; }},
    {"lerp", [](double a, double b, double c) { return (1 - c) * a + c * b; }},
    {"addcmul", [](double a, double b, double c) { return a + b * c; }},
    {"addcdiv", [](double a, double b, double c) { return a + b / c; }},
};
static_assert(std::size(kTernaryReference) == op::TernaryOps::size,
              "every ternary op has a reference row, in list order");

using Row = std::vector<double>;
struct ReduceReference {
  std::string_view name;
  double (*value)(const Row&);
  bool differentiable;
};

inline double mean_of(const Row& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / double(x.size());
}
inline double variance_of(const Row& x) {
  double total = 0;
  for (double v : x) total += (v - mean_of(x)) * (v - mean_of(x));
  return total / double(x.size() - 1);
}

inline const ReduceReference kReduceReference[] = {
    {"sum", [](const Row& x) { return std::accumulate(x.begin(), x.end(), 0.0); }, true},
    {"mean", mean_of, true},
    {"prod",
     [](const Row& x) { return std::accumulate(x.begin(), x.end(), 1.0, std::multiplies<>()); },
     true},
    {"max", [](const Row& x) { return *std::max_element(x.begin(), x.end()); }, true},
    {"min", [](const Row& x) { return *std::min_element(x.begin(), x.end()); }, true},
    {"argmax",
     [](const Row& x) { return double(std::max_element(x.begin(), x.end()) - x.begin()); }, false},
    {"argmin",
     [](const Row& x) { return double(std::min_element(x.begin(), x.end()) - x.begin()); }, false},
    {"any",
     [](const Row& x) {
       return double(std::any_of(x.begin(), x.end(), [](double v) { return v != 0; }));
     },
     false},
    {"all",
     [](const Row& x) {
       return double(std::all_of(x.begin(), x.end(), [](double v) { return v != 0; }));
     },
     false},
    {"var", variance_of, true},
    {"std", [](const Row& x) { return std::sqrt(variance_of(x)); }, true},
    {"norm",
     [](const Row& x) { return std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0)); },
     true},
};
static_assert(std::size(kReduceReference) == op::ReduceOps::size,
              "every reduction has a reference row, in list order");

}  // namespace tarn::testing
