// Stable sort and top-k of rows: short rows in the shared memory of a block by Batcher's bitonic
// network, long ones by radix sort. Both see keys with positions (kernels/element_ops.h), so
// neither depends on the dtype.
#include <algorithm>
#include <bit>

#include "tarn/kernels/cuda/kernels.h"
#include "tarn/kernels/cuda/launch.h"
#include "tarn/kernels/cuda/radix_sort.h"
#include "tarn/kernels/cuda/strided.h"
#include "tarn/kernels/element_ops.h"

namespace tarn::cuda {
namespace {

// The longest row that is sorted by one block.
constexpr int64_t kShortRow = 2048;
// Elements for which long rows are given room at once, if they have more than one row.
constexpr int64_t kElementsAtOnce = int64_t{1} << 27;

// Rows of a sort: operand 0 of `index` is values, 1 indices, 2 x.
template <class T>
struct Rows {
  StridedIndex<3> index;
  T* values;
  int64_t* indices;
  const T* x;
  int64_t values_step, indices_step, x_step;
  int64_t length, k;
  int64_t descending;  // a bool without padding behind it

  TARN_HD auto key(const T* row, int64_t i) const {
    const auto key = sort_key(row[i * x_step]);
    return descending ? static_cast<decltype(key)>(~key) : key;
  }
};

// One row per block. `room` is the power of two from the length up.
template <class T>
__global__ void sort_short(Rows<T> rows, int room) {
  using Entry = SortEntry<decltype(sort_key(T{}))>;
  TARN_DYN_SHARED(Entry, entries);
  const int threads = static_cast<int>(blockDim.x), thread = static_cast<int>(threadIdx.x);
  for (uint32_t r = blockIdx.x; r < rows.index.count; r += gridDim.x) {
    int64_t at[3];
    rows.index.offsets(r, at);
    const T* x = rows.x + at[2];
    for (int i = thread; i < room; i += threads)
      entries[i] = i < rows.length ? Entry(rows.key(x, i), i) : Entry::last();
    for (int size = 2; size <= room; size *= 2) {
      for (int distance = size / 2; distance > 0; distance /= 2) {
        __syncthreads();
        for (int i = thread; i < room / 2; i += threads) {
          const int low = 2 * i - (i & (distance - 1)), high = low + distance;
          const Entry a = entries[low], b = entries[high];
          if ((b < a) == ((low & size) == 0)) {
            entries[low] = b;
            entries[high] = a;
          }
        }
      }
    }
    __syncthreads();
    for (int j = thread; j < rows.k; j += threads) {
      const int64_t position = entries[j].index();
      rows.indices[at[1] + j * rows.indices_step] = position;
      rows.values[at[0] + j * rows.values_step] = x[position * rows.x_step];
    }
    __syncthreads();
  }
}

template <class T, class Key>
__global__ void make_keys(Rows<T> rows, SortPairs<Key> pairs) {
  for (uint32_t r = blockIdx.y; r < rows.index.count; r += gridDim.y) {
    int64_t at[3];
    rows.index.offsets(r, at);
    const int64_t step = int64_t{gridDim.x} * blockDim.x;
    for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < rows.length; i += step) {
      pairs.keys[r * rows.length + i] = rows.key(rows.x + at[2], i);
      pairs.positions[r * rows.length + i] = static_cast<uint32_t>(i);
    }
  }
}

template <class T>
__global__ void write_sorted(Rows<T> rows, const uint32_t* positions) {
  for (uint32_t r = blockIdx.y; r < rows.index.count; r += gridDim.y) {
    int64_t at[3];
    rows.index.offsets(r, at);
    const int64_t step = int64_t{gridDim.x} * blockDim.x;
    for (int64_t j = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; j < rows.k; j += step) {
      const int64_t position = positions[r * rows.length + j];
      rows.indices[at[1] + j * rows.indices_step] = position;
      rows.values[at[0] + j * rows.values_step] = rows.x[at[2] + position * rows.x_step];
    }
  }
}

template <class T>
void sort_short_rows(const Rows<T>& rows) {
  using Entry = SortEntry<decltype(sort_key(T{}))>;
  const int room = static_cast<int>(std::bit_ceil(static_cast<uint64_t>(rows.length)));
  const auto blocks =
      static_cast<unsigned>(std::min<int64_t>(rows.index.count, int64_t{64} * multiprocessors()));
  launch(sort_short<T>, blocks, static_cast<unsigned>(std::clamp(room / 2, 32, kBlockSize)),
         static_cast<size_t>(room) * sizeof(Entry), rows, room);
}

template <class T>
void sort_long_rows(const Rows<T>& rows) {
  using Key = decltype(sort_key(T{}));
  const auto elements = static_cast<size_t>(rows.index.count * rows.length);
  const Scratch keys(2 * elements * sizeof(Key)), positions(2 * elements * sizeof(uint32_t));
  const SortPairs<Key> data{keys.as<Key>(), positions.as<uint32_t>()};
  const SortPairs<Key> spare{data.keys + elements, data.positions + elements};
  const dim3 grid(blocks_for(rows.length), std::min<uint32_t>(rows.index.count, 65535));
  launch(make_keys<T, Key>, grid, kBlockSize, 0, rows, data);
  const SortPairs<Key> sorted =
      radix_sort(data, spare, rows.index.count, rows.length, kKeyBits<T>.first, kKeyBits<T>.last);
  launch(write_sorted<T>, grid, kBlockSize, 0, rows, sorted.positions);
}

}  // namespace

void sort(const SortArgs& args) {
  const int last = args.x.ndim - 1;
  const auto step = [&](const View& v) { return last < 0 ? 1 : v.strides[last]; };
  const int64_t length = last < 0 ? 1 : args.x.sizes[last];
  const int64_t k = last < 0 ? 1 : args.values.sizes[last];
  if (k == 0) return;
  check_sort_length("sort", length);
  View values = args.values, indices = args.indices, x = args.x;
  for (View* view : {&values, &indices, &x}) view->ndim = std::max(last, 0);
  const StridedLoop loop(values, indices, x);
  const int64_t item = element_size(x.dtype), items[] = {item, sizeof(int64_t), item};
  const bool is_short = length <= kShortRow;
  // bool sorts as a byte, which may hold more than 0 and 1.
  visit(x.dtype == kBool ? kByte : x.dtype, [&]<class T>(T) {
    const auto sort_rows = [&](const StridedIndex<3>& index, void* const* data) {
      const Rows<T> rows{.index = index,
                         .values = static_cast<T*>(data[0]),
                         .indices = static_cast<int64_t*>(data[1]),
                         .x = static_cast<const T*>(data[2]),
                         .values_step = step(args.values),
                         .indices_step = step(args.indices),
                         .x_step = step(args.x),
                         .length = length,
                         .k = k,
                         .descending = args.descending};
      return is_short ? sort_short_rows(rows) : sort_long_rows(rows);
    };
    for_each_part(Walk<3>(loop, items), sort_rows,
                  is_short ? kMaxPart : std::max<int64_t>(1, kElementsAtOnce / length));
  });
}

}  // namespace tarn::cuda
