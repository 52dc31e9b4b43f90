// Advanced indexing: gather and scatter.
//
// A scatter sorts the places that its values go to, stably. One thread then combines all values of
// a place, in row-major order of the values: results are the CPU's, whatever order blocks run in.
#include <algorithm>
#include <bit>
#include <optional>

#include "tarn/kernels/cuda/kernels.h"
#include "tarn/kernels/cuda/launch.h"
#include "tarn/kernels/cuda/radix_sort.h"
#include "tarn/kernels/cuda/strided.h"
#include "tarn/kernels/element_ops.h"

namespace tarn::cuda {
namespace {

Fault index_fault() {
  return fault([](const int64_t(&values)[3]) { fail_index(values[0], values[1], values[2]); });
}

// Index tensors as kernels read them. Kernels are made for 1, 2 and kMost of them.
constexpr int kMost = 8;
template <int kIndices>
struct Indices {
  const int64_t* index[kIndices] = {};
  int64_t size[kIndices] = {}, stride[kIndices] = {}, dim[kIndices] = {};
  int count;
  bool from_end;
  Fault fault;

  Indices(const IndexSpec& spec, void* const* data)
      : count(spec.count), from_end(spec.from_end), fault(index_fault()) {
    for (int k = 0; k < count; ++k) {
      index[k] = static_cast<const int64_t*>(data[k]);
      size[k] = spec.size[k];
      stride[k] = spec.stride[k];
      dim[k] = spec.dim[k];
    }
  }
  // Where the index at offsets at[0], ... points, relative to self; -1, after a complaint, where an
  // index is out of range.
  __device__ int64_t place(const int64_t* at) const {
    int64_t place = 0;
    for (int k = 0; k < kIndices; ++k) {
      if (k >= count) break;
      const int64_t i = index[k][at[k]];
      if (i >= size[k] || i < (from_end ? -size[k] : 0)) {
        complain(fault, i, dim[k], size[k]);
        return -1;
      }
      place += (i < 0 ? i + size[k] : i) * stride[k];
    }
    return place;
  }
};

template <class F>
void visit_count(int count, F f) {
  if (count == 1) return f(std::integral_constant<int, 1>());
  if (count == 2) return f(std::integral_constant<int, 2>());
  f(std::integral_constant<int, kMost>());
}

// The elements of two views that belong together, and those of the index tensors. The last index
// stands in for those that there are not.
template <int kIndices>
StridedLoop make_loop(const View& first, const View& second, const IndexSpec& spec,
                      cpu::LoopOrder order) {
  const View* views[2 + kIndices] = {&first, &second};
  for (int k = 0; k < kIndices; ++k) views[2 + k] = &spec.index[std::min(k, spec.count - 1)];
  return StridedLoop(views, 2 + kIndices, order);
}
template <int kIndices, class F>
void for_each_index_part(const StridedLoop& loop, int64_t item, F f) {
  int64_t items[2 + kIndices];
  std::fill_n(items, 2, item);
  std::fill_n(items + 2, kIndices, int64_t{sizeof(int64_t)});
  for_each_part<2 + kIndices>(loop, items, f);
}

// --- Gather --------------------------------------------------------------------------------------

struct alignas(16) Wide {
  uint64_t v[2];
};

// T is what moves at once, one element or more; `item` the size of an element.
template <class T, int kIndices>
__global__ void gather_elements(StridedIndex<2 + kIndices> index, char* values, const char* self,
                                int64_t item, Indices<kIndices> indices) {
  const uint32_t step = gridDim.x * blockDim.x;
  for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < index.count; i += step) {
    int64_t at[2 + kIndices];
    index.offsets(i, at);
    const int64_t place = indices.place(at + 2);
    if (place < 0) continue;
    *reinterpret_cast<T*>(values + at[0] * item) =
        *reinterpret_cast<const T*>(self + (at[1] + place) * item);
  }
}

// The dimension in which elements of both views lie side by side and no index varies; -1 if none.
int row_dim(const GatherArgs& args) {
  for (int d = args.values.ndim - 1; d >= 0; --d) {
    bool is_row = args.values.strides[d] == 1 && args.self.strides[d] == 1;
    for (int k = 0; k < args.spec.count; ++k) is_row &= args.spec.index[k].strides[d] == 0;
    if (is_row) return d;
  }
  return -1;
}

// How many elements of a row may move at once: all rows begin at, and have, multiples of it.
int64_t elements_at_once(const GatherArgs& args, int row) {
  const int64_t item = element_size(args.self.dtype);
  const auto divides = [&](int64_t n) {
    bool all = args.values.sizes[row] % n == 0;
    for (const View* v : {&args.values, &args.self}) {
      all &= reinterpret_cast<uintptr_t>(v->data) % static_cast<uintptr_t>(n * item) == 0;
      for (int d = 0; d < v->ndim; ++d)
        all &= d == row || v->sizes[d] == 1 || v->strides[d] % n == 0;
    }
    for (int k = 0; k < args.spec.count; ++k) all &= args.spec.stride[k] % n == 0;
    return all;
  };
  int64_t n = 16 / item;
  while (n > 1 && !divides(n)) n /= 2;
  return n;
}

// --- Scatter -------------------------------------------------------------------------------------

// keys[i] becomes the place in self of values' row i, which positions[i] is to lead back to. A bad
// index sets *bad.
template <class Key, int kIndices>
__global__ void find_places(StridedIndex<2 + kIndices> index, Indices<kIndices> indices,
                            SortPairs<Key> pairs, int* bad) {
  const uint32_t step = gridDim.x * blockDim.x;
  for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < index.count; i += step) {
    int64_t at[2 + kIndices];
    index.offsets(i, at);
    const int64_t place = indices.place(at + 2);
    if (place < 0) atomicExch(bad, 1);
    pairs.keys[i] = static_cast<Key>(at[1] + place);
    pairs.positions[i] = i;
  }
}

