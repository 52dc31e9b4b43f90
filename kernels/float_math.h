// Elementary functions of float32 without branches, calls or tables, so that a plain loop over them
// vectorises on every instruction set. The host half of op_math.h, which documents the accuracy.
//
// Each follows the usual plan: bring the argument to a short interval by exact steps, evaluate a
// minimax polynomial (own Remez fits, weighted for relative error), undo the steps. Special values
// come out of the arithmetic itself or of a final select. Fused multiply-add is welcome anywhere
// but never needed: constants are split so that the products that must be exact are.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

#include "tarn/kernels/host_device.h"

namespace tarn::math::host {

inline constexpr float kInf = std::numeric_limits<float>::infinity();
inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
// ln 2 in two parts; the first has 9 bits, so n * kLn2High is exact for every exponent n.
inline constexpr float kLn2High = 0.693359375f;
inline constexpr float kLn2Low = -2.12194440e-4f;

TARN_HD float magnitude(float x) {
  return std::bit_cast<float>(std::bit_cast<uint32_t>(x) & 0x7FFFFFFFu);
}
// |value| with the sign of `sign`.
TARN_HD float with_sign(float value, float sign) {
  return std::bit_cast<float>((std::bit_cast<uint32_t>(value) & 0x7FFFFFFFu) |
                              (std::bit_cast<uint32_t>(sign) & 0x80000000u));
}
// 2^n for -126 <= n <= 127; any other n gives some float.
TARN_HD float exp2_int(int32_t n) {
  return std::bit_cast<float>((static_cast<uint32_t>(n) + 127u) << 23);
}

// e^r - 1 for |r| <= 0.347.
TARN_HD float small_expm1(float r) {
  float q = 0.00139475986f;
  q = q * r + 0.00836724695f;
  q = q * r + 0.0416662656f;
  q = q * r + 0.166665375f;
  q = q * r + 0.5f;
  return q * (r * r) + r;
}

// The integer nearest to x, twice; |x| must be below 2^22 or NaN, which reaches `value`.
struct Nearest {
  float value;
  int32_t n;
};
TARN_HD Nearest nearest(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer
  const float shifted = x + kRound;
  const uint32_t bits = std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kRound);
  return {shifted - kRound, static_cast<int32_t>(bits)};
}

// e^x = 2^n (1 + p), p in about [-0.293, 0.414]. |x| must be below 2^20 or NaN, which reaches p.
struct ExpParts {
  float p;
  int32_t n;
};
TARN_HD ExpParts split_exp(float x) {
  const Nearest k = nearest(x * 1.44269504f);
  return {small_expm1((x - k.value * kLn2High) - k.value * kLn2Low), k.n};
}

// value * 2^n in two factors, because 2^n alone leaves the normal range at both ends of exp.
TARN_HD float scale_by_exp2(float value, int32_t n) {
  const int32_t half = n >> 1;
  return value * exp2_int(half) * exp2_int(n - half);
}

TARN_HD float exp(float x) {
  float t = x > 89.0f ? 89.0f : x;  // in this order NaN passes
  t = t < -105.0f ? -105.0f : t;
  const ExpParts e = split_exp(t);
  return scale_by_exp2(1.0f + e.p, e.n);
}

TARN_HD float exp2(float x) {
  float t = x > 129.0f ? 129.0f : x;
  t = t < -151.0f ? -151.0f : t;
  const Nearest k = nearest(t);
  return scale_by_exp2(1.0f + small_expm1((t - k.value) * 0.693147181f), k.n);
}

TARN_HD float expm1(float x) {
  float t = x > 89.0f ? 89.0f : x;
  t = t < -25.0f ? -25.0f : t;
  const ExpParts e = split_exp(t);
  const float scale = exp2_int(e.n - 1);  // half of 2^n: 2^128 would be infinite
  const float y = 2.0f * (scale * e.p + (scale - 0.5f));
  return magnitude(x) < 1e-8f ? x : y;
}

