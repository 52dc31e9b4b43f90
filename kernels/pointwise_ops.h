// The registry of pointwise kernels: every op, then every backward that is a kernel of its own.
#pragma once

#include <bit>

#include "tarn/kernels/activation_ops.h"
#include "tarn/kernels/binary_ops.h"
#include "tarn/kernels/unary_ops.h"

namespace tarn::op {

// The gradient of input I of Op, as a pointwise op over (g, what it saves...). It has the
// parameters of Op, so the same params pointer serves both.
template <class Op, int I>
struct Gradient : Op {
  static constexpr unsigned kMask = Op::kSaves[I];
  static constexpr int kArity = 1 + std::popcount(kMask);
  static constexpr Rule kRule = Rule::kFloating;

  template <class V, class... Saved>
  TARN_HD V forward(V g, Saved... saved) const {
    const V given[] = {saved..., V{}};
    int next = 0;
    const V a = kMask & kA ? given[next++] : V{};
    const V b = kMask & kB ? given[next++] : V{};
    const V c = kMask & kC ? given[next++] : V{};
    const V y = kMask & kY ? given[next++] : V{};
    return gradient<I>(static_cast<const Op&>(*this), g, a, b, c, y);
  }
};

// The op's backward for input I, whatever the number of inputs.
template <int I, class Op, class V>
TARN_HD V gradient(const Op& op, const V& g, const V& a, const V& b, const V& c, const V& y) {
  if constexpr (Op::kArity == 1) {
    return op.backward(g, a, y);
  } else if constexpr (Op::kArity == 2) {
    if constexpr (I == 0)
      return op.backward_a(g, a, b, y);
    else
      return op.backward_b(g, a, b, y);
  } else {
    if constexpr (I == 0)
      return op.backward_a(g, a, b, c, y);
    else if constexpr (I == 1)
      return op.backward_b(g, a, b, c, y);
    else
      return op.backward_c(g, a, b, c, y);
  }
}

// Whether the compute type of Op may be V: there is a kernel for these only.
template <class V, class Op>
inline constexpr bool kComputesIn =
    std::is_same_v<V, int64_t> ? Op::kRule != Rule::kFloating : Op::kRule != Rule::kInteger;

namespace detail {

template <class... Lists>
struct Join;
template <class... A>
struct Join<List<A...>> {
  using type = List<A...>;
};
template <class... A, class... B, class... Rest>
struct Join<List<A...>, List<B...>, Rest...> : Join<List<A..., B...>, Rest...> {};

template <class Op, bool HasKernel = Op::kDifferentiable && !Op::kTensorBackward,
          int Arity = Op::kArity>
struct GradientsOf {
  using type = List<>;
};
template <class Op>
struct GradientsOf<Op, true, 1> {
  using type = List<Gradient<Op, 0>>;
};
template <class Op>
struct GradientsOf<Op, true, 2> {
  using type = List<Gradient<Op, 0>, Gradient<Op, 1>>;
};
template <class Op>
struct GradientsOf<Op, true, 3> {
  using type = List<Gradient<Op, 0>, Gradient<Op, 1>, Gradient<Op, 2>>;
};

template <class L>
struct AllGradients;
template <class... Ops>
struct AllGradients<List<Ops...>> : Join<List<>, typename GradientsOf<Ops>::type...> {};

}  // namespace detail

using UnaryOps = detail::Join<ElementaryOps, ActivationOps>::type;
using PointwiseOps = detail::Join<UnaryOps, BinaryOps, TernaryOps>::type;
// PointwiseArgs::op counts along this list.
using PointwiseKernels = detail::Join<PointwiseOps, detail::AllGradients<PointwiseOps>::type>::type;

}  // namespace tarn::op
