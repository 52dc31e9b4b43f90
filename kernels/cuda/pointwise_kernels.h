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

// All operands are stored as T, and 16 bytes of the output at a multiple of 16 meet 16 bytes of an
// input at such, or one element of an input that is `spread`, or an input that is single; the only
// input of an op is neither. A thread takes one of the index.count vectors: with several, or in a
// loop, fewer threads keep the memory less busy. `tail` elements follow the last vector.
template <class Op, class V, class T>
__global__ void __launch_bounds__(kBlockSize)
    vector_kernel(Op op, PointwiseOperands<V> operands, StridedIndex<1 + Op::kArity> index,
                  int tail) {
  constexpr int kInputs = Op::kArity, kSize = Vec<T>::kSize;
  constexpr bool kMixed = kInputs > 1;
  V single[kInputs];
  if constexpr (kMixed) operands.load_singles(single);
  const auto is_single = [&](int k) { return kMixed && (operands.single >> k & 1) != 0; };
  const auto is_spread = [&](int k) { return kMixed && (operands.spread >> k & 1) != 0; };
  const auto in = [&](int k) { return static_cast<const T*>(operands.in[k]); };
  T* const out = static_cast<T*>(operands.out);

  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < index.count) {
    int64_t at[1 + kInputs];
    if (index.ndim == 1 && !(kMixed && operands.spread != 0)) {
      for (int64_t& place : at) place = int64_t{i} * kSize;
    } else {
      index.offsets(i, at);
    }
    V x[kInputs][kSize];
    for (int k = 0; k < kInputs; ++k) {
      const auto from = [&] { return in(k) + at[1 + k]; };
      const bool same = is_single(k) || is_spread(k);
      Vec<T> some;
      if (!same) some = *reinterpret_cast<const Vec<T>*>(from());
      const V one = is_single(k) ? single[k] : same ? V(*from()) : V(0);
      for (int j = 0; j < kSize; ++j) x[k][j] = same ? one : V(some.v[j]);
    }
    Vec<T> y;
    for (int j = 0; j < kSize; ++j) y.v[j] = T(apply(op, [&](auto k) -> V { return x[k][j]; }));
    *reinterpret_cast<Vec<T>*>(out + at[0]) = y;
  } else if (i < index.count + tail) {
    const int64_t last = int64_t{i} + int64_t{index.count} * (kSize - 1);
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
void launch_vectors(const void* params, PointwiseOperands<V> operands, const StridedLoop& loop,
                    const int64_t* items) {
  constexpr int kSize = Vec<T>::kSize;
  Walk<1 + Op::kArity> vectors(loop, items);
  const int tail = static_cast<int>(vectors.size[0] % kSize);
  vectors.size[0] /= kSize;
  vectors.numel /= kSize;
  for (int64_t& stride : vectors.stride[0]) stride *= kSize;
  int64_t left = vectors.numel;
  for_each_part(vectors, [&](const StridedIndex<1 + Op::kArity>& index, void* const* data) {
    operands.place(data, Op::kArity);
    left -= index.count;
    const int rest = left == 0 ? tail : 0;
    launch(vector_kernel<Op, V, T>, blocks_for(index.count + rest), kBlockSize, 0,
           *static_cast<const Op*>(params), operands, index, rest);
  });
}

template <class Op, class V>
void launch_strided(const void* params, PointwiseOperands<V> operands, const StridedLoop& loop,
                    const int64_t* items) {
  for_each_part<1 + Op::kArity>(loop, items, [&](const auto& index, void* const* data) {
    operands.place(data, Op::kArity);
    launch(strided_kernel<Op, V>, blocks_for(index.count / 2 + 1), kBlockSize, 0,
           *static_cast<const Op*>(params), operands, index);
  });
}

template <class V, class T, class Op>
constexpr PointwiseLauncher<V> vector_launcher() {
  if constexpr (op::kComputesIn<V, Op>)
    return &launch_vectors<Op, V, T>;
  else
    return nullptr;
}
template <class V, class Op>
constexpr PointwiseLauncher<V> strided_launcher() {
  if constexpr (op::kComputesIn<V, Op>)
    return &launch_strided<Op, V>;
  else
    return nullptr;
}

template <class V, class T, class... Ops>
PointwiseLauncher<V> select_vector(int op, List<Ops...>) {
  static constexpr PointwiseLauncher<V> kLaunchers[] = {vector_launcher<V, T, Ops>()...};
  return kLaunchers[op];
}
template <class V, class... Ops>
PointwiseLauncher<V> select_strided(int op, List<Ops...>) {
  static constexpr PointwiseLauncher<V> kLaunchers[] = {strided_launcher<V, Ops>()...};
  return kLaunchers[op];
}

}  // namespace tarn::cuda::detail

// Definitions of pointwise.h's functions, for the files that share the compiling.
#define TARN_VECTOR_POINTWISE(V, T)                                               \
  template <>                                                                     \
  ::tarn::cuda::PointwiseLauncher<V> tarn::cuda::vector_pointwise<V, T>(int op) { \
    return detail::select_vector<V, T>(op, ::tarn::op::PointwiseKernels{});       \
  }
#define TARN_STRIDED_POINTWISE(V)                                               \
  template <>                                                                   \
  ::tarn::cuda::PointwiseLauncher<V> tarn::cuda::strided_pointwise<V>(int op) { \
    return detail::select_strided<V>(op, ::tarn::op::PointwiseKernels{});       \
  }