// Rows of values, and the elements of each: operand 0 of the indices is values, 1 self.
struct Rows {
  StridedIndex<1> row;
  StridedIndex<2> element;
  void* self;
  const void* values;
};

// `sorted` holds the rows by their place. The thread of a place's first row combines all of them.
template <ScatterMode kMode, class T, class Key>
__global__ void combine_rows(Rows rows, SortPairs<Key> sorted, const int* bad) {
  if (*bad) return;
  T* const self = static_cast<T*>(rows.self);
  const T* const values = static_cast<const T*>(rows.values);
  const int64_t count = rows.row.count, total = count * rows.element.count;
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t e = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; e < total; e += step) {
    int64_t i = e / rows.element.count;
    const Key place = sorted.keys[i];
    if (i > 0 && sorted.keys[i - 1] == place) continue;
    int64_t at[2];
    rows.element.offsets(static_cast<uint32_t>(e % rows.element.count), at);
    T& target = self[static_cast<int64_t>(place) + at[1]];
    T result = target;
    for (; i < count && sorted.keys[i] == place; ++i) {
      int64_t row[1];
      rows.row.offsets(sorted.positions[i], row);
      result = combine<kMode>(result, values[row[0] + at[0]]);
    }
    target = result;
  }
}

template <ScatterMode kMode, class Key>
void launch_combine(const Rows& rows, SortPairs<Key> sorted, const int* bad, ScalarType dtype) {
  const unsigned blocks = blocks_for(int64_t{rows.row.count} * rows.element.count);
  const auto run = [&]<class T>(T) {
    launch(combine_rows<kMode, T, Key>, blocks, kBlockSize, 0, rows, sorted, bad);
  };
  if constexpr (kMode == ScatterMode::kAssign)
    visit_size(element_size(dtype), run);
  else
    visit(dtype, run);
}

template <class Key>
void launch_combine(ScatterMode mode, const Rows& rows, SortPairs<Key> sorted, const int* bad,
                    ScalarType dtype) {
  switch (mode) {
    case ScatterMode::kAssign:
      return launch_combine<ScatterMode::kAssign>(rows, sorted, bad, dtype);
    case ScatterMode::kAdd:
      return launch_combine<ScatterMode::kAdd>(rows, sorted, bad, dtype);
    case ScatterMode::kMultiply:
      return launch_combine<ScatterMode::kMultiply>(rows, sorted, bad, dtype);
    case ScatterMode::kMax:
      return launch_combine<ScatterMode::kMax>(rows, sorted, bad, dtype);
    case ScatterMode::kMin:
      return launch_combine<ScatterMode::kMin>(rows, sorted, bad, dtype);
  }
}

// Some of a view's dimensions.
class Part {
 public:
  Part(const View& v, const bool* wanted) : view(v) {
    view.ndim = 0;
    for (int d = 0; d < v.ndim; ++d) {
      if (!wanted[d]) continue;
      sizes_[view.ndim] = v.sizes[d];
      strides_[view.ndim++] = v.strides[d];
    }
    view.sizes = sizes_;
    view.strides = strides_;
  }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  View view;

 private:
  int64_t sizes_[kMaxDims], strides_[kMaxDims];
};

// The last place of self that indices and dimensions of `self` reach.
int64_t last_place(const View& self, const IndexSpec& spec) {
  int64_t place = 0;
  for (int d = 0; d < self.ndim; ++d) place += (self.sizes[d] - 1) * self.strides[d];
  for (int k = 0; k < spec.count; ++k)
    place += std::max<int64_t>(spec.size[k] - 1, 0) * spec.stride[k];
  return place;
}

