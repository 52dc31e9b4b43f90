// Radix sort from the least significant digit on. Each pass moves the pairs of a row, cut into
// tiles, behind all pairs of smaller digits: it counts the digits of every tile, scans the counts
// (digits first, then tiles), and moves every pair by its rank in its tile. Nothing depends on the
// order in which blocks run.
#include "tarn/kernels/cuda/radix_sort.h"

#include <algorithm>

#include "tarn/device/check.h"
#include "tarn/kernels/cuda/block_scan.h"
#include "tarn/kernels/cuda/launch.h"

namespace tarn::cuda {
namespace {

constexpr int kDigitBits = 4, kDigits = 1 << kDigitBits;
constexpr int kPerThread = 8, kTile = kBlockSize * kPerThread;
// Of each digit, one count per thread: those of a digit follow one another.
constexpr int kCells = kDigits * kBlockSize;

struct Pass {
  int64_t rows, length, tiles;
  int shift;
  unsigned mask;
};

template <class Key>
__device__ int digit_of(Key key, const Pass& pass) {
  return static_cast<int>(static_cast<unsigned>(key >> pass.shift) & pass.mask);
}

// Counts the digits of the thread's elements of a tile in its cells.
template <class Key>
__device__ void count_own(const Key* keys, int64_t begin, const Pass& pass, uint16_t* cells) {
  const int thread = static_cast<int>(threadIdx.x);
  for (int d = 0; d < kDigits; ++d) cells[d * kBlockSize + thread] = 0;
  for (int i = 0; i < kPerThread && begin + i < pass.length; ++i) {
    ++cells[digit_of(keys[begin + i], pass) * kBlockSize + thread];
  }
}

// counts (rows, kDigits, tiles)
template <class Key>
__global__ void count_digits(const Key* keys, int64_t* counts, Pass pass) {
  TARN_SHARED(cells, gpu::Arr<uint16_t, kCells>);
  TARN_SHARED(totals, gpu::Arr<int, kDigits>);
  const int thread = static_cast<int>(threadIdx.x);
  for (int64_t row = blockIdx.y; row < pass.rows; row += gridDim.y) {
    const int64_t tile = blockIdx.x;
    if (thread < kDigits) totals[thread] = 0;
    count_own(keys + row * pass.length, tile * kTile + thread * kPerThread, pass, cells);
    __syncthreads();
    constexpr int kShare = kCells / kBlockSize;
    int sum = 0;
    for (int i = 0; i < kShare; ++i) sum += cells[thread * kShare + i];
    atomicAdd(&totals[thread * kShare / kBlockSize], sum);
    __syncthreads();
    if (thread < kDigits) counts[(row * kDigits + thread) * pass.tiles + tile] = totals[thread];
    __syncthreads();
  }
}

template <class Key>
__global__ void move_by_digit(SortPairs<Key> from, SortPairs<Key> to, const int64_t* places,
                              Pass pass) {
  TARN_SHARED(cells, gpu::Arr<uint16_t, kCells>);
  TARN_SHARED(targets, gpu::Arr<int64_t, kDigits>);
  const int thread = static_cast<int>(threadIdx.x);
  for (int64_t row = blockIdx.y; row < pass.rows; row += gridDim.y) {
    const int64_t tile = blockIdx.x, offset = row * pass.length;
    const int64_t begin = tile * kTile + thread * kPerThread;
    count_own(from.keys + offset, begin, pass, cells);
    __syncthreads();
    // Every cell becomes the number of the tile's elements that go before its first.
    constexpr int kShare = kCells / kBlockSize;
    unsigned sum = 0, total;
    for (int i = 0; i < kShare; ++i) sum += cells[thread * kShare + i];
    unsigned rank = block_exclusive_scan(
        sum, 0u, [](unsigned a, unsigned b) { return a + b; }, total);
    for (int i = 0; i < kShare; ++i) {
      const unsigned count = cells[thread * kShare + i];
      cells[thread * kShare + i] = static_cast<uint16_t>(rank);
      rank += count;
    }
    __syncthreads();
    if (thread < kDigits) {
      targets[thread] = offset + places[(row * kDigits + thread) * pass.tiles + tile] -
                        cells[thread * kBlockSize];
    }
    __syncthreads();
    for (int i = 0; i < kPerThread && begin + i < pass.length; ++i) {
      const Key key = from.keys[offset + begin + i];
      const int digit = digit_of(key, pass);
      const int64_t target = targets[digit] + cells[digit * kBlockSize + thread]++;
      to.keys[target] = key;
      to.positions[target] = from.positions[offset + begin + i];
    }
    __syncthreads();
  }
}

// One block per row.
__global__ void scan_row(int64_t* counts, int64_t rows, int64_t length) {
  const int thread = static_cast<int>(threadIdx.x);
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    int64_t before = 0;
    for (int64_t start = 0; start < length; start += kTile) {
      const int64_t begin = start + thread * kPerThread;
      int64_t* own = counts + row * length + begin;
      int64_t values[kPerThread], sum = 0, total;
      for (int i = 0; i < kPerThread; ++i) {
        values[i] = begin + i < length ? own[i] : 0;
        sum += values[i];
      }
      int64_t prefix =
          before + block_exclusive_scan(
                       sum, int64_t{0}, [](int64_t a, int64_t b) { return a + b; }, total);
      for (int i = 0; i < kPerThread && begin + i < length; ++i) {
        own[i] = prefix;
        prefix += values[i];
      }
      before += total;
    }
  }
}

unsigned grid_of(int64_t rows) { return static_cast<unsigned>(std::min<int64_t>(rows, 65535)); }

}  // namespace

void check_sort_length(const char* op, int64_t length) {
  if (length <= kMaxSortLength) return;
  throw ValueError(
      str("[", op, "] CUDA sorts at most ", kMaxSortLength, " elements, got ", length));
}

void scan_counts(int64_t* counts, int64_t rows, int64_t length) {
  launch(scan_row, grid_of(rows), kBlockSize, 0, counts, rows, length);
}

template <class Key>
SortPairs<Key> radix_sort(SortPairs<Key> data, SortPairs<Key> spare, int64_t rows, int64_t length,
                          int first_bit, int last_bit) {
  Pass pass{rows, length, (length + kTile - 1) / kTile, 0, 0};
  const Scratch counts(static_cast<size_t>(rows * kDigits * pass.tiles) * sizeof(int64_t));
  const dim3 grid(static_cast<unsigned>(pass.tiles), grid_of(rows));
  for (int bit = first_bit; bit < last_bit; bit += kDigitBits) {
    pass.shift = bit;
    pass.mask = (1u << std::min(kDigitBits, last_bit - bit)) - 1;
    launch(count_digits<Key>, grid, kBlockSize, 0, data.keys, counts.as<int64_t>(), pass);
    scan_counts(counts.as<int64_t>(), rows, kDigits * pass.tiles);
    launch(move_by_digit<Key>, grid, kBlockSize, 0, data, spare, counts.as<int64_t>(), pass);
    std::swap(data, spare);
  }
  return data;
}

template SortPairs<uint32_t> radix_sort(SortPairs<uint32_t>, SortPairs<uint32_t>, int64_t, int64_t,
                                        int, int);
template SortPairs<uint64_t> radix_sort(SortPairs<uint64_t>, SortPairs<uint64_t>, int64_t, int64_t,
                                        int, int);

}  // namespace tarn::cuda