// x = 2^e m, m in [sqrt(1/2), sqrt(2)), for positive finite x.
struct LogParts {
  float m, e;
};
TARN_HD LogParts split_log(float x) {
  constexpr uint32_t kSqrtHalf = 0x3F3504F3u;
  constexpr float kMinNormal = std::numeric_limits<float>::min();
  const float normal = x < kMinNormal ? x * 8388608.0f : x;
  const float adjust = x < kMinNormal ? -23.0f : 0.0f;
  const uint32_t bits = std::bit_cast<uint32_t>(normal) - kSqrtHalf;
  return {std::bit_cast<float>((bits & 0x7FFFFFu) + kSqrtHalf),
          static_cast<float>(static_cast<int32_t>(bits) >> 23) + adjust};
}

// log(1 + f) + e ln 2 for f in [sqrt(1/2) - 1, sqrt(2) - 1].
TARN_HD float join_log(float f, float e) {
  float q = -0.0786637291f;
  q = q * f + 0.128909364f;
  q = q * f - 0.131304622f;
  q = q * f + 0.141800046f;
  q = q * f - 0.166242793f;
  q = q * f + 0.200023308f;
  q = q * f - 0.250008196f;
  q = q * f + 0.333333164f;
  const float square = f * f;
  const float tail = (q * f) * square + e * kLn2Low - 0.5f * square;
  return e * kLn2High + (f + tail);
}

TARN_HD float log(float x) {
  const LogParts parts = split_log(x);
  float y = join_log(parts.m - 1.0f, parts.e);
  y = x < kInf ? y : x;
  y = x > 0.0f || x != x ? y : kNaN;
  return x == 0.0f ? -kInf : y;
}

TARN_HD float log1p(float x) {
  const float u = 1.0f + x;
  const LogParts parts = split_log(u);
  // What rounding 1 + x lost, scaled like m. Beyond 2^24 nothing of x is lost.
  const float lost = x - (u - 1.0f);
  const int32_t n = static_cast<int32_t>(parts.e);
  const float f = (parts.m - 1.0f) + lost * exp2_int(n > 126 ? -126 : -n);
  float y = join_log(f, parts.e);
  y = x < kInf ? y : x;
  y = x > -1.0f || x != x ? y : kNaN;
  y = x == -1.0f ? -kInf : y;
  return magnitude(x) < 1e-8f ? x : y;
}

TARN_HD float tanh(float x) {
  const float a = magnitude(x);
  const float z = x * x;
  float q = -0.00571704656f;
  q = q * z + 0.020650588f;
  q = q * z - 0.0537435003f;
  q = q * z + 0.133314908f;
  q = q * z - 0.333332837f;
  const float small = (q * z) * a + a;
  const float large = 1.0f - 2.0f / (exp(2.0f * (a > 10.0f ? 10.0f : a)) + 1.0f);
  return with_sign(a < 0.625f ? small : large, x);
}

// z / (1 + z) for negative x and 1 / (1 + z) else, with z = e^-|x|.
TARN_HD float sigmoid(float x) {
  const float t = -magnitude(x);
  const ExpParts e = split_exp(t < -105.0f ? -105.0f : t);
  const float top = 1.0f + e.p;
  const float z = scale_by_exp2(top, e.n);
  const float bottom = 1.0f + z;
  const float y = (x < 0.0f ? z : 1.0f) / bottom;
  // Put back what rounding took from the two sums; the first matters where z is the numerator.
  const float lost_top = x < 0.0f ? e.p - (top - 1.0f) : 0.0f;
  const float lost_bottom = z - (bottom - 1.0f);
  return y + y * (lost_top - lost_bottom);
}

TARN_HD float erf(float x) {
  const float a = magnitude(x);
  const float z = x * x;
  float s = 7.85386728e-05f;
  s = s * z - 0.000801019545f;
  s = s * z + 0.00518832775f;
  s = s * z - 0.0268538129f;
  s = s * z + 0.112835854f;
  s = s * z - 0.37612626f;
  s = s * z + 0.128379166f;
  const float small = s * x + x;
  // erfc(a) = e^-q(a); erf is 1 in float from 3.92 on.
  const float t = a > 4.0f ? 4.0f : a;
  float q = -0.000186500081f;
  q = q * t + 0.00294888951f;
  q = q * t - 0.0218431745f;
  q = q * t + 0.103117824f;
  q = q * t + 0.638131618f;
  q = q * t + 1.12709749f;
  q = q * t + 0.000339423772f;
  const float large = 1.0f - exp(-q);
  return a < 1.0f ? small : with_sign(large, x);
}

}  // namespace tarn::math::host
