// What pointwise kernels are given, and where the compiled ones are found.
#pragma once

#include "tarn/kernels/cuda/strided.h"

namespace tarn::cuda {

inline constexpr int kMaxInputs = 4;

// Kept apart: kernels need it a few times at most, and there are many of them.
template <class V>
__attribute__((noinline)) __device__ V load_one(const void* data, ScalarType dtype) {
  return load<V>(data, dtype, 0);
}

// Operands of a pointwise kernel that computes in V. Inputs that are one number for all elements
// are `single`: read once, from `number` where they come from the CPU's memory.
template <class V>
struct PointwiseOperands {
  void* out;
  const void* in[kMaxInputs];
  V number[kMaxInputs];
  unsigned single, on_host;  // bit k: in[k]
  ScalarType out_type, in_type[kMaxInputs];

  template <int kInputs>
  __device__ void load_singles(V (&values)[kInputs]) const {
    for (int k = 0; k < kInputs; ++k) {
      values[k] = number[k];
      if ((single & ~on_host) >> k & 1) values[k] = load_one<V>(in[k], in_type[k]);
    }
  }
};

// Launch the kernels of op number `op` over n elements in order, stored as T at multiples of 16
// bytes, and over any layout. `params` is the op.
template <class V>
using FlatPointwise = void (*)(const void* params, const PointwiseOperands<V>& operands, int64_t n);
template <class V>
using StridedPointwise = void (*)(const void* params, PointwiseOperands<V> operands,
                                  const StridedLoop& loop, const int64_t* items);
template <class V, class T>
FlatPointwise<V> flat_pointwise(int op);
template <class V>
StridedPointwise<V> strided_pointwise(int op);

}  // namespace tarn::cuda
