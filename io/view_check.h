#pragma once
// Whether a tensor a file describes lies inside its storage, in arithmetic that cannot overflow.

#include <cstdint>
#include <optional>
#include <string>

#include "tarn/core/array_ref.h"

namespace tarn::detail {

// Most dimensions a file's tensor may have, as PyTorch's own limit for most operations.
inline constexpr size_t kMaxRank = 64;

// The number of bytes of a dense tensor; nothing when a size is negative or a product of the sizes
// that are not 0, in bytes, overflows int64 - for a tensor with a zero size as well.
std::optional<int64_t> dense_bytes(IntArrayRef sizes, int64_t element_size);

// "" when every element of the view lies among the storage's `numel` elements; otherwise what is
// wrong.
std::string view_problem(IntArrayRef sizes, IntArrayRef strides, int64_t offset, int64_t numel,
                         int64_t element_size);

}  // namespace tarn::detail
