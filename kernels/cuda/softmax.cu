// Softmax and log-softmax along any dimension, and their gradients. A few threads share a row, read
// it once for what they must know of all its elements and again, from the cache if it is not
// long, for the result.
#include <limits>

#include "tarn/kernels/cuda/block_merge.h"
#include "tarn/kernels/cuda/kernels.h"
#include "tarn/kernels/cuda/strided.h"
#include "tarn/kernels/op_math.h"

namespace tarn::cuda {
namespace {

constexpr int kUnroll = 4;  // elements of a thread on their way at once
constexpr int kRun = 16;    // times kUnroll elements are summed before sums are

template <class T>
using ComputeType = std::conditional_t<std::is_same_v<T, double>, double, float>;

// Rows of n elements; those of operand k are element[k] apart.
template <int kOperands>
struct Rows {
  BlockShape block;
  int64_t n;
  int64_t element[kOperands];
  bool log;
};

// The largest of some elements and the sum of e^(x - largest).
template <class V>
struct Exponentials {
  V largest, sum;

  TARN_HD static Exponentials none() { return {-std::numeric_limits<V>::infinity(), V(0)}; }
  // e^(x - largest). The sum of many -infinity stays finite, to be multiplied by 0 once there is
  // anything larger, but one +infinity makes NaN, as in PyTorch.
  TARN_HD static V scaled(V x, V largest) {
    return x == largest && x < std::numeric_limits<V>::infinity() ? V(1) : math::exp(x - largest);
  }
  TARN_HD static Exponentials merge(const Exponentials& a, const Exponentials& b) {
    const V largest = b.largest > a.largest ? b.largest : a.largest;
    return {largest, a.sum * scaled(a.largest, largest) + b.sum * scaled(b.largest, largest)};
  }
  // NaN is passed over as the largest; it comes back in the sum.
  TARN_HD void add(const V (&x)[kUnroll]) {
    V top = largest;
    for (int j = 0; j < kUnroll; ++j) top = x[j] > top ? x[j] : top;
    sum *= scaled(largest, top);
    for (int j = 0; j < kUnroll; ++j) sum += scaled(x[j], top);
    largest = top;
  }
};

template <class V>
struct Total {
  V sum;

  TARN_HD static Total none() { return {V(0)}; }
  TARN_HD static Total merge(const Total& a, const Total& b) { return {a.sum + b.sum}; }
  TARN_HD void add(const V (&x)[kUnroll]) {
    for (int j = 0; j < kUnroll; ++j) sum += x[j];
  }
};

// What the block's threads find in a row, merged: read(i) is element i, `pad` adds nothing.
template <class State, class V, class Read>
__device__ State gather_row(const BlockShape& block, int64_t n, bool valid, V pad, Read read) {
  TARN_SHARED(states, gpu::Arr<State, kBlockSize>);
  State state = State::none();
  int64_t first = block.place(static_cast<int>(threadIdx.x));
  while (valid && first < n) {
    State run = State::none();
    for (int i = 0; i < kRun && first < n; ++i, first += int64_t{kUnroll} * block.depth) {
      V x[kUnroll];
      for (int j = 0; j < kUnroll; ++j) {
        const int64_t at = first + int64_t{j} * block.depth;
        x[j] = at < n ? read(at) : pad;
      }
      run.add(x);
    }
    state = State::merge(state, run);
  }
  return merge_all(block, states, state,
                   [](const State& a, const State& b) { return State::merge(a, b); });
}

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
  for (int64_t i = rows.block.place(static_cast<int>(threadIdx.x)); i < rows.n;
       i += rows.block.depth) {
    const V shifted = read(i) - all.largest;
    out[i * rows.element[0]] = T(rows.log ? shifted - log_sum : math::exp(shifted) * scale);
  }
}

template <class T>
__global__ void __launch_bounds__(kBlockSize)
    backward_kernel(Rows<3> rows, StridedIndex<3> starts, T* grad_in, const T* grad_out,
                    const T* out) {
  using V = ComputeType<T>;
  const MyRow<3> row(rows.block, starts);
  grad_in += row.at[0], grad_out += row.at[1], out += row.at[2];
  const auto g = [&](int64_t i) { return V(grad_out[i * rows.element[1]]); };
  const auto y = [&](int64_t i) { return V(out[i * rows.element[2]]); };
  const V sum = gather_row<Total<V>>(rows.block, rows.n, row.valid, V(0), [&](int64_t i) {
                  return rows.log ? g(i) : g(i) * y(i);
                }).sum;
  if (!row.valid) return;
  for (int64_t i = rows.block.place(static_cast<int>(threadIdx.x)); i < rows.n;
       i += rows.block.depth) {
    const V gradient = rows.log ? g(i) - math::exp(y(i)) * sum : y(i) * (g(i) - sum);
    grad_in[i * rows.element[0]] = T(gradient);
  }
}

// Calls f(Rows, StridedIndex of their beginnings, data) for the rows of the views along `dim`.
template <int kOperands, class F>
void for_rows(const View* const (&views)[kOperands], int dim, bool log, F&& f) {
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
                            : BlockShape::rows(walk.numel, rows.n);
  for_each_part(walk, [&](const StridedIndex<kOperands>& index, void* const* data) {
    f(rows, index, data, static_cast<unsigned>(rows.block.tiles(index.count)));
  });
}

}  // namespace

void softmax(const SoftmaxArgs& args) {
  visit_floating(args.out.dtype, [&]<class T>(T) {
    for_rows<2>({&args.out, &args.x}, args.dim, args.log,
                [](const Rows<2>& rows, const auto& starts, void* const* data, unsigned blocks) {
                  launch(softmax_kernel<T>, blocks, kBlockSize, 0, rows, starts,
                         static_cast<T*>(data[0]), static_cast<const T*>(data[1]));
                });
  });
}

void softmax_backward(const SoftmaxBackwardArgs& args) {
  visit_floating(args.grad_in.dtype, [&]<class T>(T) {
    for_rows<3>({&args.grad_in, &args.grad_out, &args.out}, args.dim, args.log,
                [](const Rows<3>& rows, const auto& starts, void* const* data, unsigned blocks) {
                  launch(backward_kernel<T>, blocks, kBlockSize, 0, rows, starts,
                         static_cast<T*>(data[0]), static_cast<const T*>(data[1]),
                         static_cast<const T*>(data[2]));
                });
  });
}

}  // namespace tarn::cuda
