// Cumulative sums and products, accumulated as on the CPU: float in double, 16-bit floats in float,
// integers in int64. The order of the operations depends on the shape alone.
#include <algorithm>

#include "tarn/kernels/cuda/block_scan.h"
#include "tarn/kernels/cuda/kernels.h"
#include "tarn/kernels/cuda/strided.h"
#include "tarn/kernels/element_ops.h"

namespace tarn::cuda {
namespace {

constexpr int kPerThread = 4, kTile = kBlockSize * kPerThread;
// A line is cut into at most so many segments, which blocks scan side by side.
constexpr int64_t kMaxSegments = 256;
// With so many lines there is work for the device without cutting them.
constexpr int64_t kManyLines = 1024;

// Lines of a scan: operand 0 of `index` is out, 1 x.
struct Lines {
  StridedIndex<2> index;
  void* out;
  const void* x;
  ScalarType out_type, x_type;
  int64_t out_step, x_step;
  int64_t length, segments, segment_length;
};

template <ScanKind kKind, class T>
struct Accumulate {
  __device__ T operator()(T total, T value) const { return accumulate<kKind>(total, value); }
};

// One thread per line.
template <ScanKind kKind, class T>
__global__ void scan_lines(Lines lines) {
  const uint32_t step = gridDim.x * blockDim.x;
  for (uint32_t line = blockIdx.x * blockDim.x + threadIdx.x; line < lines.index.count;
       line += step) {
    int64_t at[2];
    lines.index.offsets(line, at);
    T total = kScanStart<kKind, T>;
    for (int64_t i = 0; i < lines.length; ++i) {
      total = accumulate<kKind>(total, load<T>(lines.x, lines.x_type, at[1] + i * lines.x_step));
      store(lines.out, lines.out_type, at[0] + i * lines.out_step, total);
    }
  }
}

// One block per segment of a line, a tile of kTile elements at a time. kTotals: totals (lines,
// segments) receives what each segment comes to. Otherwise out is written, starting from what
// totals holds, unless it is null.
template <ScanKind kKind, class T, bool kTotals>
__global__ void scan_segments(Lines lines, T* totals) {
  const int64_t count = lines.index.count * lines.segments;
  for (int64_t number = blockIdx.x; number < count; number += gridDim.x) {
    int64_t at[2];
    lines.index.offsets(static_cast<uint32_t>(number / lines.segments), at);
    const int64_t first = number % lines.segments * lines.segment_length;
    const int64_t end = min(first + lines.segment_length, lines.length);
    T before = !kTotals && totals ? totals[number] : kScanStart<kKind, T>;
    for (int64_t start = first; start < end; start += kTile) {
      const int64_t begin = start + threadIdx.x * kPerThread;
      T values[kPerThread], sum = kScanStart<kKind, T>, total;
      for (int i = 0; i < kPerThread && begin + i < end; ++i) {
        values[i] = load<T>(lines.x, lines.x_type, at[1] + (begin + i) * lines.x_step);
        sum = accumulate<kKind>(sum, values[i]);
      }
      T prefix = block_exclusive_scan(sum, kScanStart<kKind, T>, Accumulate<kKind, T>(), total);
      if constexpr (!kTotals) {
        prefix = accumulate<kKind>(before, prefix);
        for (int i = 0; i < kPerThread && begin + i < end; ++i) {
          prefix = accumulate<kKind>(prefix, values[i]);
          store(lines.out, lines.out_type, at[0] + (begin + i) * lines.out_step, prefix);
        }
      }
      before = accumulate<kKind>(before, total);
    }
    if (kTotals && threadIdx.x == 0) totals[number] = before;
  }
}

// The totals of a line's segments become what goes before each.
template <ScanKind kKind, class T>
__global__ void scan_totals(T* totals, int64_t lines, int64_t segments) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t line = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; line < lines; line += step) {
    T total = kScanStart<kKind, T>;
    for (int64_t s = 0; s < segments; ++s) {
      const T own = totals[line * segments + s];
      totals[line * segments + s] = total;
      total = accumulate<kKind>(total, own);
    }
  }
}

template <ScanKind kKind, class T>
void scan_part(Lines lines, bool across) {
  const int64_t count = lines.index.count;
  if (across) {
    return launch(scan_lines<kKind, T>, blocks_for(count), kBlockSize, 0, lines);
  }
  const int64_t tiles = (lines.length + kTile - 1) / kTile;
  const int64_t wanted = count >= kManyLines ? 1 : std::min(kMaxSegments, tiles);
  lines.segment_length = (tiles + wanted - 1) / wanted * kTile;
  lines.segments = (lines.length + lines.segment_length - 1) / lines.segment_length;
  const auto blocks =
      static_cast<unsigned>(std::min<int64_t>(count * lines.segments, int64_t{1} << 20));
  if (lines.segments == 1) {
    return launch(scan_segments<kKind, T, false>, blocks, kBlockSize, 0, lines, nullptr);
  }
  const Scratch memory(static_cast<size_t>(count * lines.segments) * sizeof(T));
  launch(scan_segments<kKind, T, true>, blocks, kBlockSize, 0, lines, memory.as<T>());
  launch(scan_totals<kKind, T>, blocks_for(count), kBlockSize, 0, memory.as<T>(), count,
         lines.segments);
  launch(scan_segments<kKind, T, false>, blocks, kBlockSize, 0, lines, memory.as<T>());
}

template <class T>
void scan_part(ScanKind kind, const Lines& lines, bool across) {
  if (kind == ScanKind::kSum) return scan_part<ScanKind::kSum, T>(lines, across);
  scan_part<ScanKind::kProduct, T>(lines, across);
}

}  // namespace

void scan(const ScanArgs& args) {
  const bool is_scalar = args.x.ndim == 0;
  const int64_t length = is_scalar ? 1 : args.x.sizes[args.dim];
  if (length == 0) return;
  const View* const views[] = {&args.out, &args.x};
  const StridedLoop loop = cpu::starts_of_lines(views, 2, args.dim);
  const int64_t items[] = {element_size(args.out.dtype), element_size(args.x.dtype)};
  for_each_part<2>(loop, items, [&](const StridedIndex<2>& index, void* const* data) {
    const Lines lines{.index = index,
                      .out = data[0],
                      .x = data[1],
                      .out_type = args.out.dtype,
                      .x_type = args.x.dtype,
                      .out_step = is_scalar ? 1 : args.out.strides[args.dim],
                      .x_step = is_scalar ? 1 : args.x.strides[args.dim],
                      .length = length,
                      .segments = 1,
                      .segment_length = length};
    // A thread per line where lines are short, or many and their elements lie side by side.
    const bool beside = index.count >= kManyLines && lines.x_step > index.stride[0][1];
    const bool across = length <= 32 || beside;
    visit_scan(args.x.dtype, [&]<class T>(T) { scan_part<T>(args.kind, lines, across); });
  });
}

}  // namespace tarn::cuda
