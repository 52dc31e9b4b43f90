// Counting and listing the elements that are not zero. Each tile of elements in row-major order is
// counted, the counts are scanned, and each tile writes its coordinates behind those before it.
#include "tarn/device/capture.h"
#include "tarn/kernels/cuda/block_scan.h"
#include "tarn/kernels/cuda/kernels.h"
#include "tarn/kernels/cuda/radix_sort.h"
#include "tarn/kernels/cuda/strided.h"
#include "tarn/kernels/element_ops.h"

namespace tarn::cuda {
namespace {

constexpr int kPerThread = 8, kTile = kBlockSize * kPerThread;

__device__ int64_t add(int64_t a, int64_t b) { return a + b; }

template <class T>
__device__ int64_t count_own(const StridedIndex<1>& index, const T* x, uint32_t begin) {
  int64_t count = 0;
  for (uint32_t i = begin; i - begin < kPerThread && i < index.count; ++i) {
    int64_t at[1];
    index.offsets(i, at);
    count += is_nonzero(x[at[0]]);
  }
  return count;
}

// counts[tile] for the tiles of a part.
template <class T>
__global__ void count_tiles(StridedIndex<1> index, const T* x, int64_t* counts) {
  const uint32_t begin = blockIdx.x * kTile + threadIdx.x * kPerThread;
  int64_t total;
  block_exclusive_scan(count_own(index, x, begin), int64_t{0}, add, total);
  if (threadIdx.x == 0) counts[blockIdx.x] = total;
}

// Coordinates of a tensor, and where they are written: a row of `out` for each element found.
struct Listing {
  int64_t* out;
  int64_t row_step, coordinate_step;
  int ndim;
  int64_t sizes[kMaxDims];
};

template <class T>
__global__ void list_tiles(StridedIndex<1> index, const T* x, const int64_t* places, int64_t first,
                           Listing listing) {
  const uint32_t begin = blockIdx.x * kTile + threadIdx.x * kPerThread;
  int64_t total;
  int64_t place =
      places[blockIdx.x] + block_exclusive_scan(count_own(index, x, begin), int64_t{0}, add, total);
  for (uint32_t i = begin; i - begin < kPerThread && i < index.count; ++i) {
    int64_t at[1];
    index.offsets(i, at);
    if (!is_nonzero(x[at[0]])) continue;
    int64_t* target = listing.out + place++ * listing.row_step;
    int64_t rest = first + i;
    for (int d = listing.ndim - 1; d >= 0; --d) {
      target[d * listing.coordinate_step] = rest % listing.sizes[d];
      rest /= listing.sizes[d];
    }
  }
}

// Calls f(index, data, number of the part's first element and of its first tile, tiles).
template <class F>
void for_each_tiled_part(const View& x, F f) {
  const View* views[] = {&x};
  const int64_t items[] = {element_size(x.dtype)};
  int64_t first = 0, first_tile = 0;
  for_each_part<1>(StridedLoop(views, 1, cpu::LoopOrder::kRowMajor), items,
                   [&](const StridedIndex<1>& index, void* const* data) {
                     const int64_t tiles = (int64_t{index.count} + kTile - 1) / kTile;
                     f(index, data[0], first, first_tile, tiles);
                     first += index.count;
                     first_tile += tiles;
                   });
}

// The tiles' counts and, at the end, a place for their sum.
class TileCounts {
 public:
  explicit TileCounts(const View& x) : tiles_(count(x)), memory_(bytes()) {
    TARN_CUDA_CHECK(cudaMemsetAsync(memory_.data(), 0, bytes(), stream()));
    for_each_tiled_part(x, [&](const StridedIndex<1>& index, const void* data, int64_t,
                               int64_t first_tile, int64_t tiles) {
      visit_zero(x.dtype, [&]<class T>(T) {
        launch(count_tiles<T>, static_cast<unsigned>(tiles), kBlockSize, 0, index,
               static_cast<const T*>(data), places() + first_tile);
      });
    });
    scan_counts(places(), 1, tiles_ + 1);
  }
  int64_t* places() const { return memory_.as<int64_t>(); }
  const int64_t* total() const { return places() + tiles_; }

 private:
  static int64_t count(const View& x) {
    int64_t all = 0;
    for_each_tiled_part(x, [&](const StridedIndex<1>&, const void*, int64_t, int64_t,
                               int64_t tiles) { all += tiles; });
    return all;
  }
  size_t bytes() const { return static_cast<size_t>(tiles_ + 1) * sizeof(int64_t); }

  int64_t tiles_;
  Scratch memory_;
};

}  // namespace

int64_t count_nonzero(const View& x) {
  check_not_capturing("nonzero");
  const TileCounts counts(x);
  int64_t total;
  read_back(&total, counts.total(), sizeof total);
  return total;
}

void nonzero(const View& out, const View& x) {
  if (out.numel() == 0) return;
  const TileCounts counts(x);
  Listing listing{out.as<int64_t>(), out.strides[0], out.strides[1], x.ndim, {}};
  std::copy_n(x.sizes, x.ndim, listing.sizes);
  for_each_tiled_part(x, [&](const StridedIndex<1>& index, const void* data, int64_t first,
                             int64_t first_tile, int64_t tiles) {
    visit_zero(x.dtype, [&]<class T>(T) {
      launch(list_tiles<T>, static_cast<unsigned>(tiles), kBlockSize, 0, index,
             static_cast<const T*>(data), counts.places() + first_tile, first, listing);
    });
  });
}

}  // namespace tarn::cuda
