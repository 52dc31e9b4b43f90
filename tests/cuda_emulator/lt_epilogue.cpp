#include "tarn/tests/cuda_emulator/lt_epilogue.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cmath>

#include "tarn/tests/cuda_emulator/settings.h"

namespace cuda_emulator::lt {
namespace {

// cuBLASLt's GELU is the tanh form.
constexpr double gelu_scale = 0.7978845608028654;  // sqrt(2 / pi)
constexpr double gelu_cubic = 0.044715;

double gelu(double x) {
  return 0.5 * x * (1 + std::tanh(gelu_scale * (x + gelu_cubic * x * x * x)));
}

double gelu_slope(double x) {
  double t = std::tanh(gelu_scale * (x + gelu_cubic * x * x * x));
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * gelu_scale * (1 + 3 * gelu_cubic * x * x);
}

void set_bit(unsigned char* bits, std::uint64_t index, bool value) {
  auto mask = static_cast<unsigned char>(1u << index % 8);
  bits[index / 8] =
      static_cast<unsigned char>(value ? bits[index / 8] | mask : bits[index / 8] & ~mask);
}

bool get_bit(const unsigned char* bits, std::uint64_t index) {
  return bits[index / 8] >> index % 8 & 1;
}

// One element of D; `aux_index` is its place in the auxiliary buffer.
double finish_element(const Problem& p, double value, double bias, std::uint64_t aux_index) {
  auto* bits = static_cast<unsigned char*>(p.op.aux);
  value += bias;
  if (p.relu()) {
    if (p.uses_aux()) set_bit(bits, aux_index, value > 0);
    return value > 0 || (std::isnan(value) && settings().lt_relu_keeps_nan) ? value : 0;
  }
  if (p.relu_backward()) return get_bit(bits, aux_index) ? value : 0;
  if (p.gelu()) {
    if (p.uses_aux()) store(p.op.aux, aux_index, p.aux_type(), value);
    return gelu(value);
  }
  if (p.gelu_backward()) return value * gelu_slope(load(p.op.aux, aux_index, p.aux_type()));
  return value;
}

}  // namespace

std::size_t element_bytes(std::uint32_t type) {
  switch (type) {
    case CUDA_R_64F:
      return 8;
    case CUDA_R_32F:
      return 4;
    case CUDA_R_16F:
    case CUDA_R_16BF:
      return 2;
    default:
      return 0;
  }
}

double load(const void* memory, std::uint64_t index, std::uint32_t type) {
  switch (type) {
    case CUDA_R_64F:
      return static_cast<const double*>(memory)[index];
    case CUDA_R_32F:
      return static_cast<const float*>(memory)[index];
    case CUDA_R_16F:
      return __half2float(static_cast<const __half*>(memory)[index]);
    default:
      return __bfloat162float(static_cast<const __nv_bfloat16*>(memory)[index]);
  }
}

void store(void* memory, std::uint64_t index, std::uint32_t type, double value) {
  auto single = static_cast<float>(value);
  switch (type) {
    case CUDA_R_64F:
      static_cast<double*>(memory)[index] = value;
      break;
    case CUDA_R_32F:
      static_cast<float*>(memory)[index] = single;
      break;
    case CUDA_R_16F:
      static_cast<__half*>(memory)[index] = __float2half(single);
      break;
    default:
      static_cast<__nv_bfloat16*>(memory)[index] = __float2bfloat16(single);
  }
}

void finish(const Problem& p, std::uint64_t batch, std::vector<double>& product,
            const std::vector<double>& a, const std::vector<double>& b, void* d) {
  std::uint64_t d_offset = batch * static_cast<std::uint64_t>(p.d.stride);
  std::uint64_t bias_offset = batch * static_cast<std::uint64_t>(p.op.bias_stride);
  std::uint64_t aux_offset = batch * static_cast<std::uint64_t>(p.op.aux_stride);
  for (std::uint64_t j = 0; j < p.n; ++j)
    for (std::uint64_t i = 0; i < p.m; ++i) {
      double bias = p.adds_bias() ? load(p.op.bias, bias_offset + i, p.bias_type()) : 0;
      std::uint64_t aux_index = aux_offset + j * static_cast<std::uint64_t>(p.op.aux_ld) + i;
      double& value = product[j * p.m + i];
      value = finish_element(p, value, bias, aux_index);
      store(d, d_offset + j * static_cast<std::uint64_t>(p.d.ld) + i, p.d.type, value);
    }

  std::vector<double> sums;
  if (p.sums_d() || p.sums_a()) {
    const std::vector<double>& summed = p.sums_d() ? product : a;
    sums.resize(p.m);
    for (std::size_t e = 0; e < summed.size(); ++e) sums[e % p.m] += summed[e];
  } else if (p.sums_b()) {
    sums.resize(p.n);
    for (std::size_t e = 0; e < b.size(); ++e) sums[e / p.k] += b[e];
  }
  for (std::size_t i = 0; i < sums.size(); ++i)
    store(p.op.bias, bias_offset + i, p.bias_type(), sums[i]);
}

}  // namespace cuda_emulator::lt