// Rows: elements of values that one choice of indices sends to distinct places. self and values are
// views of the rows, row_self and row_values of the elements of each.
template <class Key, int kIndices>
void scatter_rows(const ScatterArgs& args, const View& self, const View& values,
                  const IndexSpec& spec, const View& row_self, const View& row_values, int bits) {
  const int64_t item = element_size(args.self.dtype), items[] = {item, item};
  const Scratch bad(sizeof(int));
  TARN_CUDA_CHECK(cudaMemsetAsync(bad.data(), 0, sizeof(int), stream()));
  // A single part, unless there are more than 2^31 rows: then an index may be found to be bad after
  // rows of an earlier part were combined.
  for_each_index_part<kIndices>(
      make_loop<kIndices>(values, self, spec, cpu::LoopOrder::kRowMajor), item,
      [&](const StridedIndex<2 + kIndices>& index, void* const* data) {
        const auto count = static_cast<size_t>(index.count);
        const Scratch keys(2 * count * sizeof(Key)), positions(2 * count * sizeof(uint32_t));
        const SortPairs<Key> pairs{keys.as<Key>(), positions.as<uint32_t>()};
        launch(find_places<Key, kIndices>, blocks_for(index.count), kBlockSize, 0, index,
               Indices<kIndices>(spec, data + 2), pairs, bad.as<int>());
        const SortPairs<Key> sorted = radix_sort(
            pairs, {pairs.keys + count, pairs.positions + count}, 1, index.count, 0, bits);
        Rows rows{};
        rows.row.count = index.count;
        rows.row.ndim = index.ndim;
        for (int d = 0; d < index.ndim; ++d) {
          rows.row.size[d] = index.size[d];
          rows.row.stride[d][0] = index.stride[d][0];
        }
        const auto bytes_in = [&](const void* part, const void* whole) {
          return static_cast<const char*>(part) - static_cast<const char*>(whole);
        };
        for_each_part<2>(StridedLoop(row_values, row_self), items,
                         [&](const StridedIndex<2>& element, void* const* from) {
                           rows.element = element;
                           rows.values =
                               static_cast<char*>(from[0]) + bytes_in(data[0], values.data);
                           rows.self = static_cast<char*>(from[1]) + bytes_in(data[1], self.data);
                           launch_combine(args.mode, rows, sorted, bad.as<int>(), args.self.dtype);
                         });
      });
}

}  // namespace

void gather(const GatherArgs& args) {
  if (args.values.numel() == 0) return;
  View values = args.values, self = args.self;
  const int row = row_dim(args);
  int64_t sizes[kMaxDims], strides[2][kMaxDims];
  int64_t at_once = 1;
  IndexSpec spec = args.spec;
  if (row >= 0 && (at_once = elements_at_once(args, row)) > 1) {
    // Each step along the row is several elements.
    std::copy_n(values.sizes, values.ndim, sizes);
    std::copy_n(values.strides, values.ndim, strides[0]);
    std::copy_n(self.strides, values.ndim, strides[1]);
    sizes[row] /= at_once;
    strides[0][row] = strides[1][row] = at_once;
    values.strides = strides[0];
    self.strides = strides[1];
    values.sizes = self.sizes = sizes;
    for (int k = 0; k < spec.count; ++k) spec.index[k].sizes = sizes;
  }
  const int64_t item = element_size(self.dtype);
  visit_count(spec.count, [&]<int kIndices>(std::integral_constant<int, kIndices>) {
    const auto loop = make_loop<kIndices>(values, self, spec, cpu::LoopOrder::kMemory);
    for_each_index_part<kIndices>(
        loop, item, [&](const StridedIndex<2 + kIndices>& index, void* const* data) {
          const auto run = [&]<class T>(T) {
            launch(gather_elements<T, kIndices>, blocks_for(index.count), kBlockSize, 0, index,
                   static_cast<char*>(data[0]), static_cast<const char*>(data[1]), item,
                   Indices<kIndices>(spec, data + 2));
          };
          if (item * at_once == 16) return run(Wide{});
          visit_size(item * at_once, run);
        });
  });
}

void scatter(const ScatterArgs& args) {
  if (args.values.numel() == 0) return;
  bool in_row[kMaxDims], in_index[kMaxDims];
  for (int d = 0; d < args.self.ndim; ++d) {
    in_row[d] = args.self.strides[d] != 0;
    for (int k = 0; k < args.spec.count; ++k) in_row[d] &= args.spec.index[k].strides[d] == 0;
    in_index[d] = !in_row[d];
  }
  const Part row_self(args.self, in_row), row_values(args.values, in_row);
  const Part self(args.self, in_index), values(args.values, in_index);
  IndexSpec spec = args.spec;
  std::optional<Part> index[kMost];
  for (int k = 0; k < spec.count; ++k)
    spec.index[k] = index[k].emplace(spec.index[k], in_index).view;
  const int bits = std::bit_width(static_cast<uint64_t>(last_place(self.view, spec)));
  visit_count(spec.count, [&]<int kIndices>(std::integral_constant<int, kIndices>) {
    const auto run =
        bits <= 32 ? &scatter_rows<uint32_t, kIndices> : &scatter_rows<uint64_t, kIndices>;
    run(args, self.view, values.view, spec, row_self.view, row_values.view, bits);
  });
}

}  // namespace tarn::cuda
