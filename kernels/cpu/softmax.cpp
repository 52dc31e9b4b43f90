// Softmax and log-softmax along any dimension, and their gradients: the walking. The loops are in
// softmax_loops.h.
#include <algorithm>
#include <vector>

#include "tarn/device/parallel.h"
#include "tarn/kernels/cpu/isa.h"
#include "tarn/kernels/cpu/kernels.h"
#include "tarn/kernels/cpu/softmax_loops.h"
#include "tarn/kernels/cpu/strided.h"

namespace tarn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 13;  // elements worth a thread
using RowsFunction = void (*)(const SoftmaxRows*);

// Rows whose elements are apart or of another dtype pass through buffers.
void run_gathered(const SoftmaxRows& args, const View* const* views, int count, ScalarType compute,
                  RowsFunction function) {
  const int64_t n = args.n, size = element_size(compute);
  std::vector<double> buffer(static_cast<size_t>(n * count));
  SoftmaxRows one = args;
  one.rows = 1;
  char* data[3];
  for (int k = 0; k < count; ++k) {
    one.data[k] = reinterpret_cast<char*>(buffer.data()) + k * n * size;
    data[k] = static_cast<char*>(args.data[k]);
  }
  for (int64_t r = 0; r < args.rows; ++r) {
    for (int k = 1; k < count; ++k) {
      converter(compute, views[k]->dtype)(one.data[k], 1, data[k], args.element[k], n);
    }
    function(&one);
    converter(views[0]->dtype, compute)(data[0], args.element[0], one.data[0], 1, n);
    for (int k = 0; k < count; ++k) data[k] += args.row[k] * element_size(views[k]->dtype);
  }
}

template <template <class> class RowsBody, template <class> class ColumnsBody>
void run(const View* const* views, int count, int dim, bool log) {
  const View& out = *views[0];
  const ScalarType compute = compute_type(out.dtype);
  const bool is_double = compute == kDouble;
  const RowsFunction by_rows = is_double ? select_isa<RowsBody<double>, const SoftmaxRows*>()
                                         : select_isa<RowsBody<float>, const SoftmaxRows*>();
  SoftmaxRows rows;
  rows.n = out.ndim > 0 ? out.sizes[dim] : 1;
  rows.log = log;
  if (rows.n == 0) return;
  bool contiguous = dim == out.ndim - 1 || out.ndim == 0;
  bool native = true, adjacent = true;
  for (int k = 0; k < count; ++k) {
    rows.data[k] = views[k]->data;
    rows.row[k] = rows.n;
    rows.element[k] = out.ndim > 0 ? views[k]->strides[dim] : 1;
    contiguous = contiguous && views[k]->is_contiguous();
    adjacent = adjacent && (rows.element[k] == 1 || rows.n == 1);
    native = native && views[k]->dtype == compute;
  }
  const int64_t grain = std::max<int64_t>(1, kGrain / rows.n);
  if (contiguous && native) {
    rows.rows = out.numel() / rows.n;
    if (rows.rows <= grain) return by_rows(&rows);
    return parallel_for(0, rows.rows, grain, [&](int64_t begin, int64_t end) {
      SoftmaxRows part = rows;
      part.rows = end - begin;
      for (int k = 0; k < count; ++k) {
        part.data[k] = static_cast<char*>(rows.data[k]) + begin * rows.n * element_size(compute);
      }
      by_rows(&part);
    });
  }

  const RowsFunction by_columns = is_double ? select_isa<ColumnsBody<double>, const SoftmaxRows*>()
                                            : select_isa<ColumnsBody<float>, const SoftmaxRows*>();
  const StridedLoop loop = starts_of_lines(views, count, dim);
  loop.for_each(grain, [&](int64_t n, char* const* pointers, const int64_t* strides) {
    SoftmaxRows part = rows;
    part.rows = n;
    bool side_by_side = native && n >= 4;
    for (int k = 0; k < count; ++k) {
      part.data[k] = pointers[k];
      part.row[k] = strides[k];
      side_by_side = side_by_side && strides[k] == 1;
    }
    if (native && adjacent) return by_rows(&part);
    if (!side_by_side) return run_gathered(part, views, count, compute, by_rows);
    for (int64_t done = 0; done < n; done += kSoftmaxTile) {
      part.rows = std::min(kSoftmaxTile, n - done);
      by_columns(&part);
      for (int k = 0; k < count; ++k) {
        part.data[k] = static_cast<char*>(part.data[k]) + kSoftmaxTile * element_size(compute);
      }
    }
  });
}

}  // namespace

void softmax(const SoftmaxArgs& args) {
  const View* views[] = {&args.out, &args.x};
  run<ForwardRows, ForwardColumns>(views, 2, args.dim, args.log);
}

void softmax_backward(const SoftmaxBackwardArgs& args) {
  const View* views[] = {&args.grad_in, &args.grad_out, &args.out};
  run<BackwardRows, BackwardColumns>(views, 3, args.dim, args.log);
}

}  // namespace tarn::cpu
