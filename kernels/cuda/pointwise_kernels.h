// The kernels of all pointwise ops, compiled for one compute type by each pointwise_*.cu.
#pragma once

#include <type_traits>
#include <utility>

#include "tarn/kernels/cuda/launch.h"
#include "tarn/kernels/cuda/pointwise.h"
#include "tarn/kernels/cuda/strided.h"
#include "tarn/kernels/pointwise_ops.h"

namespace tarn::cuda::detail {

// op.forward of the inputs that pick(0), pick(1), ... give.
template <class Op, class Pick, size_t... I>
TARN_HD auto apply(const Op& op, Pick&& pick, std::index_sequence<I...>) {
  return op.forward(pick(std::integral_constant<int, I>{})...);
}
template <class Op, class Pick>
TARN_HD auto apply(const Op& op, Pick&& pick) {
  return apply(op, pick, std::make_index_sequence<Op::kArity>{});
}

// Everything is in order and stored as T at multiples of 16 bytes, or single.
template <class Op, class V, class T>
__global__ void __launch_bounds__(kBlockSize)
    flat_kernel(Op op, PointwiseOperands<V> operands, int64_t n) {
  constexpr int kInputs = Op::kArity, kSize = Vec<T>::kSize;
  constexpr int kUnroll = kInputs == 1 && kSize <= 4 ? 4 : 2;  // vectors on their way at once
  V single[kInputs];
  operands.load_singles(single);
  const auto is_single = [&](int k) { return (operands.single >> k & 1) != 0; };
  const auto in = [&](int k) { return static_cast<const T*>(operands.in[k]); };
  T* const out = static_cast<T*>(operands.out);

  const int64_t thread = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const int64_t threads = int64_t{gridDim.x} * blockDim.x;
  const int64_t vectors = n / kSize;
  for (int64_t first = thread; first < vectors; first += threads * kUnroll) {
    Vec<T> x[kInputs][kUnroll] = {};
    for (int k = 0; k < kInputs; ++k) {
      if (is_single(k)) continue;
      for (int u = 0; u < kUnroll; ++u) {
        const int64_t i = first + u * threads;
        if (i < vectors) x[k][u] = reinterpret_cast<const Vec<T>*>(in(k))[i];
      }
    }
    for (int u = 0; u < kUnroll; ++u) {
      const int64_t i = first + u * threads;
      if (i >= vectors) break;
      Vec<T> y;
      for (int j = 0; j < kSize; ++j) {
        y.v[j] =
            T(apply(op, [&](auto k) -> V { return is_single(k) ? single[k] : V(x[k][u].v[j]); }));
      }
      reinterpret_cast<Vec<T>*>(out)[i] = y;
    }
  }
  const int64_t last = vectors * kSize + thread;
  if (last < n) {
    out[last] =
        T(apply(op, [&](auto k) -> V { return is_single(k) ? single[k] : V(in(k)[last]); }));
  }
}

// Any dtypes and strides.
template <class Op, class V>
__global__ void __launch_bounds__(kBlockSize)
    strided_kernel(Op op, PointwiseOperands<V> operands, StridedIndex<1 + Op::kArity> index) {
  constexpr int kInputs = Op::kArity, kUnroll = 2;  // elements on their way at once
  static_assert(kUnroll == 2, "store() below counts to 2");
  V single[kInputs];
  operands.load_singles(single);
  const uint64_t threads = uint64_t{gridDim.x} * blockDim.x;
  for (uint64_t first = uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; first < index.count;
       first += threads * kUnroll) {
    int64_t at[kUnroll][1 + kInputs];
    V x[kInputs][kUnroll];
    for (int u = 0; u < kUnroll; ++u) {
      const uint64_t i = first + u * threads;
      index.offsets(static_cast<uint32_t>(i < index.count ? i : first), at[u]);
    }
    for (int k = 0; k < kInputs; ++k) {
      if (operands.single >> k & 1) {
        for (int u = 0; u < kUnroll; ++u) x[k][u] = single[k];
        continue;
      }
      load(x[k], operands.in[k], operands.in_type[k], at, 1 + k);
    }
    V y[kUnroll];
    for (int u = 0; u < kUnroll; ++u) {
      y[u] = apply(op, [&](auto k) -> V { return x[k][u]; });
    }
    store(operands.out, operands.out_type, at, 0, y, first + threads < index.count ? 2 : 1);
  }
}

template <class Op, class V, class T>
void launch_flat(const void* params, const PointwiseOperands<V>& operands, int64_t n) {
  launch(flat_kernel<Op, V, T>, blocks_for(n / (2 * Vec<T>::kSize) + 1), kBlockSize, 0,
         *static_cast<const Op*>(params), operands, n);
}

template <class Op, class V>
void launch_strided(const void* params, PointwiseOperands<V> operands, const StridedLoop& loop,
                    const int64_t* items) {
  for_each_part<1 + Op::kArity>(loop, items, [&](const auto& index, void* const* data) {
    operands.out = data[0];
    for (int k = 0; k < Op::kArity; ++k) {
      if (operands.in[k] != nullptr) operands.in[k] = data[1 + k];
    }
    launch(strided_kernel<Op, V>, blocks_for(index.count / 2 + 1), kBlockSize, 0,
           *static_cast<const Op*>(params), operands, index);
  });
}

template <class V, class T, class Op>
constexpr FlatPointwise<V> flat_launcher() {
  if constexpr (op::kComputesIn<V, Op>)
    return &launch_flat<Op, V, T>;
  else
    return nullptr;
}
template <class V, class Op>
constexpr StridedPointwise<V> strided_launcher() {
  if constexpr (op::kComputesIn<V, Op>)
    return &launch_strided<Op, V>;
  else
    return nullptr;
}

template <class V, class T, class... Ops>
FlatPointwise<V> select_flat(int op, List<Ops...>) {
  static constexpr FlatPointwise<V> kLaunchers[] = {flat_launcher<V, T, Ops>()...};
  return kLaunchers[op];
}
template <class V, class... Ops>
StridedPointwise<V> select_strided(int op, List<Ops...>) {
  static constexpr StridedPointwise<V> kLaunchers[] = {strided_launcher<V, Ops>()...};
  return kLaunchers[op];
}

}  // namespace tarn::cuda::detail

// Definitions of pointwise.h's functions, for the files that share the compiling.
#define TARN_FLAT_POINTWISE(V, T)                                           \
  template <>                                                               \
  ::tarn::cuda::FlatPointwise<V> tarn::cuda::flat_pointwise<V, T>(int op) { \
    return detail::select_flat<V, T>(op, ::tarn::op::PointwiseKernels{});   \
  }
#define TARN_STRIDED_POINTWISE(V)                                              \
  template <>                                                                  \
  ::tarn::cuda::StridedPointwise<V> tarn::cuda::strided_pointwise<V>(int op) { \
    return detail::select_strided<V>(op, ::tarn::op::PointwiseKernels{});      \
  }
