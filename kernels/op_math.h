// The scalar functions that op formulas are written in: one set of names for float, double, int64_t
// and (declared in core/) Tensor, on the host and on devices.
//
// Formulas bring them in with `using namespace math` and call them unqualified. Literals are
// written Lit<V>(0.5): a bare 0.5 would compute in double on floats, 0.5f would cut digits off
// doubles.
//
// Accuracy on the CPU, in units in the last place (ulp) of the result, over all floats, with and
// without fused multiply-add: exp 1.1, exp2 1, expm1 1.8, log 0.9, log1p 1.5, tanh 1.4, sigmoid
// 1.6, erf 1.5. They return NaN for NaN, the limits at the ends of their domains, and keep the sign
// of zero; subnormal arguments and results are exact to the same bounds. Everything else, and all
// of double, is the C++ library's. On CUDA all are the device library's functions of these names.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "tarn/kernels/float_math.h"
#include "tarn/kernels/host_device.h"

namespace tarn::math {

// The type of a literal in a formula over V: V itself for numbers, Scalar for a Tensor (core/).
template <class V>
struct Literal {
  using type = V;
};
template <class V>
TARN_HD constexpr typename Literal<V>::type Lit(double value) {
  return static_cast<typename Literal<V>::type>(value);
}
// 0 of the type (for a Tensor also: the device and shape) of its argument.
template <class V>
requires std::is_arithmetic_v<V> TARN_HD constexpr V zero_of(V) { return V{0}; }

#if defined(__CUDA_ARCH__)
TARN_HD float exp(float x) { return ::expf(x); }
TARN_HD float exp2(float x) { return ::exp2f(x); }
TARN_HD float expm1(float x) { return ::expm1f(x); }
TARN_HD float log(float x) { return ::logf(x); }
TARN_HD float log1p(float x) { return ::log1pf(x); }
TARN_HD float tanh(float x) { return ::tanhf(x); }
TARN_HD float erf(float x) { return ::erff(x); }
TARN_HD float sigmoid(float x) {
  const float z = ::expf(-::fabsf(x));
  return (x < 0.0f ? z : 1.0f) / (1.0f + z);
}
#else
using host::erf;
using host::exp;
using host::exp2;
using host::expm1;
using host::log;
using host::log1p;
using host::sigmoid;
using host::tanh;
#endif

TARN_HD double exp(double x) { return std::exp(x); }
TARN_HD double expm1(double x) { return std::expm1(x); }
TARN_HD double log(double x) { return std::log(x); }
TARN_HD double log1p(double x) { return std::log1p(x); }
TARN_HD double tanh(double x) { return std::tanh(x); }
TARN_HD double erf(double x) { return std::erf(x); }
// The exponential is of a negative number, so it cannot overflow.
TARN_HD double sigmoid(double x) {
  const double z = std::exp(x < 0.0 ? x : -x);
  return (x < 0.0 ? z : 1.0) / (1.0 + z);
}

// float or double.
template <class V>
concept Real = std::is_floating_point_v<V>;

TARN_HD auto log2(Real auto x) { return std::log2(x); }
TARN_HD auto log10(Real auto x) { return std::log10(x); }
TARN_HD auto sqrt(Real auto x) { return std::sqrt(x); }
TARN_HD auto rsqrt(Real auto x) { return 1 / std::sqrt(x); }
TARN_HD auto erfc(Real auto x) { return std::erfc(x); }
TARN_HD auto sin(Real auto x) { return std::sin(x); }
TARN_HD auto cos(Real auto x) { return std::cos(x); }
TARN_HD auto tan(Real auto x) { return std::tan(x); }
TARN_HD auto asin(Real auto x) { return std::asin(x); }
TARN_HD auto acos(Real auto x) { return std::acos(x); }
TARN_HD auto atan(Real auto x) { return std::atan(x); }
TARN_HD auto sinh(Real auto x) { return std::sinh(x); }
TARN_HD auto cosh(Real auto x) { return std::cosh(x); }
TARN_HD auto floor(Real auto x) { return std::floor(x); }
TARN_HD auto ceil(Real auto x) { return std::ceil(x); }
TARN_HD auto trunc(Real auto x) { return std::trunc(x); }
// To the nearest integer, halves to the even one.
TARN_HD auto round(Real auto x) { return std::nearbyint(x); }
template <Real V>
TARN_HD V atan2(V y, V x) {
  return std::atan2(y, x);
}

// P(Z <= x) for a normal Z; for a Tensor, too.
template <class V>
TARN_HD V normal_cdf(const V& x) {
  return erfc(x * Lit<V>(-0.70710678118654752440)) * Lit<V>(0.5);
}
// In float the polynomial is log2 of erfc(t / sqrt(2)), fitted up to 6.5 so that neither 1 - P nor
// P itself is far off; beyond, P is below 1e-10 and goes to 0 the faster.
TARN_HD float normal_cdf(float x) {
  const float t = std::fabs(x);
  float q = -2.41210962e-08f;
  q = q * t + 7.54924486e-07f;
  q = q * t - 1.00269581e-05f;
  q = q * t + 7.18880547e-05f;
  q = q * t - 0.000266506948f;
  q = q * t - 2.33493993e-05f;
  q = q * t + 0.00697219884f;
  q = q * t - 0.0524569452f;
  q = q * t - 0.459216058f;
  q = q * t - 1.15110469f;
  const float tails = exp2(q * t);
  return x > 0.0f ? 1.0f - 0.5f * tails : 0.5f * tails;
}

TARN_HD bool isnan(Real auto x) { return x != x; }
TARN_HD bool isinf(Real auto x) { return std::fabs(x) == host::kInf; }
TARN_HD bool isfinite(Real auto x) { return std::fabs(x) < host::kInf; }

TARN_HD auto abs(Real auto x) { return std::fabs(x); }
// The most negative number has no positive counterpart and is returned as it is.
TARN_HD int64_t abs(int64_t x) {
  const uint64_t bits = static_cast<uint64_t>(x);
  return static_cast<int64_t>(x < 0 ? uint64_t{0} - bits : bits);
}
// -1, 0 or 1; 0 for NaN, as PyTorch.
template <class V>
requires std::is_arithmetic_v<V> TARN_HD V sign(V x) {
  return static_cast<V>((x > V{0} ? 1 : 0) - (x < V{0} ? 1 : 0));
}

// The larger and the smaller; NaN if either is.
template <class V>
requires std::is_arithmetic_v<V> TARN_HD V max(V a, V b) { return a > b || a != a ? a : b; }
template <class V>
requires std::is_arithmetic_v<V> TARN_HD V min(V a, V b) { return a < b || a != a ? a : b; }
// condition ? a : b. Both are evaluated.
template <class V>
requires std::is_arithmetic_v<V> TARN_HD V where(bool condition, V a, V b) {
  return condition ? a : b;
}

template <Real V>
TARN_HD V pow(V x, V y) {
  return std::pow(x, y);
}
// Wraps around on overflow; a negative exponent gives 1, -1 or 0, the truncated result.
TARN_HD int64_t pow(int64_t x, int64_t y) {
  if (y < 0) return x == 1 ? 1 : x == -1 ? ((y & 1) != 0 ? -1 : 1) : 0;
  uint64_t result = 1;
  for (uint64_t base = static_cast<uint64_t>(x); y != 0; y >>= 1, base *= base) {
    if ((y & 1) != 0) result *= base;
  }
  return static_cast<int64_t>(result);
}

// The remainder of x / y: fmod has the sign of x (C), remainder the sign of y (Python). Integers:
// y must not be 0.
template <Real V>
TARN_HD V fmod(V x, V y) {
  return std::fmod(x, y);
}
TARN_HD int64_t fmod(int64_t x, int64_t y) { return y == -1 ? 0 : x % y; }
template <class V>
requires std::is_arithmetic_v<V> TARN_HD V remainder(V x, V y) {
  const V r = fmod(x, y);
  return r != V{0} && (r < V{0}) != (y < V{0}) ? r + y : r;
}

}  // namespace tarn::math
