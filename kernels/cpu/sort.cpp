// Stable sort and top-k of rows.
//
// Each element becomes an unsigned key whose order is the wanted one (NaN greatest, -0 equal to 0,
// complemented to descend), paired with its position. Ties are decided by position, so any sorting
// method is stable: selection for a part, comparison for short rows, radix for long ones.
#include <algorithm>
#include <array>
#include <memory>

#include "tarn/kernels/cpu/kernels.h"
#include "tarn/kernels/cpu/strided.h"
#include "tarn/kernels/element_ops.h"

namespace tarn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 11;        // elements worth a thread
constexpr int64_t kRadixLength = 1 << 11;  // from here on radix sort is faster

// Sorts n entries that are in order of position; returns where they are: data or scratch.
template <class Key>
SortEntry<Key>* radix_sort(SortEntry<Key>* data, SortEntry<Key>* scratch, int64_t n) {
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
    return SortEntry<Key>(sort_key(x[i * x_step]) ^ flip, i);
  };
  const auto sort_row = [&](T* values, int64_t* indices, const T* x, SortEntry<Key>* entries) {
    const int64_t room = k < length ? std::min(length, 2 * k + 64) : length;
    for (int64_t i = 0; i < room; ++i) entries[i] = entry(x, i);
    if (k < length) {
      // Keeps what may be among the first k, and drops the rest whenever the room is used up.
      std::nth_element(entries, entries + k, entries + room);
      SortEntry<Key> bound = entries[k];
      int64_t kept = k;
      for (int64_t i = room; i < length; ++i) {
        const SortEntry<Key> candidate = entry(x, i);
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
  parallel_for(
      0, loop.numel(), std::max<int64_t>(1, kGrain / length), [&](int64_t begin, int64_t end) {
        const auto entries =
            std::make_unique_for_overwrite<SortEntry<Key>[]>(static_cast<size_t>(2 * length));
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
