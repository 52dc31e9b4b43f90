#pragma once
// The size of a tensor that a file describes, in arithmetic that cannot overflow.

#include <cstdint>
#include <optional>

#include "tarn/core/array_ref.h"

namespace tarn::detail {

// Most dimensions a file's tensor may have.
inline constexpr size_t kMaxRank = 64;

// The bytes of a dense tensor; nothing when a size is negative, or when the product of the sizes
// that are not 0, in bytes, overflows int64 - for a tensor with a zero size as well.
inline std::optional<int64_t> dense_bytes(IntArrayRef sizes, int64_t element_size) {
  int64_t bytes = element_size;
  bool empty = false;
  for (const int64_t size : sizes) {
    empty |= size == 0;
    if (size < 0 || (size > 0 && __builtin_mul_overflow(bytes, size, &bytes))) return std::nullopt;
  }
  return empty ? 0 : bytes;
}

}  // namespace tarn::detail
