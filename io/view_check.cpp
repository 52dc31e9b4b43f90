#include "tarn/io/view_check.h"

#include <algorithm>

namespace tarn::detail {

std::optional<int64_t> dense_bytes(IntArrayRef sizes, int64_t element_size) {
  int64_t bytes = element_size;
  bool empty = false;
  for (const int64_t size : sizes) {
    empty |= size == 0;
    if (size < 0 || (size > 0 && __builtin_mul_overflow(bytes, size, &bytes))) return std::nullopt;
  }
  return empty ? 0 : bytes;
}

std::string view_problem(IntArrayRef sizes, IntArrayRef strides, int64_t offset, int64_t numel,
                         int64_t element_size) {
  if (sizes.size() != strides.size()) {
    return str("a tensor has the size ", sizes, " but the stride ", strides);
  }
  const auto negative = [](int64_t number) { return number < 0; };
  if (std::any_of(sizes.begin(), sizes.end(), negative) ||
      std::any_of(strides.begin(), strides.end(), negative) || offset < 0) {
    return str("a tensor has a negative size, stride or offset: ", sizes, ", ", strides, ", ",
               offset);
  }
  const std::optional<int64_t> bytes = dense_bytes(sizes, element_size);
  if (!bytes) return str("overflow: the size ", sizes, " has too many elements");
  if (*bytes == 0) return {};
  int64_t last = offset;
  for (size_t i = 0; i < sizes.size(); ++i) {
    int64_t reach;
    if (__builtin_mul_overflow(sizes[i] - 1, strides[i], &reach) ||
        __builtin_add_overflow(last, reach, &last)) {
      return str("overflow: the stride ", strides, " of size ", sizes, " is too large");
    }
  }
  if (last < numel) return {};
  return str("a tensor is out of bounds: size ", sizes, ", stride ", strides, ", offset ", offset,
             " in a storage of ", numel, " elements");
}

}  // namespace tarn::detail
