#include "tarn/io/crc32.h"

#include <zlib.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tarn::detail {
namespace {

uint32_t zlib_crc(uint32_t before, const unsigned char* bytes, uint64_t size) {
  return static_cast<uint32_t>(::crc32_z(before, bytes, size));
}

#if defined(__x86_64__)

// x^n modulo the CRC's polynomial, bit-reflected, as carry-less products of reflected numbers need
// it.
constexpr int64_t power(int n) {
  uint32_t rest = 0x80000000;  // x^0
  for (int i = 0; i < n; ++i) rest = (rest >> 1) ^ ((rest & 1) != 0 ? 0xEDB88320 : 0);
  return static_cast<int64_t>(rest) << 1;
}

// Multipliers that move 128 bits past 64, or 16, bytes of message.
constexpr int64_t kBy64[] = {power(512 + 32), power(512 - 32)};
constexpr int64_t kBy16[] = {power(128 + 32), power(128 - 32)};

// Moves 128 bits on to where `next` lies, by multipliers of that distance, and adds it.
[[gnu::target("pclmul")]] inline __m128i fold(__m128i high, __m128i by, __m128i next) {
  return _mm_xor_si128(next, _mm_xor_si128(_mm_clmulepi64_si128(high, by, 0x00),
                                           _mm_clmulepi64_si128(high, by, 0x11)));
}
[[gnu::target("pclmul")]] inline __m128i load(const unsigned char* bytes) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
}

// Reduces the message to 16 bytes of the same remainder, and leaves those to zlib.
// Source: V. Gopal et al., Fast CRC Computation for Generic Polynomials Using PCLMULQDQ, Intel 2009
[[gnu::target("pclmul")]] uint32_t clmul_crc(const unsigned char* bytes, uint64_t size) {
  const __m128i by64 = _mm_set_epi64x(kBy64[1], kBy64[0]);
  const __m128i by16 = _mm_set_epi64x(kBy16[1], kBy16[0]);
  __m128i sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = load(bytes + 16 * i);
  sums[0] = _mm_xor_si128(sums[0], _mm_cvtsi32_si128(-1));  // the initial value
  for (bytes += 64, size -= 64; size >= 64; bytes += 64, size -= 64) {
    for (int i = 0; i < 4; ++i) sums[i] = fold(sums[i], by64, load(bytes + 16 * i));
  }
  __m128i sum = sums[0];
  for (int i = 1; i < 4; ++i) sum = fold(sum, by16, sums[i]);
  for (; size >= 16; bytes += 16, size -= 16) sum = fold(sum, by16, load(bytes));
  unsigned char rest[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(rest), sum);
  // zlib inverts what it is given: this starts from 0.
  return zlib_crc(zlib_crc(0xFFFFFFFF, rest, sizeof rest), bytes, size);
}

#endif

}  // namespace

uint32_t crc32(const void* data, uint64_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
#if defined(__x86_64__)
  static const bool has_clmul = __builtin_cpu_supports("pclmul") != 0;
  if (has_clmul && size >= 64) return clmul_crc(bytes, size);
#endif
  return size == 0 ? 0 : zlib_crc(0, bytes, size);
}

uint32_t crc32_join(uint32_t first, uint32_t second, uint64_t second_size) {
  return static_cast<uint32_t>(::crc32_combine(first, second, static_cast<z_off_t>(second_size)));
}

}  // namespace tarn::detail
