// Batched matrix multiplication on views, by way of gemm().
#include <algorithm>

#include "tarn/device/allocator.h"
#include "tarn/device/parallel.h"
#include "tarn/kernels/cpu/gemm.h"
#include "tarn/kernels/cpu/kernels.h"
#include "tarn/kernels/cpu/strided.h"

namespace tarn::cpu {
namespace {

// A matrix of a view: its first element and the strides of its last two dimensions.
struct Matrix {
  Matrix(const View& v, int64_t batch) : data(static_cast<char*>(v.data)), dtype(v.dtype) {
    rows = v.sizes[v.ndim - 2], columns = v.sizes[v.ndim - 1];
    if (data == nullptr) return;  // an empty one: no step may be made from there
    row = v.strides[v.ndim - 2], column = v.strides[v.ndim - 1];
    int64_t offset = 0;
    for (int d = v.ndim - 3; d >= 0; --d) {
      offset += batch % v.sizes[d] * v.strides[d];
      batch /= v.sizes[d];
    }
    data += offset * element_size(dtype);
  }
  char* data;
  ScalarType dtype;
  int64_t rows, columns, row = 0, column = 0;
};

template <class T>
void multiply(const MatmulArgs& args, const Matrix& c, const Matrix& a, const Matrix& b) {
  gemm(GemmArgs<T>{.m = c.rows,
                   .n = c.columns,
                   .k = a.columns,
                   .a = reinterpret_cast<const T*>(a.data),
                   .a_row = a.row,
                   .a_col = a.column,
                   .b = reinterpret_cast<const T*>(b.data),
                   .b_row = b.row,
                   .b_col = b.column,
                   .c = reinterpret_cast<T*>(c.data),
                   .c_row = c.row,
                   .alpha = static_cast<T>(args.alpha),
                   .beta = static_cast<T>(args.beta),
                   .bias = static_cast<const T*>(args.bias.data),
                   .relu = args.relu});
}

// A dense float copy of a 16-bit matrix; 16-bit products are summed in float.
class FloatCopy {
 public:
  explicit FloatCopy(const Matrix& m) : matrix(m) {
    bytes_ = static_cast<size_t>(std::max<int64_t>(m.rows * m.columns, 1)) * sizeof(float);
    values_ = static_cast<float*>(allocate(bytes_));
    matrix.data = reinterpret_cast<char*>(values_);
    matrix.dtype = kFloat;
    matrix.row = m.columns;
    matrix.column = 1;
    const Converter load = converter(kFloat, m.dtype);
    for (int64_t i = 0; i < m.rows; ++i) {
      load(values_ + i * m.columns, 1, m.data + i * m.row * element_size(m.dtype), m.column,
           m.columns);
    }
  }
  ~FloatCopy() { deallocate(values_, bytes_); }
  FloatCopy(const FloatCopy&) = delete;
  FloatCopy& operator=(const FloatCopy&) = delete;
  void store(const Matrix& m) const {
    const Converter save = converter(m.dtype, kFloat);
    for (int64_t i = 0; i < m.rows; ++i) {
      save(m.data + i * m.row * element_size(m.dtype), m.column, values_ + i * m.columns, 1,
           m.columns);
    }
  }
  Matrix matrix;

 private:
  float* values_;
  size_t bytes_;
};

void multiply_16bit(const MatmulArgs& args, const Matrix& c, const Matrix& a, const Matrix& b) {
  const FloatCopy fa(a), fb(b), fc(c);
  MatmulArgs wide = args;
  float* bias = nullptr;
  const size_t bias_bytes = static_cast<size_t>(c.columns) * sizeof(float);
  if (args.bias.data) {
    bias = static_cast<float*>(allocate(bias_bytes));
    converter(kFloat, args.bias.dtype)(bias, 1, args.bias.data, 1, c.columns);
    wide.bias.data = bias;
  }
  multiply<float>(wide, fc.matrix, fa.matrix, fb.matrix);
  if (bias) deallocate(bias, bias_bytes);
  fc.store(c);
}

// Integers: no promise of speed, exact modulo the type's range.
template <class T>
void multiply_integers(const MatmulArgs& args, const Matrix& c, const Matrix& a, const Matrix& b) {
  const auto alpha = static_cast<uint64_t>(static_cast<int64_t>(args.alpha));
  const auto beta = static_cast<uint64_t>(static_cast<int64_t>(args.beta));
  parallel_for(0, c.rows, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, a.columns * c.columns)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   for (int64_t j = 0; j < c.columns; ++j) {
                     uint64_t sum = 0;
                     for (int64_t p = 0; p < a.columns; ++p) {
                       sum += static_cast<uint64_t>(
                                  reinterpret_cast<const T*>(a.data)[i * a.row + p * a.column]) *
                              static_cast<uint64_t>(
                                  reinterpret_cast<const T*>(b.data)[p * b.row + j * b.column]);
                     }
                     T& out = reinterpret_cast<T*>(c.data)[i * c.row + j * c.column];
                     const uint64_t bias =
                         args.bias.data ? static_cast<uint64_t>(args.bias.as<T>()[j]) : 0;
                     const int64_t total = static_cast<int64_t>(
                         alpha * sum + (beta ? beta * static_cast<uint64_t>(out) : 0) + bias);
                     out = static_cast<T>(args.relu && total < 0 ? 0 : total);
                   }
                 }
               });
}

void multiply(const MatmulArgs& args, const Matrix& c, const Matrix& a, const Matrix& b,
              ScalarType dtype) {
  if (dtype == kFloat) return multiply<float>(args, c, a, b);
  if (dtype == kDouble) return multiply<double>(args, c, a, b);
  if (is_floating_point(dtype)) return multiply_16bit(args, c, a, b);
  visit(dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
      multiply_integers<T>(args, c, a, b);
  });
}

}  // namespace

void matmul(const MatmulArgs& args) {
  if (args.a_sums.data) sum_rows(reduce, args.a_sums, args.a);
  int64_t batches = 1;
  for (int d = 0; d < args.out.ndim - 2; ++d) batches *= args.out.sizes[d];
  if (batches == 0) return;
  if (batches == 1) {
    return multiply(args, Matrix(args.out, 0), Matrix(args.a, 0), Matrix(args.b, 0),
                    args.out.dtype);
  }
  const Matrix shape(args.a, 0);
  const int64_t cost =
      std::max<int64_t>(1, shape.rows * shape.columns * args.out.sizes[args.out.ndim - 1]);
  // Many small products share the threads; few large ones use them inside.
  const int64_t grain =
      batches >= 2 * get_num_threads() ? std::max<int64_t>(1, 65536 / cost) : batches;
  parallel_for(0, batches, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      multiply(args, Matrix(args.out, i), Matrix(args.a, i), Matrix(args.b, i), args.out.dtype);
    }
  });
}

}  // namespace tarn::cpu
