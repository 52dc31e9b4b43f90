// What a pointwise op is: one struct, from which kernels on every device, gradients of every order
// and tests are made.
//
// An op is a struct of its scalar parameters with
//   forward(a[, b[, c]])        evaluated in float, double or int64 by every device's kernel;
//   backward(g, a.., y)         the gradient of input a (backward_a, _b, _c if there are several)
//                               from the gradient g of the output y. Evaluated by the same kernels,
//                               and with V = Tensor under create_graph, so it is differentiable;
//   kSaves[i]                   what the i-th backward reads: inputs kX (or kA, kB, kC), output kY;
//   kRule                       which dtype the result has;
//   kDifferentiable = false     for ops without a gradient;
//   kTensorBackward = true      where the backward is at most one tensor operation, so that a
//                               fused kernel would win nothing.
// Adding one: the struct and its name in the list at the end of unary_ops.h, activation_ops.h or
// binary_ops.h, its line in core/ops.h, and a reference row in tests/core/op_reference.h.
#pragma once

#include "tarn/kernels/op_list.h"
#include "tarn/kernels/op_math.h"

namespace tarn::op {

using namespace math;

enum Saved : unsigned { kNothing = 0, kX = 1, kA = 1, kB = 2, kC = 4, kY = 8 };

enum class Rule {
  kSame,      // the promoted dtype of the inputs
  kNumber,    // the same, without bool
  kFloating,  // the same, but integers become the default dtype
  kBool,      // bool, computed in the promoted dtype
  kInteger,   // integers and bool only
  kSelect,    // the promoted dtype of all inputs but the first, which is a condition
};

// A parameter that is exact for integer and floating formulas alike.
struct Number {
  double floating = 0;
  int64_t integral = 0;
  template <class V>
  TARN_HD typename Literal<V>::type as() const {
    if constexpr (std::is_same_v<V, int64_t>) {
      return integral;
    } else {
      return Lit<V>(floating);
    }
  }
};

template <int Arity, Rule R = Rule::kFloating>
struct Pointwise {
  static constexpr int kArity = Arity;
  static constexpr Rule kRule = R;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kTensorBackward = false;
  static constexpr unsigned kSaves[3] = {kNothing, kNothing, kNothing};
};
template <int Arity, Rule R = Rule::kBool>
struct NoGradient : Pointwise<Arity, R> {
  static constexpr bool kDifferentiable = false;
};

// log(1 + e^x) without overflow.
template <class V>
TARN_HD V softplus1(const V& x) {
  return where(x > Lit<V>(0), x, Lit<V>(0)) + log1p(exp(-abs(x)));
}

}  // namespace tarn::op
