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
// are `single`: read once, from `number` where they come from the CPU's memory. Those that are one
// number for neighbouring elements, and another for others, are `spread`.
template <class V>
struct PointwiseOperands {
  void* out;
  const void* in[kMaxInputs];
  V number[kMaxInputs];
  unsigned single, on_host, spread;  // bit k: in[k]
  ScalarType out_type, in_type[kMaxInputs];

  // Sets where the operands are, output first.
  void place(void* const* data, int inputs) {
    out = data[0];
    for (int k = 0; k < inputs; ++k) {
      if (in[k] != nullptr) in[k] = data[1 + k];
    }
  }
  template <int kInputs>
  __device__ void load_singles(V (&values)[kInputs]) const {
    for (int k = 0; k < kInputs; ++k) {
      values[k] = number[k];
      if ((single & ~on_host) >> k & 1) values[k] = load_one<V>(in[k], in_type[k]);
    }
  }
};

// Launches the kernel of an op, `params`.
template <class V>
using PointwiseLauncher = void (*)(const void* params, PointwiseOperands<V> operands,
                                   const StridedLoop& loop, const int64_t* items);
// That of op number `op` over vectors of T as vector_kernel takes them, and over any layout.
template <class V, class T>
PointwiseLauncher<V> vector_pointwise(int op);
template <class V>
PointwiseLauncher<V> strided_pointwise(int op);

}  // namespace tarn::cuda
