// Pointwise ops of two and three tensors. See pointwise_op.h for what each member means.
#pragma once

#include "tarn/kernels/pointwise_op.h"

namespace tarn::op {

// --- Binary: arithmetic -----------------------------------------------------------------------
struct Add : Pointwise<2, Rule::kSame> {  // a + alpha b
  static constexpr const char* kName = "add";
  static constexpr bool kTensorBackward = true;
  Number alpha{1, 1};
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return a + b * alpha.as<V>();
  }
  template <class V>
  TARN_HD V backward_a(V g, V, V, V) const {
    return g;
  }
  template <class V>
  TARN_HD V backward_b(V g, V, V, V) const {
    if (alpha.floating == 1) return g;
    return g * alpha.as<V>();
  }
};
struct Mul : Pointwise<2, Rule::kSame> {
  static constexpr const char* kName = "mul";
  static constexpr unsigned kSaves[] = {kB, kA};
  static constexpr bool kTensorBackward = true;
  template <class V>
  TARN_HD V forward(V a, V b) const {
    if constexpr (std::is_same_v<V, int64_t>)
      return static_cast<V>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
    else
      return a * b;
  }
  template <class V>
  TARN_HD V backward_a(V g, V, V b, V) const {
    return g * b;
  }
  template <class V>
  TARN_HD V backward_b(V g, V a, V, V) const {
    return g * a;
  }
};
struct Div : Pointwise<2> {
  static constexpr const char* kName = "div";
  static constexpr unsigned kSaves[] = {kB, kA | kB};
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return a / b;
  }
  template <class V>
  TARN_HD V backward_a(V g, V, V b, V) const {
    return g / b;
  }
  template <class V>
  TARN_HD V backward_b(V g, V a, V b, V) const {
    return -g * ((a / b) / b);
  }
};
// Integer divisors must not be 0: the caller checks.
struct FloorDivide : NoGradient<2, Rule::kSame> {
  static constexpr const char* kName = "floor_divide";
  template <class V>
  TARN_HD V forward(V a, V b) const {
    if constexpr (std::is_same_v<V, int64_t>) {
      if (b == -1) return static_cast<V>(-static_cast<uint64_t>(a));
      return a / b - ((a % b != 0) && ((a < 0) != (b < 0)) ? 1 : 0);
    } else {
      // By way of the remainder: a / b may round up to the next integer.
      if (b == V{0}) return a / b;
      const V r = fmod(a, b);
      const V q = (a - r) / b - static_cast<V>(r != V{0} && (b < V{0}) != (r < V{0}));
      const V whole = floor(q);
      return whole + static_cast<V>(q - whole > V(0.5));
    }
  }
};
struct TruncDivide : NoGradient<2, Rule::kSame> {
  static constexpr const char* kName = "trunc_divide";
  template <class V>
  TARN_HD V forward(V a, V b) const {
    if constexpr (std::is_same_v<V, int64_t>) {
      return b == -1 ? static_cast<V>(-static_cast<uint64_t>(a)) : a / b;
    } else {
      return trunc(a / b);
    }
  }
};
struct Remainder : Pointwise<2, Rule::kNumber> {
  static constexpr const char* kName = "remainder";
  static constexpr unsigned kSaves[] = {kNothing, kA | kB};
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return remainder(a, b);
  }
  template <class V>
  TARN_HD V backward_a(V g, V, V, V) const {
    return g;
  }
  template <class V>
  TARN_HD V backward_b(V g, V a, V b, V) const {
    return -g * floor(a / b);
  }
};
struct Fmod : Pointwise<2, Rule::kNumber> {
  static constexpr const char* kName = "fmod";
  static constexpr unsigned kSaves[] = {kNothing, kA | kB};
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return fmod(a, b);
  }
  template <class V>
  TARN_HD V backward_a(V g, V, V, V) const {
    return g;
  }
  template <class V>
  TARN_HD V backward_b(V g, V a, V b, V) const {
    return -g * trunc(a / b);
  }
};
struct Pow : Pointwise<2, Rule::kSame> {
  static constexpr const char* kName = "pow";
  static constexpr unsigned kSaves[] = {kA | kB, kA | kB | kY};
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return pow(a, b);
  }
  template <class V>
  TARN_HD V backward_a(V g, V a, V b, V) const {
    return where(b == Lit<V>(0), Lit<V>(0), g * (b * pow(a, b - Lit<V>(1))));
  }
  template <class V>
  TARN_HD V backward_b(V g, V a, V b, V y) const {
    const V slope = g * (y * log(a));
    return where(a == Lit<V>(0), where(b >= Lit<V>(0), Lit<V>(0), slope), slope);
  }
};
struct Atan2 : Pointwise<2> {
  static constexpr const char* kName = "atan2";
  static constexpr unsigned kSaves[] = {kA | kB, kA | kB};
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return atan2(a, b);
  }
  template <class V>
  TARN_HD V backward_a(V g, V a, V b, V) const {
    return g * (b / (a * a + b * b));
  }
  template <class V>
  TARN_HD V backward_b(V g, V a, V b, V) const {
    return -g * (a / (a * a + b * b));
  }
};
// Where both are equal each takes half of the gradient.
struct Maximum : Pointwise<2, Rule::kSame> {
  static constexpr const char* kName = "maximum";
  static constexpr unsigned kSaves[] = {kA | kB, kA | kB};
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return max(a, b);
  }
  template <class V>
  TARN_HD V backward_a(V g, V a, V b, V) const {
    return where(a == b, g * Lit<V>(0.5), where(a < b, Lit<V>(0), g));
  }
  template <class V>
  TARN_HD V backward_b(V g, V a, V b, V) const {
    return backward_a(g, b, a, g);
  }
};
struct Minimum : Pointwise<2, Rule::kSame> {
  static constexpr const char* kName = "minimum";
  static constexpr unsigned kSaves[] = {kA | kB, kA | kB};
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return min(a, b);
  }
  template <class V>
  TARN_HD V backward_a(V g, V a, V b, V) const {
    return where(a == b, g * Lit<V>(0.5), where(a > b, Lit<V>(0), g));
  }
  template <class V>
  TARN_HD V backward_b(V g, V a, V b, V) const {
    return backward_a(g, b, a, g);
  }
};

