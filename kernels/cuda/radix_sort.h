// A stable sort of keys with positions, for all lengths.
#pragma once

#include <cstdint>

namespace tarn::cuda {

// Two arrays in device memory. Positions have 32 bits: no row is longer than kMaxSortLength.
template <class Key>
struct SortPairs {
  Key* keys;
  uint32_t* positions;
};
inline constexpr int64_t kMaxSortLength = (int64_t{1} << 32) - 1;
// Throws ValueError for a longer one.
void check_sort_length(const char* op, int64_t length);

// Sorts each of `rows` rows of `length` pairs by bits [first_bit, last_bit) of the keys. The result
// is in `data` or in `spare`, which is as large: what is returned. Key: uint32_t or uint64_t.
template <class Key>
SortPairs<Key> radix_sort(SortPairs<Key> data, SortPairs<Key> spare, int64_t rows, int64_t length,
                          int first_bit, int last_bit);

// counts[i] becomes the sum of all counts before it, in each of `rows` rows of `length` counts.
void scan_counts(int64_t* counts, int64_t rows, int64_t length);

}  // namespace tarn::cuda
