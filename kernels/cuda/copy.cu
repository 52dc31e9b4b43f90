// Kernels that only move bytes or write constants: copy with conversion, fill, arange.
#include <cstring>

#include "tarn/kernels/cuda/kernels.h"
#include "tarn/kernels/cuda/launch.h"
#include "tarn/kernels/cuda/strided.h"

namespace tarn::cuda {
namespace {

constexpr int kUnroll = 4;  // elements of a thread on their way at once
constexpr int kTile = 32;   // rows and columns of a transposed tile
constexpr int kTileRows = 8;

// Elements of dtype `from` or, without kConvert, of To itself, which then is any type of the size.
template <class To, bool kConvert>
__global__ void __launch_bounds__(kBlockSize)
    copy_kernel(StridedIndex<2> index, To* out, const void* in, ScalarType from) {
  using Out = Stored<To>;
  const uint32_t step = gridDim.x * blockDim.x;
  for (uint64_t first = blockIdx.x * blockDim.x + threadIdx.x; first < index.count;
       first += uint64_t{step} * kUnroll) {
    Out value[kUnroll];
    int64_t at[kUnroll][2];
    for (int u = 0; u < kUnroll; ++u) {
      const uint64_t i = first + uint64_t{step} * u;
      index.offsets(static_cast<uint32_t>(i < index.count ? i : first), at[u]);
    }
    const auto read = [&]<class From>(From) {
      for (int u = 0; u < kUnroll; ++u) {
        value[u] = convert<To, From>(static_cast<const Stored<From>*>(in)[at[u][1]]);
      }
    };
    if constexpr (kConvert)
      visit(from, read);
    else
      read(To{});
    for (int u = 0; u < kUnroll; ++u) {
      if (first + uint64_t{step} * u < index.count) {
        reinterpret_cast<Out*>(out)[at[u][0]] = value[u];
      }
    }
  }
}

// Copies, for each place in the other dimensions, out[row][column] from in[column][row] by way of
// shared memory, so that both sides move neighbouring elements. Blocks are tiles.
struct Transposed {
  int64_t rows, columns, row_tiles, column_tiles;
  int64_t out_stride, in_stride;  // of a row of out and of a column of in
  int64_t tiles;
  int ndim;
  int64_t size[kMaxPartDims], out[kMaxPartDims], in[kMaxPartDims];
};
template <class T>
__global__ void __launch_bounds__(kTile* kTileRows)
    transpose_kernel(Transposed shape, T* out, const T* in) {
  // One column more than needed: a column then lies in all banks.
  TARN_SHARED(tile, gpu::Arr<T, kTile*(kTile + 1)>);
  const int x = threadIdx.x % kTile, y = threadIdx.x / kTile;
  for (int64_t number = blockIdx.x; number < shape.tiles; number += gridDim.x) {
    int64_t rest = number;
    const int64_t column = rest % shape.column_tiles * kTile;
    rest /= shape.column_tiles;
    const int64_t row = rest % shape.row_tiles * kTile;
    rest /= shape.row_tiles;
    int64_t out_at = row * shape.out_stride + column, in_at = column * shape.in_stride + row;
    for (int d = 0; d < shape.ndim; ++d) {
      out_at += rest % shape.size[d] * shape.out[d];
      in_at += rest % shape.size[d] * shape.in[d];
      rest /= shape.size[d];
    }
    for (int i = y; i < kTile; i += kTileRows) {
      if (row + x < shape.rows && column + i < shape.columns) {
        tile[i * (kTile + 1) + x] = in[in_at + i * shape.in_stride + x];
      }
    }
    __syncthreads();
    for (int i = y; i < kTile; i += kTileRows) {
      if (row + i < shape.rows && column + x < shape.columns) {
        out[out_at + i * shape.out_stride + x] = tile[x * (kTile + 1) + i];
      }
    }
    __syncthreads();
  }
}

template <class T>
__global__ void __launch_bounds__(kBlockSize) fill_kernel(StridedIndex<1> index, T* out, T value) {
  const uint64_t step = uint64_t{gridDim.x} * blockDim.x;
  for (uint64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < index.count; i += step) {
    int64_t at[1];
    index.offsets(static_cast<uint32_t>(i), at);
    out[at[0]] = value;
  }
}

__global__ void __launch_bounds__(kBlockSize)
    arange_kernel(void* out, ScalarType dtype, int64_t n, int64_t stride, double start, double by) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    if (compute_type(dtype) == kLong) {
      // Wraps instead of overflowing: the output may be narrower than the last values.
      const uint64_t first = static_cast<uint64_t>(static_cast<int64_t>(start));
      const uint64_t value =
          first + static_cast<uint64_t>(static_cast<int64_t>(by)) * static_cast<uint64_t>(i);
      store(out, dtype, i * stride, static_cast<int64_t>(value));
    } else {
      store(out, dtype, i * stride, start + static_cast<double>(i) * by);
    }
  }
}

