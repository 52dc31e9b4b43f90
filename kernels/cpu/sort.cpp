// Stable sort and top-k of rows.
//
// Each element becomes an unsigned key whose order is the wanted one (NaN greatest, -0 equal to 0,
// complemented to descend), paired with its position. Ties are decided by position, so any sorting
// method is stable: selection for a part, comparison for short rows, radix for long ones.
#include <algorithm>
#include <array>
#include <bit>
#include <memory>

#include "tarn/kernels/cpu/kernels.h"
#include "tarn/kernels/cpu/strided.h"

namespace tarn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 11;        // elements worth a thread
constexpr int64_t kRadixLength = 1 << 11;  // from here on radix sort is faster

// The order-preserving key of a value: 32 bits where the type has no more.
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
  } else if constexpr (sizeof(T) == 8) {
    return static_cast<uint64_t>(value) ^ (uint64_t{1} << 63);
  } else {
    return static_cast<uint32_t>(static_cast<int32_t>(value)) ^ 0x80000000u;
  }
}

// A key with the position it came from. A 32-bit key and its position share one word.
template <class Key>
struct Entry {
  uint64_t key;
  int64_t position;
  Entry() = default;
  Entry(Key k, int64_t p) : key(k), position(p) {}
  int64_t index() const { return position; }
  uint64_t digits() const { return key; }
  bool operator<(const Entry& other) const {
    return key != other.key ? key < other.key : position < other.position;
  }
};
template <>
struct Entry<uint32_t> {
  uint64_t word;
  Entry() = default;
  Entry(uint32_t k, int64_t p) : word(uint64_t{k} << 32 | static_cast<uint32_t>(p)) {}
  int64_t index() const { return static_cast<uint32_t>(word); }
  uint64_t digits() const { return word >> 32; }
  bool operator<(const Entry& other) const { return word < other.word; }
};

// Sorts n entries that are in order of position; returns where they are: data or scratch.
template <class Key>
Entry<Key>* radix_sort(Entry<Key>* data, Entry<Key>* scratch, int64_t n) {
  constexpr int kBits = 11, kPasses = (8 * sizeof(Key) + kBits - 1) / kBits;
  constexpr uint64_t kMask = (1u << kBits) - 1;
  std::array<std::array<int64_t, kMask + 1>, kPasses> counts{};
  for (int64_t i = 0; i < n; ++i) {
    const uint64_t digits = data[i].digits();
    for (int pass = 0; pass < kPasses; ++pass) ++counts[pass][(digits >> (pass * kBits)) & kMask];
  }
  for (int pass = 0; pass < kPasses; ++pass) {
    const int shift = pass * kBits;
    auto& places = counts[pass];
    if (places[(data[0].digits() >> shift) & kMask] == n) continue;  // all digits are equal
    int64_t next = 0;
    for (int64_t& place : places) next += std::exchange(place, next);
    for (int64_t i = 0; i < n; ++i)
      scratch[places[(data[i].digits() >> shift) & kMask]++] = data[i];
    std::swap(data, scratch);
  }
  return data;
}

template <class T>
void sort_rows(const SortArgs& args, int64_t length, int64_t k, const StridedLoop& loop) {
  using Key = decltype(sort_key(T{}));
  const int last = args.x.ndim - 1;
  const int64_t x_step = last < 0 ? 1 : args.x.strides[last];
  const int64_t values_step = last < 0 ? 1 : args.values.strides[last];
  const int64_t indices_step = last < 0 ? 1 : args.indices.strides[last];
  const Key flip = args.descending ? ~Key{0} : Key{0};
  const auto entry = [&](const T* x, int64_t i) {
    return Entry<Key>(sort_key(x[i * x_step]) ^ flip, i);
  };
  const auto sort_row = [&](T* values, int64_t* indices, const T* x, Entry<Key>* entries) {
    const int64_t room = k < length ? std::min(length, 2 * k + 64) : length;
    for (int64_t i = 0; i < room; ++i) entries[i] = entry(x, i);
    if (k < length) {
      // Keeps what may be among the first k, and drops the rest whenever the room is used up.
      std::nth_element(entries, entries + k, entries + room);
      Entry<Key> bound = entries[k];
      int64_t kept = k;
      for (int64_t i = room; i < length; ++i) {
        const Entry<Key> candidate = entry(x, i);
        if (!(candidate < bound)) continue;
        entries[kept++] = candidate;
        if (kept == room) {
          std::nth_element(entries, entries + k, entries + kept);
          bound = entries[k];
          kept = k;
        }
      }
      std::nth_element(entries, entries + k - 1, entries + kept);
      std::sort(entries, entries + k);
    } else if (length >= kRadixLength) {
      entries = radix_sort(entries, entries + length, length);
    } else {
      std::sort(entries, entries + length);
    }
    for (int64_t j = 0; j < k; ++j) {
      const int64_t index = entries[j].index();
      indices[j * indices_step] = index;
      values[j * values_step] = x[index * x_step];
    }
  };
  parallel_for(0, loop.numel(), std::max<int64_t>(1, kGrain / length),
               [&](int64_t begin, int64_t end) {
                 const auto entries =
                     std::make_unique_for_overwrite<Entry<Key>[]>(static_cast<size_t>(2 * length));
                 loop.run(begin, end, [&](int64_t n, char* const* p, const int64_t* stride) {
                   for (int64_t row = 0; row < n; ++row) {
                     sort_row(reinterpret_cast<T*>(p[0]) + row * stride[0],
                              reinterpret_cast<int64_t*>(p[1]) + row * stride[1],
                              reinterpret_cast<const T*>(p[2]) + row * stride[2], entries.get());
                   }
                 });
               });
}

}  // namespace

void sort(const SortArgs& args) {
  const int last = args.x.ndim - 1;
  const int64_t length = last < 0 ? 1 : args.x.sizes[last];
  const int64_t k = last < 0 ? 1 : args.values.sizes[last];
  if (k == 0) return;
  // The loop runs over rows: all dimensions but the last.
  View values = args.values, indices = args.indices, x = args.x;
  for (View* view : {&values, &indices, &x}) view->ndim = std::max(last, 0);
  const StridedLoop loop(values, indices, x);
  // bool sorts as a byte, which may hold more than 0 and 1.
  visit(x.dtype == kBool ? kByte : x.dtype,
        [&]<class T>(T) { sort_rows<T>(args, length, k, loop); });
}

}  // namespace tarn::cpu
