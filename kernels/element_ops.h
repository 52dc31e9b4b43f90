// What indexing, sorting, scans and searches do with single elements: the same on every device.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "tarn/kernels/kernel_table.h"

namespace tarn {

// One mode of scatter for elements of type T.
template <ScatterMode kMode, class T>
TARN_HD T combine(T old, T value) {
  if constexpr (kMode == ScatterMode::kAssign) return value;
  // NaN in either operand wins.
  else if constexpr (kMode == ScatterMode::kMax)
    return old >= value || old != old ? old : value;
  else if constexpr (kMode == ScatterMode::kMin)
    return old <= value || old != old ? old : value;
  else if constexpr (std::is_same_v<T, bool>)
    return kMode == ScatterMode::kAdd ? old | value : old & value;
  else if constexpr (is_floating_point(ScalarTypeOf<T>))
    return T(kMode == ScatterMode::kAdd ? old + value : old * value);
  else {  // integers wrap
    const uint64_t a = static_cast<uint64_t>(old), b = static_cast<uint64_t>(value);
    return static_cast<T>(kMode == ScatterMode::kAdd ? a + b : a * b);
  }
}

// One step of a scan in its accumulation type. Integers wrap.
template <ScanKind kKind, class T>
TARN_HD T accumulate(T total, T value) {
  if constexpr (std::is_same_v<T, int64_t>) {
    const uint64_t a = static_cast<uint64_t>(total), b = static_cast<uint64_t>(value);
    return static_cast<T>(kKind == ScanKind::kSum ? a + b : a * b);
  } else {
    return kKind == ScanKind::kSum ? total + value : total * value;
  }
}
// Calls f with a value of the type in which a scan of elements of `type` accumulates: double for
// float as well.
template <class F>
decltype(auto) visit_scan(ScalarType type, F&& f) {
  return visit_compute(type == kFloat ? kDouble : type, f);
}
template <ScanKind kKind, class T>
inline constexpr T kScanStart = kKind == ScanKind::kSum ? T(0) : T(1);

// Whether an element is not zero, told from its bits: a 16-bit float may be -0, a bool any byte.
// visit_zero() names the types for which it is to be asked.
template <class T>
TARN_HD bool is_nonzero(T x) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
    return (x.bits & 0x7FFF) != 0;
  else
    return x != 0;
}
template <class F>
decltype(auto) visit_zero(ScalarType dtype, F&& f) {
  return is_floating_point(dtype) ? visit(dtype == kHalf ? kBFloat16 : dtype, f)
                                  : visit_size(element_size(dtype), f);
}

// The key of a value in sorting: unsigned, in the order of the values, with NaN greatest and -0
// equal to 0. Of 32 bits where the type has no more; bits outside of kKeyBits<T> are 0 or, for
// floats, decide nothing.
template <class T>
TARN_HD auto sort_key(T value) {
  if constexpr (is_floating_point(ScalarTypeOf<T>)) {
    using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;
    using Key = std::conditional_t<sizeof(Wide) == 8, uint64_t, uint32_t>;
    constexpr Key kSign = Key{1} << (8 * sizeof(Key) - 1);
    const Wide wide = static_cast<Wide>(value);
    const Key bits = std::bit_cast<Key>(wide == 0 ? Wide{0} : wide);
    const Key key = (bits & kSign) != 0 ? ~bits : bits | kSign;
    return wide != wide ? ~Key{0} : key;
  } else {
    using Key = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
    return static_cast<Key>(static_cast<Key>(value) -
                            static_cast<Key>(std::numeric_limits<T>::min()));
  }
}
struct BitRange {
  int first, last;  // [first, last)
};
template <class T>
inline constexpr BitRange kKeyBits =
    std::is_same_v<T, Half>       ? BitRange{13, 32}
    : std::is_same_v<T, BFloat16> ? BitRange{16, 32}
                                  : BitRange{0, static_cast<int>(8 * sizeof(T))};

// A key with the position it came from, which decides between equal keys. A 32-bit key and its
// position share one word.
template <class Key>
struct SortEntry {
  uint64_t key;
  int64_t position;
  SortEntry() = default;
  TARN_HD SortEntry(Key k, int64_t p) : key(k), position(p) {}
  TARN_HD static SortEntry last() { return {~Key{0}, std::numeric_limits<int64_t>::max()}; }
  TARN_HD int64_t index() const { return position; }
  TARN_HD uint64_t digits() const { return key; }
  TARN_HD bool operator<(const SortEntry& other) const {
    return key != other.key ? key < other.key : position < other.position;
  }
};
template <>
struct SortEntry<uint32_t> {
  uint64_t word;
  SortEntry() = default;
  TARN_HD SortEntry(uint32_t k, int64_t p) : word(uint64_t{k} << 32 | static_cast<uint32_t>(p)) {}
  TARN_HD static SortEntry last() { return {~0u, 0xFFFFFFFF}; }
  TARN_HD int64_t index() const { return static_cast<uint32_t>(word); }
  TARN_HD uint64_t digits() const { return word >> 32; }
  TARN_HD bool operator<(const SortEntry& other) const { return word < other.word; }
};

}  // namespace tarn
