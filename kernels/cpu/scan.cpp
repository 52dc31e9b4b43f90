// Cumulative sums and products. Like PyTorch on the CPU, float accumulates in double, 16-bit floats
// in float, integers in int64 (wrapping), and every prefix is rounded to the output's type.
#include <algorithm>

#include "tarn/kernels/cpu/kernels.h"
#include "tarn/kernels/cpu/strided.h"
#include "tarn/kernels/element_ops.h"

namespace tarn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 13;  // elements worth a thread
constexpr int64_t kChunk = 256;

// The scanned dimension, with steps in bytes and in elements.
struct Line {
  int64_t length;
  int64_t out_step, x_step;
  int64_t out_item, x_item;
  Converter load, store;
};

// One line, a chunk of consecutive elements at a time.
template <ScanKind kKind, class T>
void scan_line(const Line& line, char* out, const char* x) {
  T total = kScanStart<kKind, T>;
  T buffer[kChunk];
  for (int64_t start = 0; start < line.length; start += kChunk) {
    const int64_t n = std::min(kChunk, line.length - start);
    line.load(buffer, 1, x + start * line.x_step * line.x_item, line.x_step, n);
    for (int64_t i = 0; i < n; ++i) buffer[i] = total = accumulate<kKind>(total, buffer[i]);
    line.store(out + start * line.out_step * line.out_item, line.out_step, buffer, 1, n);
  }
}

// n lines side by side, with the given strides between them.
template <ScanKind kKind, class T>
void scan_lines(const Line& line, char* out, int64_t out_stride, const char* x, int64_t x_stride,
                int64_t n) {
  T totals[kChunk], values[kChunk];
  std::fill_n(totals, n, kScanStart<kKind, T>);
  for (int64_t i = 0; i < line.length; ++i) {
    line.load(values, 1, x + i * line.x_step * line.x_item, x_stride, n);
    for (int64_t j = 0; j < n; ++j) totals[j] = accumulate<kKind>(totals[j], values[j]);
    line.store(out + i * line.out_step * line.out_item, out_stride, totals, 1, n);
  }
}

template <ScanKind kKind, class T>
void scan_as(const ScanArgs& args) {
  const bool is_scalar = args.x.ndim == 0;
  Line line{};
  line.length = is_scalar ? 1 : args.x.sizes[args.dim];
  line.out_step = is_scalar ? 1 : args.out.strides[args.dim];
  line.x_step = is_scalar ? 1 : args.x.strides[args.dim];
  line.out_item = element_size(args.out.dtype);
  line.x_item = element_size(args.x.dtype);
  line.load = converter(ScalarTypeOf<T>, args.x.dtype);
  line.store = converter(args.out.dtype, ScalarTypeOf<T>);
  if (line.length == 0) return;

  const View* const views[] = {&args.out, &args.x};
  const StridedLoop loop = starts_of_lines(views, 2, args.dim);
  loop.for_each(std::max<int64_t>(1, kGrain / line.length), [&](int64_t n, char* const* p,
                                                                const int64_t* stride) {
    const bool along = n < 8 || line.x_step <= stride[1];
    for (int64_t i = 0; i < n; i += along ? 1 : kChunk) {
      char* out_line = p[0] + i * stride[0] * line.out_item;
      const char* x_line = p[1] + i * stride[1] * line.x_item;
      if (along) {
        scan_line<kKind, T>(line, out_line, x_line);
      } else {
        scan_lines<kKind, T>(line, out_line, stride[0], x_line, stride[1], std::min(kChunk, n - i));
      }
    }
  });
}

template <class T>
void scan_kind(const ScanArgs& args) {
  if (args.kind == ScanKind::kSum) return scan_as<ScanKind::kSum, T>(args);
  scan_as<ScanKind::kProduct, T>(args);
}

}  // namespace

void scan(const ScanArgs& args) {
  visit_scan(args.x.dtype, [&]<class T>(T) { scan_kind<T>(args); });
}

}  // namespace tarn::cpu
