// Softmax and log-softmax along any dimension, and their gradients. A few threads share a row.
#include "tarn/kernels/cuda/kernels.h"
#include "tarn/kernels/cuda/softmax_rows.h"
#include "tarn/kernels/cuda/strided.h"

namespace tarn::cuda {
namespace {

// What registers of a thread hold of a row of V in each operand.
template <class V>
constexpr int kForwardHeld = 128 / sizeof(V);
template <class V>
constexpr int kBackwardHeld = 64 / sizeof(V);

// Rows of n elements; those of operand k are element[k] apart.
template <int kOperands>
struct Rows {
  BlockShape block;
  int64_t n;
  int64_t element[kOperands];
  bool log;
  bool held;    // the threads' registers have room for a row
  bool vector;  // and it is read and written by 16 bytes
};

// The row of the calling thread, and where it begins in each operand.
template <int kOperands>
struct MyRow {
  bool valid;
  int64_t at[kOperands];

  __device__ MyRow(const BlockShape& block, const StridedIndex<kOperands>& rows) {
    const uint64_t row = uint64_t{blockIdx.x} * static_cast<unsigned>(block.width) +
                         static_cast<unsigned>(block.result(static_cast<int>(threadIdx.x)));
    valid = row < rows.count;
    rows.offsets(valid ? static_cast<uint32_t>(row) : 0, at);
  }
};

template <class T>
__global__ void __launch_bounds__(kBlockSize)
    softmax_kernel(Rows<2> rows, StridedIndex<2> starts, T* out, const T* x) {
  using V = ComputeType<T>;
  using State = Exponentials<V>;
  const MyRow<2> row(rows.block, starts);
  out += row.at[0], x += row.at[1];
  const auto read = [&](int64_t i) { return V(x[i * rows.element[1]]); };
  const State all =
      gather_row<State>(rows.block, rows.n, row.valid, -std::numeric_limits<V>::infinity(), read);
  if (!row.valid) return;
  const V log_sum = math::log(all.sum), scale = 1 / all.sum;
  map_row(rows.block, rows.n, read, [&](int64_t i, V value) {
    const V shifted = value - all.largest;
    out[i * rows.element[0]] = T(rows.log ? shifted - log_sum : math::exp(shifted) * scale);
  });
}

// The same for rows that the threads' registers hold.
template <class T, bool kLog>
__global__ void __launch_bounds__(kBlockSize, 4)
    held_softmax_kernel(Rows<2> rows, StridedIndex<2> starts, T* out, const T* x) {
  using V = ComputeType<T>;
  const MyRow<2> row(rows.block, starts);
  const int n = row.valid ? static_cast<int>(rows.n) : 0;
  V held[kForwardHeld<V>];
  load_held(rows.block, n, rows.vector, x + row.at[1], rows.element[1],
            -std::numeric_limits<V>::infinity(), held);
  const auto larger = [](V a, V b) { return b > a ? b : a; };  // NaN comes back in the sum
  V largest = held[0];
  TARN_UNROLL
  for (const V value : held) largest = larger(largest, value);
  largest = over_places(rows.block, largest, larger);
  V sum = 0;
  TARN_UNROLL
  for (V& value : held) {
    value -= largest;
    const V power = math::exp(value);
    sum += power;
    if (!kLog) value = power;
  }
  sum = over_places(rows.block, sum, [](V a, V b) { return a + b; });
  const V log_sum = math::log(sum), scale = 1 / sum;
  store_held<kForwardHeld<V>>(rows.block, n, rows.vector, out + row.at[0], rows.element[0],
                              [&](int j) { return kLog ? held[j] - log_sum : held[j] * scale; });
}

template <class T>
__global__ void __launch_bounds__(kBlockSize)
    backward_kernel(Rows<3> rows, StridedIndex<3> starts, T* grad_in, const T* grad_out,
                    const T* out) {
  using V = ComputeType<T>;
  const MyRow<3> row(rows.block, starts);
  grad_in += row.at[0], grad_out += row.at[1], out += row.at[2];
  struct Pair {
    V g, y;
  };
  const auto read = [&](int64_t i) {
    return Pair{V(grad_out[i * rows.element[1]]), V(out[i * rows.element[2]])};
  };
  const V sum = gather_row<Total<V>>(rows.block, rows.n, row.valid, V(0), [&](int64_t i) {
                  const Pair p = read(i);
                  return rows.log ? p.g : p.g * p.y;
                }).sum;
  if (!row.valid) return;
  map_row(rows.block, rows.n, read, [&](int64_t i, Pair p) {
    const V gradient = rows.log ? p.g - math::exp(p.y) * sum : p.y * (p.g - sum);
    grad_in[i * rows.element[0]] = T(gradient);
  });
}

template <class T>
__global__ void __launch_bounds__(kBlockSize)
    held_backward_kernel(Rows<3> rows, StridedIndex<3> starts, T* grad_in, const T* grad_out,
                         const T* out) {
  using V = ComputeType<T>;
  const MyRow<3> row(rows.block, starts);
  const int n = row.valid ? static_cast<int>(rows.n) : 0;
  V g[kBackwardHeld<V>], y[kBackwardHeld<V>], sum = 0;
  load_held(rows.block, n, rows.vector, grad_out + row.at[1], rows.element[1], V(0), g);
  load_held(rows.block, n, rows.vector, out + row.at[2], rows.element[2], V(0), y);
  TARN_UNROLL
  for (int j = 0; j < kBackwardHeld<V>; ++j) sum += rows.log ? g[j] : g[j] * y[j];
  sum = over_places(rows.block, sum, [](V a, V b) { return a + b; });
  store_held<kBackwardHeld<V>>(
      rows.block, n, rows.vector, grad_in + row.at[0], rows.element[0],
      [&](int j) { return rows.log ? g[j] - math::exp(y[j]) * sum : y[j] * (g[j] - sum); });
}

// Calls f(Rows, StridedIndex of their beginnings, data) for the rows of the views along `dim`, of
// which registers of a thread can hold `held` elements.
template <int kOperands, class F>
void for_rows(const View* const (&views)[kOperands], int dim, bool log, int held, F&& f) {
  const View& out = *views[0];
  Rows<kOperands> rows;
  rows.n = out.ndim > 0 ? out.sizes[dim] : 1;
  rows.log = log;
  if (rows.n == 0) return;
  int64_t items[kOperands];
  for (int k = 0; k < kOperands; ++k) {
    items[k] = element_size(views[k]->dtype);
    rows.element[k] = out.ndim > 0 ? views[k]->strides[dim] : 1;
  }
  const Walk<kOperands> walk(cpu::starts_of_lines(views, kOperands, dim), items);
  const bool side_by_side = walk.stride[0][0] == 1 && walk.size[0] > 1 && rows.element[0] != 1;
  rows.block = side_by_side ? BlockShape::by_columns(walk.size[0], rows.n)
                            : BlockShape::held_rows(walk.numel, rows.n, held);
  rows.held = !rows.block.columns && rows.n <= int64_t{rows.block.depth} * held;
  const int64_t at_once = 16 / items[0];
  rows.vector = rows.n % at_once == 0;
  for (int k = 0; k < kOperands; ++k) {
    rows.vector = rows.vector && rows.element[k] == 1 && is_aligned(views[k]->data);
    for (int d = 0; d < walk.ndim; ++d) {
      rows.vector = rows.vector && (walk.stride[d][k] % at_once == 0 || walk.size[d] == 1);
    }
  }
  for_each_part(walk, [&](const StridedIndex<kOperands>& index, void* const* data) {
    f(rows, index, data, static_cast<unsigned>(rows.block.tiles(index.count)));
  });
}

}  // namespace

void softmax(const SoftmaxArgs& args) {
  visit_floating(args.out.dtype, [&]<class T>(T) {
    for_rows<2>({&args.out, &args.x}, args.dim, args.log, kForwardHeld<ComputeType<T>>,
                [](const Rows<2>& rows, const auto& starts, void* const* data, unsigned blocks) {
                  launch(!rows.held ? softmax_kernel<T>
                         : rows.log ? held_softmax_kernel<T, true>
                                    : held_softmax_kernel<T, false>,
                         blocks, kBlockSize, 0, rows, starts, static_cast<T*>(data[0]),
                         static_cast<const T*>(data[1]));
                });
  });
}

void softmax_backward(const SoftmaxBackwardArgs& args) {
  visit_floating(args.grad_in.dtype, [&]<class T>(T) {
    for_rows<3>({&args.grad_in, &args.grad_out, &args.out}, args.dim, args.log,
                kBackwardHeld<ComputeType<T>>,
                [](const Rows<3>& rows, const auto& starts, void* const* data, unsigned blocks) {
                  launch(rows.held ? held_backward_kernel<T> : backward_kernel<T>, blocks,
                         kBlockSize, 0, rows, starts, static_cast<T*>(data[0]),
                         static_cast<const T*>(data[1]), static_cast<const T*>(data[2]));
                });
  });
}

}  // namespace tarn::cuda
