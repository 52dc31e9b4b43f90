// The contract of a device: one table of kernels over plain views.
//
// A device that fills this table runs all of Tarn; nothing above this header knows which device it
// talks to. An entry left null is reported as "[matmul] no CUDA kernel". The caller (core/) has
// already checked shapes, devices and dtypes and has allocated every output, so kernels only check
// what depends on the data itself (an index out of range). Kernels accept any strides unless an
// entry says otherwise. Work is enqueued on the device's current stream; on the CPU it is done on
// return.
#pragma once

#include <cstdint>

#include "tarn/device/device.h"
#include "tarn/kernels/optim_ops.h"
#include "tarn/kernels/random_engine.h"
#include "tarn/kernels/view.h"

namespace tarn {

// A number with its kind, for fills: exact for every int64 and every double.
struct FillValue {
  double floating = 0;
  int64_t integral = 0;
  bool is_integral = false;
};

// out = op(in[0], ...), all of one shape (broadcast inputs have stride 0).
struct PointwiseArgs {
  int op;              // index into op::PointwiseKernels (kernels/pointwise_ops.h)
  int num_inputs;      // 1..4
  ScalarType compute;  // kFloat, kDouble or kLong: the type the formula is evaluated in
  const void* params;  // the op object itself: a trivially copyable struct of its scalars
  bool flat;           // every view is contiguous, of one size and of dtype `compute`
  View out;
  View in[4];
  unsigned on_host = 0;  // bit i: in[i] is one number in CPU memory, on whatever device `out` is
};

// out = op over the dimensions in which out.strides[d] == 0. out and in have the same sizes: `out`
// is the result viewed with stride 0 along every reduced dimension.
struct ReduceArgs {
  int op;              // index into op::ReduceOps (kernels/reduce_ops.h)
  const void* params;  // the op object
  View out;
  View in;
};

// out = act(alpha * a @ b + beta * out + bias): out (..., m, n), a (..., m, k), b (..., k, n),
// bias (n) or null data. Leading (batch) dimensions are equal or have stride 0. One dtype.
struct MatmulArgs {
  View out, a, b, bias;
  double alpha = 1, beta = 0;
  bool relu = false;  // act: relu, of which NaN is NaN
  // (m) or null data, only without batch dimensions: becomes the sums of the rows of a. What a
  // linear layer's backward pass needs besides its product.
  View a_sums = {};
};

// Softmax or log-softmax of x along `dim`; backward reads the forward's output. One dtype.
struct SoftmaxArgs {
  View out, x;
  int dim;
  bool log;
};
struct SoftmaxBackwardArgs {
  View grad_in, grad_out, out;
  int dim;
  bool log;
};

// Negative log likelihood. log_probs (n, classes), target (n) int64, weight (classes) or null data.
// loss is (n) without reduction and 0-dim otherwise; total_weight is a 0-dim tensor of the same
// dtype. A target outside [0, classes) that is not ignore_index throws IndexError before anything
// is written. On CUDA, where such a sample counts as ignored, the next call that waits for the
// device throws it.
enum class Reduction : int8_t { None, Mean, Sum };
struct NllLossArgs {
  View loss, total_weight, log_probs, target, weight;
  int64_t ignore_index;
  Reduction reduction;
};
struct NllLossBackwardArgs {
  View grad_in;   // (n, classes), fully written
  View grad_out;  // like loss
  View total_weight, target, weight;
  int64_t ignore_index;
  Reduction reduction;
};

// Cross-entropy with logits: nll_loss of their log-softmax along dimension 1, in which `smoothing`
// of what is expected is spread over all classes. logits (n, classes, d), target (n * d) contiguous
// int64, weight (classes) or null data. loss and total_weight are nll_loss's, for n * d samples; so
// is what happens to a target out of range. statistics is for the backward pass: a contiguous
// tensor (2, n * d) of the compute type.
struct CrossEntropyArgs {
  View loss, total_weight, statistics, logits, target, weight;
  int64_t ignore_index;
  double smoothing;
  Reduction reduction;
};
struct CrossEntropyBackwardArgs {
  View grad_in;   // like logits, fully written
  View grad_out;  // like loss
  View total_weight, statistics, logits, target, weight;
  int64_t ignore_index;
  double smoothing;
  Reduction reduction;
};

// Layer normalization: each row of x less its mean, over the root of its variance + eps, times
// weight plus bias, either of which may be null data. x has rows of n elements and weight and bias
// have n, in any number of dimensions; neither is 0. Everything is contiguous and of one dtype, but
// statistics, a tensor (2, rows) of the compute type for the backward pass: the rows' means and
// what they were multiplied by.
struct LayerNormArgs {
  View out, statistics, x, weight, bias;
  double eps;
};
struct LayerNormBackwardArgs {
  View grad_in, grad_weight, grad_bias;  // null data where not wanted
  View grad_out, statistics, x, weight;
};

// Advanced indexing. `self` and `values` have the same sizes; self has stride 0 along dimensions
// that are addressed by index tensors. Element e of values stands for the element of self at
// self(e) + sum_k wrap(index[k](e)) * stride[k], where wrap adds size[k] to a negative index.
// An index outside [-size, size), or [0, size) if !from_end, throws IndexError
// "index 5 is out of bounds for dimension 1 with size 5" before anything is written.
struct IndexSpec {
  int count;             // 1..8
  bool from_end = true;  // negative indices count from the end
  View index[8];         // int64, broadcast to the shape of values
  int64_t size[8];       // length of the indexed dimension
  int64_t stride[8];     // its stride in self, in elements
  int64_t dim[8];        // its number, for the error text
};
struct GatherArgs {  // values = self[index]
  View values, self;
  IndexSpec spec;
};
// kAssign: the last write wins on the CPU. kAdd, kMultiply, kMax, kMin combine with what is there.
enum class ScatterMode : int8_t { kAssign, kAdd, kMultiply, kMax, kMin };
struct ScatterArgs {  // self[index] = values
  View self, values;
  IndexSpec spec;
  ScatterMode mode;
};

// Stable sort of the last dimension; NaN counts as greater than everything. values and indices
// hold the first `k` of the order (k == length for a full sort).
struct SortArgs {
  View values, indices, x;  // indices is int64
  bool descending;
};

// out[i] = x[0] (+ or *) ... (+ or *) x[i] along dim. out has the dtype of the accumulation.
enum class ScanKind : int8_t { kSum, kProduct };
struct ScanArgs {
  View out, x;
  int dim;
  ScanKind kind;
};

enum class RandomKind : int8_t {
  kUniform,      // [a, b)
  kNormal,       // mean a, standard deviation b
  kBernoulli,    // 1 with probability a
  kInteger,      // integers in [low, high)
  kExponential,  // rate a
  kPermutation,  // 0 .. n-1 shuffled; out is 1-d
};
struct RandomArgs {
  View out;
  RandomKind kind;
  double a, b;
  int64_t low, high;
  RandomEngine* engine;
};

struct KernelTable {
  const char* device_name;  // "CPU", "CUDA"

