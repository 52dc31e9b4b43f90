// Normal numbers for tensors of 16 and more elements, as PyTorch's CPU makes them.
//
// Uniform numbers are turned into normal ones in blocks of 16: elements j and j + 8 (j < 8) of a
// block are the two results of one Box-Muller transform.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "tarn/kernels/cpu/isa.h"

namespace tarn::cpu {

inline constexpr int64_t kNormalBlock = 16;

// a * b + c rounded once. Where the machine has no such instruction the product is exact in double;
// the sum is then rounded twice, which changes a float about once in 2^29 times.
template <bool kFma>
TARN_HD float fused(float a, float b, float c) {
  if constexpr (kFma)
    return __builtin_fmaf(a, b, c);
  else
    return static_cast<float>(static_cast<double>(a) * b + c);
}

// float: the logarithm, sine and cosine are the polynomials of S. Moshier's Cephes library
// (https://www.netlib.org/cephes/, single precision), evaluated with the fused multiply-adds that
// PyTorch's x86 build has, so that the results agree to the last bit. `log` is right for normal
// positive arguments, `sincos` for [0, 2 pi).
template <bool kFma>
struct NormalBlocks {
  TARN_HD static float fma(float a, float b, float c) { return fused<kFma>(a, b, c); }

  TARN_HD static float log(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    float exponent = static_cast<float>(static_cast<int32_t>(bits >> 23) - 126);
    const float fraction = std::bit_cast<float>((bits & 0x7FFFFFu) | 0x3F000000u);  // [0.5, 1)
    const bool small = fraction < 0.707106781186547524f;
    exponent -= small ? 1.0f : 0.0f;
    const float x = (fraction - 1.0f) + (small ? fraction : 0.0f);
    const float square = x * x;
    float y = fma(7.0376836292e-2f, x, -1.1514610310e-1f);
    y = fma(y, x, 1.1676998740e-1f);
    y = fma(y, x, -1.2420140846e-1f);
    y = fma(y, x, 1.4249322787e-1f);
    y = fma(y, x, -1.6668057665e-1f);
    y = fma(y, x, 2.0000714765e-1f);
    y = fma(y, x, -2.4999993993e-1f);
    y = fma(y, x, 3.3333331174e-1f);
    y = fma(y * x, square, exponent * -2.12194440e-4f);
    y = fma(square, -0.5f, y);
    return fma(exponent, 0.693359375f, x + y);
  }

  TARN_HD static void sincos(float value, float& sine, float& cosine) {
    const int32_t octant = (static_cast<int32_t>(value * 1.27323954473516f) + 1) & ~1;
    const float y = static_cast<float>(octant);
    float x = fma(y, -0.78515625f, value);
    x = fma(y, -2.4187564849853515625e-4f, x);
    x = fma(y, -3.77489497744594108e-8f, x);
    const float square = x * x;
    float c = fma(2.443315711809948e-5f, square, -1.388731625493765e-3f);
    c = fma(c, square, 4.166664568298827e-2f);
    c = fma(c * square, square, square * -0.5f) + 1.0f;
    float s = fma(-1.9515295891e-4f, square, 8.3321608736e-3f);
    s = fma(s, square, -1.6666654611e-1f);
    s = fma(s * square, x, x);
    const bool swap = (octant & 2) != 0;
    const uint32_t sine_sign = static_cast<uint32_t>(octant & 4) << 29;
    const uint32_t cosine_sign = static_cast<uint32_t>(~(octant - 2) & 4) << 29;
    sine = std::bit_cast<float>(std::bit_cast<uint32_t>(swap ? c : s) ^ sine_sign);
    cosine = std::bit_cast<float>(std::bit_cast<uint32_t>(swap ? s : c) ^ cosine_sign);
  }

  // Turns blocks of 16 uniform numbers in [0, 1) into normal ones.
  TARN_HD static void run(float* data, int64_t blocks, float mean, float deviation) {
    for (; blocks > 0; --blocks, data += kNormalBlock) {
      for (int j = 0; j < 8; ++j) {
        const float radius = std::sqrt(-2.0f * log(1.0f - data[j]));
        float sine, cosine;
        sincos(static_cast<float>(2 * std::numbers::pi) * data[j + 8], sine, cosine);
        data[j] = fma(radius * cosine, deviation, mean);
        data[j + 8] = fma(radius * sine, deviation, mean);
      }
    }
  }
};

inline void normal_blocks(float* data, int64_t blocks, float mean, float deviation) {
  switch (cpu_isa()) {
    case CpuIsa::Baseline:
      return run_baseline<NormalBlocks<false>>(data, blocks, mean, deviation);
    default:
      return run_avx2<NormalBlocks<true>>(data, blocks, mean, deviation);
  }
}

// double: the C library's functions, as PyTorch.
inline void normal_blocks(double* data, int64_t blocks, double mean, double deviation) {
  for (; blocks > 0; --blocks, data += kNormalBlock) {
    for (int j = 0; j < 8; ++j) {
      const double radius = std::sqrt(-2 * std::log(1 - data[j]));
      const double theta = 2 * std::numbers::pi * data[j + 8];
      data[j] = std::fma(radius * std::cos(theta), deviation, mean);
      data[j + 8] = std::fma(radius * std::sin(theta), deviation, mean);
    }
  }
}

}  // namespace tarn::cpu
