#pragma once
// The block sizes the CPU allocator deals in. Internal to device/.
//
// Small classes: multiples of 64 bytes up to 512, then four per power of two, up to 64 KiB.
// Big classes: eight per power of two, from just above 64 KiB, all multiples of 8 KiB.

#include <bit>
#include <cstddef>

namespace tarn::detail {

inline constexpr size_t kAlignment = 64;
inline constexpr size_t kSmallLimit = size_t{64} << 10;
inline constexpr size_t kBigUnit = size_t{8} << 10;
inline constexpr size_t kHugePage = size_t{2} << 20;
// More than any address space holds; larger requests are refused without asking the system.
inline constexpr size_t kSizeLimit = size_t{1} << 47;

inline constexpr int kSmallClasses = 36;
inline constexpr int kBigClasses = 248;

// Needs 1 <= bytes <= kSmallLimit.
constexpr int small_class(size_t bytes) noexcept {
  const size_t units = (bytes - 1) / kAlignment;
  const int octave = static_cast<int>(std::bit_width(units | 4)) - 3;
  return octave * 4 + static_cast<int>(units >> octave);
}

constexpr size_t small_class_size(int index) noexcept {
  if (index < 4) return static_cast<size_t>(index + 1) * kAlignment;
  const int octave = index / 4 - 1;
  return static_cast<size_t>(index % 4 + 5) * (kAlignment << octave);
}

// Needs kSmallLimit < bytes <= kSizeLimit.
constexpr int big_class(size_t bytes) noexcept {
  const size_t units = (bytes - 1) / kBigUnit;
  const int octave = static_cast<int>(std::bit_width(units)) - 4;
  return octave * 8 + static_cast<int>(units >> octave) - 8;
}

constexpr size_t big_class_size(int index) noexcept {
  return static_cast<size_t>(index % 8 + 9) * (kBigUnit << (index / 8));
}

// The size of a fresh block for a request of 0 < bytes <= kSizeLimit.
constexpr size_t block_size(size_t bytes) noexcept {
  return bytes <= kSmallLimit ? small_class_size(small_class(bytes))
                              : big_class_size(big_class(bytes));
}

static_assert(small_class(kSmallLimit) == kSmallClasses - 1);
static_assert(small_class_size(kSmallClasses - 1) == kSmallLimit);
static_assert(big_class(kSmallLimit + 1) == 0);
static_assert(big_class(kSizeLimit) == kBigClasses - 1);
static_assert(big_class_size(kBigClasses - 1) == kSizeLimit);

}  // namespace tarn::detail