// --- Binary: comparison and logic -------------------------------------------------------------
struct Eq : NoGradient<2> {
  static constexpr const char* kName = "eq";
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return static_cast<V>(a == b);
  }
};
struct Ne : NoGradient<2> {
  static constexpr const char* kName = "ne";
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return static_cast<V>(a != b);
  }
};
struct Lt : NoGradient<2> {
  static constexpr const char* kName = "lt";
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return static_cast<V>(a < b);
  }
};
struct Le : NoGradient<2> {
  static constexpr const char* kName = "le";
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return static_cast<V>(a <= b);
  }
};
struct Gt : NoGradient<2> {
  static constexpr const char* kName = "gt";
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return static_cast<V>(a > b);
  }
};
struct Ge : NoGradient<2> {
  static constexpr const char* kName = "ge";
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return static_cast<V>(a >= b);
  }
};
struct LogicalAnd : NoGradient<2> {
  static constexpr const char* kName = "logical_and";
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return static_cast<V>((a != V{0}) & (b != V{0}));
  }
};
struct LogicalOr : NoGradient<2> {
  static constexpr const char* kName = "logical_or";
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return static_cast<V>((a != V{0}) | (b != V{0}));
  }
};
struct LogicalXor : NoGradient<2> {
  static constexpr const char* kName = "logical_xor";
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return static_cast<V>((a != V{0}) != (b != V{0}));
  }
};
struct BitwiseAnd : NoGradient<2, Rule::kInteger> {
  static constexpr const char* kName = "bitwise_and";
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return a & b;
  }
};
struct BitwiseOr : NoGradient<2, Rule::kInteger> {
  static constexpr const char* kName = "bitwise_or";
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return a | b;
  }
};
struct BitwiseXor : NoGradient<2, Rule::kInteger> {
  static constexpr const char* kName = "bitwise_xor";
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return a ^ b;
  }
};

// --- Binary: losses of one prediction a and its target b ---------------------------------------
struct SquaredError : Pointwise<2> {
  static constexpr const char* kName = "squared_error";
  static constexpr unsigned kSaves[] = {kA | kB, kA | kB};
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return (a - b) * (a - b);
  }
  template <class V>
  TARN_HD V backward_a(V g, V a, V b, V) const {
    return g * ((a - b) * Lit<V>(2));
  }
  template <class V>
  TARN_HD V backward_b(V g, V a, V b, V) const {
    return g * ((b - a) * Lit<V>(2));
  }
};
// Quadratic up to a distance of `beta`, linear beyond. scale is 1 / beta for smooth L1, 1 for
// Huber.
struct SmoothError : Pointwise<2> {
  static constexpr const char* kName = "smooth_error";
  static constexpr unsigned kSaves[] = {kA | kB, kA | kB};
  double beta = 1, scale = 1;
  template <class V>
  TARN_HD V forward(V a, V b) const {
    const V d = abs(a - b);
    return (d < Lit<V>(beta) ? d * d * Lit<V>(0.5) : (d - Lit<V>(0.5 * beta)) * Lit<V>(beta)) *
           Lit<V>(scale);
  }
  template <class V>
  TARN_HD V backward_a(V g, V a, V b, V) const {
    const V d = a - b;
    return g * where(abs(d) < Lit<V>(beta), d, sign(d) * Lit<V>(beta)) * Lit<V>(scale);
  }
  template <class V>
  TARN_HD V backward_b(V g, V a, V b, V) const {
    return backward_a(g, b, a, g);
  }
};
// Cross entropy of sigmoid(a) against the probability b, without forming sigmoid(a).
struct BceWithLogits : Pointwise<2> {
  static constexpr const char* kName = "binary_cross_entropy_with_logits";
  static constexpr unsigned kSaves[] = {kA | kB, kA};
  template <class V>
  TARN_HD V forward(V a, V b) const {
    return softplus1(a) - a * b;
  }
  template <class V>
  TARN_HD V backward_a(V g, V a, V b, V) const {
    return g * (sigmoid(a) - b);
  }
  template <class V>
  TARN_HD V backward_b(V g, V a, V, V) const {
    return -g * a;
  }
};