template <class To, bool kConvert>
void copy_elements(const StridedLoop& loop, ScalarType from) {
  const int64_t items[] = {sizeof(To), element_size(from)};
  for_each_part<2>(loop, items, [&](const StridedIndex<2>& index, void* const* data) {
    launch(copy_kernel<To, kConvert>, blocks_for((index.count + kUnroll - 1) / kUnroll), kBlockSize,
           0, index, static_cast<To*>(data[0]), data[1], from);
  });
}

template <class T>
void copy_transposed(const StridedLoop& loop, int row) {
  const int64_t item = sizeof(T);
  Transposed shape{};
  shape.columns = loop.size(0), shape.rows = loop.size(row);
  shape.column_tiles = (shape.columns + kTile - 1) / kTile;
  shape.row_tiles = (shape.rows + kTile - 1) / kTile;
  shape.out_stride = loop.stride(row, 0) / item, shape.in_stride = loop.stride(0, 1) / item;
  shape.tiles = loop.numel() / (shape.columns * shape.rows) * shape.column_tiles * shape.row_tiles;
  shape.ndim = 0;
  for (int d = 1; d < loop.ndim(); ++d) {
    if (d == row) continue;
    shape.size[shape.ndim] = loop.size(d);
    shape.out[shape.ndim] = loop.stride(d, 0) / item;
    shape.in[shape.ndim++] = loop.stride(d, 1) / item;
  }
  launch(transpose_kernel<T>, blocks_for(shape.tiles * kBlockSize), kTile * kTileRows, 0, shape,
         reinterpret_cast<T*>(loop.data(0)), reinterpret_cast<const T*>(loop.data(1)));
}

// The dimension along which the input runs, if copying in tiles pays; else 0.
int transposed_dim(const StridedLoop& loop, int64_t item) {
  if (loop.is_flat() || loop.stride(0, 0) != item || loop.size(0) < kTile / 2) return 0;
  if (loop.ndim() > kMaxPartDims) return 0;
  for (int d = 1; d < loop.ndim(); ++d) {
    if (loop.stride(d, 1) == item && loop.size(d) >= kTile / 2) return d;
  }
  return 0;
}

}  // namespace

void copy(const View& out, const View& src) {
  const StridedLoop loop(out, src);
  if (loop.numel() == 0) return;
  const int64_t item = element_size(out.dtype);
  const bool same = out.dtype == src.dtype;
  if (!same) {
    return visit(out.dtype, [&]<class To>(To) { copy_elements<To, true>(loop, src.dtype); });
  }
  if (loop.is_flat() && loop.inner_strides()[0] == 1 && loop.inner_strides()[1] == 1) {
    TARN_CUDA_CHECK(cudaMemcpyAsync(out.data, src.data, static_cast<size_t>(loop.numel() * item),
                                    cudaMemcpyDeviceToDevice, stream()));
    return;
  }
  visit_size(item, [&]<class T>(T) {
    if (const int row = transposed_dim(loop, item); row != 0)
      copy_transposed<T>(loop, row);
    else
      copy_elements<T, false>(loop, out.dtype);
  });
}

void fill(const View& out, const FillValue& value) {
  const StridedLoop loop(out);
  if (loop.numel() == 0) return;
  alignas(8) char element[8] = {};
  if (value.is_integral)
    store(element, out.dtype, 0, value.integral);
  else
    store(element, out.dtype, 0, value.floating);
  const int64_t item = element_size(out.dtype);
  const bool uniform =
      std::all_of(element, element + item, [&](char c) { return c == element[0]; });
  if (uniform && loop.is_flat() && loop.inner_strides()[0] == 1) {
    TARN_CUDA_CHECK(
        cudaMemsetAsync(out.data, element[0], static_cast<size_t>(loop.numel() * item), stream()));
    return;
  }
  visit_size(item, [&]<class T>(T bits) {
    std::memcpy(&bits, element, sizeof(T));
    for_each_part<1>(loop, &item, [&](const StridedIndex<1>& index, void* const* data) {
      launch(fill_kernel<T>, blocks_for(index.count), kBlockSize, 0, index,
             static_cast<T*>(data[0]), bits);
    });
  });
}

void arange(const View& out, double start, double step) {
  const int64_t n = out.sizes[0];
  if (n == 0) return;
  launch(arange_kernel, blocks_for(n), kBlockSize, 0, out.data, out.dtype, n, out.strides[0], start,
         step);
}

}  // namespace tarn::cuda
