// Dense matrix multiplication on the CPU, for float and double.
#pragma once

#include <cstdint>

namespace tarn::cpu {

// C = act(alpha * A B + beta * C + bias), with A (m, k), B (k, n), C (m, n), bias (n) and act the
// identity or relu. All strides count elements and may be any number, zero and negative included;
// the four combinations in which A and B each have a stride of 1 along one dimension are fast.
template <class T>
struct GemmArgs {
  int64_t m, n, k;
  const T* a;  // A[i, p] = a[i * a_row + p * a_col]
  int64_t a_row, a_col;
  const T* b;  // B[p, j] = b[p * b_row + j * b_col]
  int64_t b_row, b_col;
  T* c;  // C[i, j] = c[i * c_row + j]; overlaps neither A, B nor bias, and its rows do not overlap
  int64_t c_row;
  T alpha = 1;              // 0: A and B are not read, as in BLAS
  T beta = 0;               // 0: C is not read, so it may hold anything, NaN included
  const T* bias = nullptr;  // added to every row; nullptr: no bias
  bool relu = false;        // relu(NaN) is NaN
};

// k == 0 leaves act(beta * C + bias); m == 0 or n == 0 does nothing.
//
// Sums are made of chains of at most 512 products, added one after the other. The result depends on
// the shape, the strides and the instruction set (cpu_isa()), not on the number of threads. Large
// products run on Tarn's threads; small ones (below about 10^5 multiply-adds) in the caller. Memory
// for repacked blocks of A and B comes from tarn::allocate; throws OutOfMemoryError only there,
// before C is touched.
void gemm(const GemmArgs<float>& args);
void gemm(const GemmArgs<double>& args);

}  // namespace tarn::cpu