// --- Ternary -----------------------------------------------------------------------------------
struct Where : Pointwise<3, Rule::kSelect> {  // a != 0 ? b : c
  static constexpr const char* kName = "where";
  static constexpr unsigned kSaves[] = {kNothing, kA, kA};
  static constexpr bool kTensorBackward = true;
  template <class V>
  TARN_HD V forward(V a, V b, V c) const {
    return a != V{0} ? b : c;
  }
  // A condition has no gradient: it is a bool, to which none flows.
  template <class V>
  TARN_HD V backward_a(V g, V, V, V, V) const {
    return g;
  }
  template <class V>
  TARN_HD V backward_b(V g, V a, V, V, V) const {
    return where(a, g, Lit<V>(0));
  }
  template <class V>
  TARN_HD V backward_c(V g, V a, V, V, V) const {
    return where(a, Lit<V>(0), g);
  }
};
struct Lerp : Pointwise<3> {  // a + c (b - a)
  static constexpr const char* kName = "lerp";
  static constexpr unsigned kSaves[] = {kC, kC, kA | kB};
  template <class V>
  TARN_HD V forward(V a, V b, V c) const {
    return abs(c) < V(0.5) ? a + c * (b - a) : b - (b - a) * (V{1} - c);
  }
  template <class V>
  TARN_HD V backward_a(V g, V, V, V c, V) const {
    return g * (-c + Lit<V>(1));
  }
  template <class V>
  TARN_HD V backward_b(V g, V, V, V c, V) const {
    return g * c;
  }
  template <class V>
  TARN_HD V backward_c(V g, V a, V b, V, V) const {
    return g * (b - a);
  }
};
struct Addcmul : Pointwise<3, Rule::kSame> {  // a + value b c
  static constexpr const char* kName = "addcmul";
  static constexpr unsigned kSaves[] = {kNothing, kC, kB};
  Number value{1, 1};
  template <class V>
  TARN_HD V forward(V a, V b, V c) const {
    return a + value.as<V>() * b * c;
  }
  template <class V>
  TARN_HD V backward_a(V g, V, V, V, V) const {
    return g;
  }
  template <class V>
  TARN_HD V backward_b(V g, V, V, V c, V) const {
    return g * (c * value.as<V>());
  }
  template <class V>
  TARN_HD V backward_c(V g, V, V b, V, V) const {
    return g * (b * value.as<V>());
  }
};
struct Addcdiv : Pointwise<3> {  // a + value b / c
  static constexpr const char* kName = "addcdiv";
  static constexpr unsigned kSaves[] = {kNothing, kC, kB | kC};
  Number value{1, 1};
  template <class V>
  TARN_HD V forward(V a, V b, V c) const {
    return a + value.as<V>() * b / c;
  }
  template <class V>
  TARN_HD V backward_a(V g, V, V, V, V) const {
    return g;
  }
  template <class V>
  TARN_HD V backward_b(V g, V, V, V c, V) const {
    return g * value.as<V>() / c;
  }
  template <class V>
  TARN_HD V backward_c(V g, V, V b, V c, V) const {
    return -g * (b / (c * c) * value.as<V>());
  }
};

using BinaryOps = List<Add, Mul, Div, FloorDivide, TruncDivide, Remainder, Fmod, Pow, Atan2,
                       Maximum, Minimum, Eq, Ne, Lt, Le, Gt, Ge, LogicalAnd, LogicalOr, LogicalXor,
                       BitwiseAnd, BitwiseOr, BitwiseXor, SquaredError, SmoothError, BceWithLogits>;
using TernaryOps = List<Where, Lerp, Addcmul, Addcdiv>;

}  // namespace tarn::op