  // Memory. copy converts dtypes (as static_cast; to bool: != 0); src and out have the same sizes.
  void (*fill)(const View& out, const FillValue& value) = nullptr;
  void (*copy)(const View& out, const View& src) = nullptr;
  // out 1-d; start + i * step
  void (*arange)(const View& out, double start, double step) = nullptr;

  void (*pointwise)(const PointwiseArgs&) = nullptr;
  void (*reduce)(const ReduceArgs&) = nullptr;
  void (*matmul)(const MatmulArgs&) = nullptr;
  void (*softmax)(const SoftmaxArgs&) = nullptr;
  void (*softmax_backward)(const SoftmaxBackwardArgs&) = nullptr;
  void (*nll_loss)(const NllLossArgs&) = nullptr;
  void (*nll_loss_backward)(const NllLossBackwardArgs&) = nullptr;
  void (*cross_entropy)(const CrossEntropyArgs&) = nullptr;
  void (*cross_entropy_backward)(const CrossEntropyBackwardArgs&) = nullptr;
  void (*layer_norm)(const LayerNormArgs&) = nullptr;
  void (*layer_norm_backward)(const LayerNormBackwardArgs&) = nullptr;
  void (*gather)(const GatherArgs&) = nullptr;
  void (*scatter)(const ScatterArgs&) = nullptr;
  int64_t (*count_nonzero)(const View& x) = nullptr;
  // out (count, x.ndim) int64, row-major order
  void (*nonzero)(const View& out, const View& x) = nullptr;
  void (*sort)(const SortArgs&) = nullptr;
  void (*scan)(const ScanArgs&) = nullptr;
  void (*random)(const RandomArgs&) = nullptr;

  // Optimizers: one pass over many tensors (kernels/optim_ops.h).
  void (*sgd_step)(const SgdStep&, const OptimTensor* tensors, int64_t count) = nullptr;
  void (*adam_step)(const AdamStep&, const OptimTensor* tensors, int64_t count) = nullptr;
};

// The table of a device. What the calling thread then calls of it runs on that device, until it
// asks for another one's. Throws DeviceError for a device that this build or machine does not have.
const KernelTable& kernels(Device device);

// out[i] = the sum of row i of x (m, k), by a table's `reduce`.
void sum_rows(void (*reduce)(const ReduceArgs&), const View& out, const View& x);

// Throws NotImplementedError("[op] no CUDA kernel").
[[noreturn]] void missing_kernel(const char* op, const KernelTable& table);
// Throws IndexError("index 5 is out of bounds for dimension 1 with size 5").
[[noreturn]] void fail_index(int64_t index, int64_t dim, int64_t size);
// Throws IndexError("[nll_loss] Target 5 is out of bounds. There are 5 classes, ...; sample 1.").
[[noreturn]] void fail_target(int64_t target, int64_t classes, int64_t sample);

}  // namespace tarn
