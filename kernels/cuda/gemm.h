// One matrix product, or a batch of them at equal distances, as the steps of matmul() see it.
#pragma once

#include <cstdint>

#include "tarn/kernels/dtype.h"

namespace tarn::cuda {

// A matrix, or the first of a batch; strides in elements.
struct Matrix {
  void* data;
  int64_t row, column, batch;
};

// out = act(alpha * a @ b + beta * out + bias): out (m, n), a (m, k), b (k, n), bias (n) or null.
// a_sums (m) or null, one of the two: becomes the sums of the rows of a.
struct Gemm {
  ScalarType dtype;
  int64_t batches, m, n, k;
  Matrix out, a, b;
  const void* bias;
  double alpha, beta;
  bool relu;
  void* a_sums;
};

// Whether cuBLASLt can read a matrix of this many rows and columns: one of them lies densely, and
// the next one behind it.
bool is_addressable(const Matrix& matrix, int64_t rows, int64_t columns);

// Enqueues a product of floating-point numbers on cuBLASLt and returns true; false, and nothing is
// done, when it has no algorithm for the problem, or gemm.relu is set and it has none that is known
// to keep NaN, or beta * out is to be added before. 16-bit numbers are summed in float. k > 0; a
// and b are addressable, the rows of out dense.
bool gemm_lt(const Gemm& gemm);

}  // namespace tarn::cuda
