// Kernels that only move bytes or write constants: copy with conversion, fill, arange.
#include <algorithm>
#include <cstring>

#include "tarn/kernels/cpu/kernels.h"
#include "tarn/kernels/cpu/strided.h"

namespace tarn::cpu {
namespace {

// Elements worth a thread: streaming memory, and walking it with strides or converting.
constexpr int64_t kStreamGrain = 1 << 16;
constexpr int64_t kStridedGrain = 1 << 14;

// Transposing goes in square tiles of one cache line's width: every line of both sides is then
// touched once even where strides make all of them compete for one place in the cache.
template <class T>
constexpr int64_t kTile = 64 / sizeof(T);

// out[r * out_stride + c] = in[c * in_stride + r]
template <class T>
TARN_HD void transpose_tile(T* out, int64_t out_stride, const T* in, int64_t in_stride,
                            int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) out[r * out_stride + c] = in[c * in_stride + r];
  }
}

// Copies a loop whose output runs along dimension 0 and whose input runs along dimension `row`.
template <class T>
void copy_transposed(const StridedLoop& loop, int row) {
  const int64_t size = sizeof(T);
  const int64_t columns = loop.size(0), rows = loop.size(row);
  const int64_t out_stride = loop.stride(row, 0), in_stride = loop.stride(0, 1);
  const int64_t row_tiles = (rows + kTile<T> - 1) / kTile<T>;
  // One unit of work: all columns of one tile's rows.
  const int64_t units = loop.numel() / (columns * rows) * row_tiles;
  const int64_t grain = std::max<int64_t>(1, kStridedGrain / (columns * kTile<T>));
  parallel_for(0, units, grain, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t first_row = unit % row_tiles * kTile<T>;
      int64_t rest = unit / row_tiles;
      char* out = loop.data(0) + first_row * out_stride;
      const char* in = loop.data(1) + first_row * size;
      for (int d = 1; d < loop.ndim(); ++d) {
        if (d == row) continue;
        out += rest % loop.size(d) * loop.stride(d, 0);
        in += rest % loop.size(d) * loop.stride(d, 1);
        rest /= loop.size(d);
      }
      const int64_t tile_rows = std::min(kTile<T>, rows - first_row);
      for (int64_t c = 0; c < columns; c += kTile<T>) {
        T* to = reinterpret_cast<T*>(out + c * size);
        const T* from = reinterpret_cast<const T*>(in + c * in_stride);
        const int64_t tile_columns = std::min(kTile<T>, columns - c);
        if (tile_rows == kTile<T> && tile_columns == kTile<T>) {
          transpose_tile(to, out_stride / size, from, in_stride / size, kTile<T>, kTile<T>);
        } else {
          transpose_tile(to, out_stride / size, from, in_stride / size, tile_rows, tile_columns);
        }
      }
    }
  });
}

// The dimension along which the input runs, if copying in tiles pays; else 0.
int transposed_dim(const StridedLoop& loop, int64_t item) {
  if (loop.is_flat() || loop.stride(0, 0) != item || loop.size(0) < 4) return 0;
  for (int d = 1; d < loop.ndim(); ++d) {
    if (loop.stride(d, 1) == item && loop.size(d) >= 4) return d;
  }
  return 0;
}

}  // namespace

void copy(const View& out, const View& src) {
  const StridedLoop loop(out, src);
  const int64_t item = element_size(out.dtype);
  const bool same = out.dtype == src.dtype;
  if (loop.is_flat() && same && loop.inner_strides()[0] == 1 && loop.inner_strides()[1] == 1) {
    parallel_for(0, loop.numel(), kStreamGrain, [&](int64_t begin, int64_t end) {
      std::memmove(loop.data(0) + begin * item, loop.data(1) + begin * item,
                   static_cast<size_t>((end - begin) * item));
    });
    return;
  }
  if (const int row = same ? transposed_dim(loop, item) : 0; row != 0) {
    return visit_size(item, [&]<class T>(T) { copy_transposed<T>(loop, row); });
  }
  const Converter convert = converter(out.dtype, src.dtype);
  loop.for_each(kStridedGrain, [&](int64_t n, char* const* p, const int64_t* stride) {
    convert(p[0], stride[0], p[1], stride[1], n);
  });
}

void fill(const View& out, const FillValue& value) {
  alignas(8) char element[8] = {};
  if (value.is_integral) {
    converter(out.dtype, kLong)(element, 1, &value.integral, 1, 1);
  } else {
    converter(out.dtype, kDouble)(element, 1, &value.floating, 1, 1);
  }
  const StridedLoop loop(out);
  const int64_t item = element_size(out.dtype);
  const bool uniform =
      std::all_of(element, element + item, [&](char c) { return c == element[0]; });
  if (uniform && loop.is_flat() && loop.inner_strides()[0] == 1) {
    parallel_for(0, loop.numel(), kStreamGrain, [&](int64_t begin, int64_t end) {
      std::memset(loop.data(0) + begin * item, element[0],
                  static_cast<size_t>((end - begin) * item));
    });
    return;
  }
  const Converter broadcast = converter(out.dtype, out.dtype);
  loop.for_each(kStreamGrain, [&](int64_t n, char* const* p, const int64_t* stride) {
    broadcast(p[0], stride[0], element, 0, n);
  });
}

void arange(const View& out, double start, double step) {
  const StridedLoop loop(out);
  const bool integral = compute_type(out.dtype) == kLong;
  const Converter store = converter(out.dtype, integral ? kLong : kDouble);
  const int64_t item = element_size(out.dtype), stride = loop.inner_strides()[0];
  parallel_for(0, loop.numel(), kStridedGrain, [&](int64_t begin, int64_t end) {
    constexpr int64_t kChunk = 256;
    double floating[kChunk];
    int64_t integers[kChunk];
    for (int64_t i = begin; i < end; i += kChunk) {
      const int64_t n = std::min(kChunk, end - i);
      if (integral) {
        // Wraps instead of overflowing: the output may be narrower than the last values.
        const uint64_t first = static_cast<uint64_t>(static_cast<int64_t>(start));
        const uint64_t by = static_cast<uint64_t>(static_cast<int64_t>(step));
        for (int64_t j = 0; j < n; ++j) {
          integers[j] = static_cast<int64_t>(first + by * static_cast<uint64_t>(i + j));
        }
      } else {
        for (int64_t j = 0; j < n; ++j) floating[j] = start + static_cast<double>(i + j) * step;
      }
      const void* from = integral ? static_cast<const void*>(integers) : floating;
      store(loop.data(0) + i * stride * item, stride, from, 1, n);
    }
  });
}

}  // namespace tarn::cpu
