// NVIDIA's headers may come before the emulator's.
#include <cuda_bf16.h>
#include <curand_kernel.h>

#include <cmath>
#include <limits>

#include "tarn/tests/cuda_emulator/testing.h"

using tarn::gpu::launch;

namespace {

__global__ void draw(uint4* bits, float4* uniform, float4* normal, unsigned long long seed) {
  unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  curandStatePhilox4_32_10_t state;
  curand_init(seed, i, 0, &state);
  bits[i] = curand4(&state);
  uniform[i] = curand_uniform4(&state);
  normal[i] = curand_normal4(&state);
}

template <class T>
__global__ void atomics(T* x) {
  atomicAdd(&x[0], T(1));
  atomicMax(&x[1], static_cast<T>(threadIdx.x));
  atomicMin(&x[2], static_cast<T>(threadIdx.x));
  atomicOr(&x[3], static_cast<T>(1u << threadIdx.x % 8));
  atomicAnd(&x[4], static_cast<T>(~(1u << threadIdx.x % 8)));
  T seen = atomicAdd(&x[5], T(0)), expected;
  do {
    expected = seen;
    seen = atomicCAS(&x[5], expected, static_cast<T>(expected * 3 % 1009));
  } while (seen != expected);
  atomicExch(&x[6], T(7));
}

__global__ void round_to_bfloat16(__nv_bfloat16* y, const float* x) {
  y[threadIdx.x] = __float2bfloat16(x[threadIdx.x]);
}

}  // namespace

TEST_CASE("cuRAND's Philox draws the published numbers") {
  Stream stream;
  Buffer<uint4> bits(640);
  Buffer<float4> uniform(640), normal(640);
  check(launch(draw, 20, 32, 0, stream, bits, uniform, normal, 0ull));
  uint4 first = bits.read(stream)[0];
  // Random123's known answer for counter 0 and key 0.
  CHECK(first.x == 0x6627e8d5u);
  CHECK(first.y == 0xe169c58du);
  CHECK(first.z == 0xbc57ac4cu);
  CHECK(first.w == 0x9b00dbd8u);
  double sum = 0, squares = 0;
  for (const float4& n : normal.read(stream))
    for (float x : {n.x, n.y, n.z, n.w}) {
      sum += static_cast<double>(x);
      squares += static_cast<double>(x) * static_cast<double>(x);
    }
  CHECK(std::abs(sum / 2560) < 0.1);
  CHECK(std::abs(squares / 2560 - 1) < 0.1);
  for (const float4& u : uniform.read(stream)) CHECK((u.x > 0 && u.x <= 1 && u.w > 0 && u.w <= 1));
}

TEMPLATE_TEST_CASE("Atomic operations on integers", "", int, unsigned, unsigned long long) {
  Stream stream;
  Buffer<TestType> x(std::vector<TestType>{0, 0, 1000, 0, 255, 1, 0});
  check(launch(atomics<TestType>, 1, 64, 0, stream, x));
  TestType power = 1;
  for (int i = 0; i < 64; ++i) power = power * 3 % 1009;
  CHECK(x.read(stream) == std::vector<TestType>{64, 63, 0, 255, 0, power, 7});
}

TEST_CASE("Bit operations and reinterpretations") {
  CHECK(__umulhi(0xFFFFFFFFu, 0xFFFFFFFFu) == 0xFFFFFFFEu);
  CHECK(__umul64hi(~0ull, ~0ull) == ~0ull - 1);
  CHECK(__popc(0xF0u) == 4);
  CHECK(__clz(1) == 31);
  CHECK(__clz(0) == 32);
  CHECK(__ffs(0) == 0);
  CHECK(__ffs(8) == 4);
  CHECK(__float_as_int(1.0f) == 0x3F800000);
  CHECK(__int_as_float(0x40000000) == 2.0f);
  CHECK(min(2, 3) == 2);
  CHECK(max(2.0f, std::numeric_limits<float>::quiet_NaN()) == 2.0f);
  CHECK(rsqrtf(4.0f) == 0.5f);
}

TEST_CASE("NVIDIA's bfloat16 works in kernels") {
  Stream stream;
  Buffer<float> x(std::vector<float>{1.0f, 1.00390625f, 1.01171875f, -3.0f});
  Buffer<__nv_bfloat16> y(4);
  check(launch(round_to_bfloat16, 1, 4, 0, stream, y, x));
  std::vector<__nv_bfloat16> rounded = y.read(stream);
  // To the nearest, ties to even.
  CHECK(static_cast<float>(rounded[1]) == 1.0f);
  CHECK(static_cast<float>(rounded[2]) == 1.015625f);
  CHECK(static_cast<float>(rounded[3]) == -3.0f);
}
