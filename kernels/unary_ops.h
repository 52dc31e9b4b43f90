// Elementary functions of one tensor. See pointwise_op.h for what each member means.
#pragma once

#include "tarn/kernels/pointwise_op.h"

namespace tarn::op {

// --- Unary: arithmetic ------------------------------------------------------------------------
struct Neg : Pointwise<1, Rule::kNumber> {
  static constexpr const char* kName = "neg";
  static constexpr bool kTensorBackward = true;
  template <class V>
  TARN_HD V forward(V x) const {
    if constexpr (std::is_same_v<V, int64_t>)
      return static_cast<V>(-static_cast<uint64_t>(x));
    else
      return -x;
  }
  template <class V>
  TARN_HD V backward(V g, V, V) const {
    return -g;
  }
};
struct Abs : Pointwise<1, Rule::kNumber> {
  static constexpr const char* kName = "abs";
  static constexpr unsigned kSaves[] = {kX};
  template <class V>
  TARN_HD V forward(V x) const {
    return abs(x);
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    return g * sign(x);
  }
};
struct Sign : Pointwise<1, Rule::kSame> {
  static constexpr const char* kName = "sign";
  static constexpr bool kTensorBackward = true;
  template <class V>
  TARN_HD V forward(V x) const {
    return sign(x);
  }
  template <class V>
  TARN_HD V backward(V g, V, V) const {
    return zero_of(g);
  }
};
struct Square : Pointwise<1, Rule::kSame> {
  static constexpr const char* kName = "square";
  static constexpr unsigned kSaves[] = {kX};
  template <class V>
  TARN_HD V forward(V x) const {
    return x * x;
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    return g * (x * Lit<V>(2));
  }
};
struct Reciprocal : Pointwise<1> {
  static constexpr const char* kName = "reciprocal";
  static constexpr unsigned kSaves[] = {kY};
  template <class V>
  TARN_HD V forward(V x) const {
    return Lit<V>(1) / x;
  }
  template <class V>
  TARN_HD V backward(V g, V, V y) const {
    return -g * (y * y);
  }
};
struct Sqrt : Pointwise<1> {
  static constexpr const char* kName = "sqrt";
  static constexpr unsigned kSaves[] = {kY};
  template <class V>
  TARN_HD V forward(V x) const {
    return sqrt(x);
  }
  template <class V>
  TARN_HD V backward(V g, V, V y) const {
    return g / (y * Lit<V>(2));
  }
};
struct Rsqrt : Pointwise<1> {
  static constexpr const char* kName = "rsqrt";
  static constexpr unsigned kSaves[] = {kY};
  template <class V>
  TARN_HD V forward(V x) const {
    return rsqrt(x);
  }
  template <class V>
  TARN_HD V backward(V g, V, V y) const {
    return g * (y * y * y) * Lit<V>(-0.5);
  }
};
// Integers pass through: rounding them changes nothing.
template <class Derived>
struct Rounding : Pointwise<1, Rule::kNumber> {
  static constexpr bool kTensorBackward = true;
  template <class V>
  TARN_HD V forward(V x) const {
    if constexpr (std::is_same_v<V, int64_t>)
      return x;
    else
      return Derived::round_to(x);
  }
  template <class V>
  TARN_HD V backward(V g, V, V) const {
    return zero_of(g);
  }
};
struct Floor : Rounding<Floor> {
  static constexpr const char* kName = "floor";
  template <class V>
  TARN_HD static V round_to(V x) {
    return floor(x);
  }
};
struct Ceil : Rounding<Ceil> {
  static constexpr const char* kName = "ceil";
  template <class V>
  TARN_HD static V round_to(V x) {
    return ceil(x);
  }
};
struct Round : Rounding<Round> {
  static constexpr const char* kName = "round";
  template <class V>
  TARN_HD static V round_to(V x) {
    return math::round(x);
  }
};
struct Trunc : Rounding<Trunc> {
  static constexpr const char* kName = "trunc";
  template <class V>
  TARN_HD static V round_to(V x) {
    return trunc(x);
  }
};
// Keeps [min, max]; a missing bound is the type's extreme.
struct Clamp : Pointwise<1, Rule::kSame> {
  static constexpr const char* kName = "clamp";
  static constexpr unsigned kSaves[] = {kX};
  Number min, max;
  template <class V>
  TARN_HD V forward(V x) const {
    // Bounds that are NaN make everything NaN, as PyTorch's do.
    const V high = max.as<V>(), low = min.as<V>();
    const V raised = x < low || low != low ? low : x;
    return raised > high || high != high ? high : raised;
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    return where(x >= min.as<V>(), where(x <= max.as<V>(), g, Lit<V>(0)), Lit<V>(0));
  }
};

// --- Unary: exponentials and trigonometry -----------------------------------------------------
struct Exp : Pointwise<1> {
  static constexpr const char* kName = "exp";
  static constexpr unsigned kSaves[] = {kY};
  template <class V>
  TARN_HD V forward(V x) const {
    return exp(x);
  }
  template <class V>
  TARN_HD V backward(V g, V, V y) const {
    return g * y;
  }
};
struct Expm1 : Pointwise<1> {
  static constexpr const char* kName = "expm1";
  static constexpr unsigned kSaves[] = {kY};
  template <class V>
  TARN_HD V forward(V x) const {
    return expm1(x);
  }
  template <class V>
  TARN_HD V backward(V g, V, V y) const {
    return g * (y + Lit<V>(1));
  }
};
struct Log : Pointwise<1> {
  static constexpr const char* kName = "log";
  static constexpr unsigned kSaves[] = {kX};
  static constexpr bool kTensorBackward = true;
  template <class V>
  TARN_HD V forward(V x) const {
    return log(x);
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    return g / x;
  }
};
struct Log2 : Pointwise<1> {
  static constexpr const char* kName = "log2";
  static constexpr unsigned kSaves[] = {kX};
  template <class V>
  TARN_HD V forward(V x) const {
    return log2(x);
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    return g / (x * Lit<V>(0.69314718055994530942));
  }
};
struct Log10 : Pointwise<1> {
  static constexpr const char* kName = "log10";
  static constexpr unsigned kSaves[] = {kX};
  template <class V>
  TARN_HD V forward(V x) const {
    return log10(x);
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    return g / (x * Lit<V>(2.30258509299404568402));
  }
};
struct Log1p : Pointwise<1> {
  static constexpr const char* kName = "log1p";
  static constexpr unsigned kSaves[] = {kX};
  template <class V>
  TARN_HD V forward(V x) const {
    return log1p(x);
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    return g / (x + Lit<V>(1));
  }
};
struct Sin : Pointwise<1> {
  static constexpr const char* kName = "sin";
  static constexpr unsigned kSaves[] = {kX};
  template <class V>
  TARN_HD V forward(V x) const {
    return sin(x);
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    return g * cos(x);
  }
};
struct Cos : Pointwise<1> {
  static constexpr const char* kName = "cos";
  static constexpr unsigned kSaves[] = {kX};
  template <class V>
  TARN_HD V forward(V x) const {
    return cos(x);
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    return -g * sin(x);
  }
};
struct Tan : Pointwise<1> {
  static constexpr const char* kName = "tan";
  static constexpr unsigned kSaves[] = {kY};
  template <class V>
  TARN_HD V forward(V x) const {
    return tan(x);
  }
  template <class V>
  TARN_HD V backward(V g, V, V y) const {
    return g * (y * y + Lit<V>(1));
  }
};
struct Asin : Pointwise<1> {
  static constexpr const char* kName = "asin";
  static constexpr unsigned kSaves[] = {kX};
  template <class V>
  TARN_HD V forward(V x) const {
    return asin(x);
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    return g * rsqrt(-x * x + Lit<V>(1));
  }
};
struct Acos : Pointwise<1> {
  static constexpr const char* kName = "acos";
  static constexpr unsigned kSaves[] = {kX};
  template <class V>
  TARN_HD V forward(V x) const {
    return acos(x);
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    return -g * rsqrt(-x * x + Lit<V>(1));
  }
};
struct Atan : Pointwise<1> {
  static constexpr const char* kName = "atan";
  static constexpr unsigned kSaves[] = {kX};
  template <class V>
  TARN_HD V forward(V x) const {
    return atan(x);
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    return g / (x * x + Lit<V>(1));
  }
};
struct Sinh : Pointwise<1> {
  static constexpr const char* kName = "sinh";
  static constexpr unsigned kSaves[] = {kX};
  template <class V>
  TARN_HD V forward(V x) const {
    return sinh(x);
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    return g * cosh(x);
  }
};
struct Cosh : Pointwise<1> {
  static constexpr const char* kName = "cosh";
  static constexpr unsigned kSaves[] = {kX};
  template <class V>
  TARN_HD V forward(V x) const {
    return cosh(x);
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    return g * sinh(x);
  }
};
struct Erf : Pointwise<1> {
  static constexpr const char* kName = "erf";
  static constexpr unsigned kSaves[] = {kX};
  template <class V>
  TARN_HD V forward(V x) const {
    return erf(x);
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    return g * (exp(-x * x) * Lit<V>(1.12837916709551257390));
  }
};
struct Erfc : Pointwise<1> {
  static constexpr const char* kName = "erfc";
  static constexpr unsigned kSaves[] = {kX};
  template <class V>
  TARN_HD V forward(V x) const {
    return erfc(x);
  }
  template <class V>
  TARN_HD V backward(V g, V x, V) const {
    return g * (exp(-x * x) * Lit<V>(-1.12837916709551257390));
  }
};

// --- Unary: tests -----------------------------------------------------------------------------
struct LogicalNot : NoGradient<1> {
  static constexpr const char* kName = "logical_not";
  template <class V>
  TARN_HD V forward(V x) const {
    return static_cast<V>(x == V{0});
  }
};
struct BitwiseNot : NoGradient<1, Rule::kInteger> {
  static constexpr const char* kName = "bitwise_not";
  template <class V>
  TARN_HD V forward(V x) const {
    return ~x;
  }
};
struct IsNan : NoGradient<1> {
  static constexpr const char* kName = "isnan";
  template <class V>
  TARN_HD V forward(V x) const {
    return static_cast<V>(x != x);
  }
};
struct IsInf : NoGradient<1> {
  static constexpr const char* kName = "isinf";
  template <class V>
  TARN_HD V forward(V x) const {
    return static_cast<V>(x == x && x - x != x - x);
  }
};
struct IsFinite : NoGradient<1> {
  static constexpr const char* kName = "isfinite";
  template <class V>
  TARN_HD V forward(V x) const {
    return static_cast<V>(x - x == x - x);
  }
};

using ElementaryOps =
    List<Neg, Abs, Sign, Square, Reciprocal, Sqrt, Rsqrt, Floor, Ceil, Round, Trunc, Clamp, Exp,
         Expm1, Log, Log2, Log10, Log1p, Sin, Cos, Tan, Asin, Acos, Atan, Sinh, Cosh, Erf, Erfc,
         LogicalNot, BitwiseNot, IsNan, IsInf, IsFinite>;

}  // namespace tarn::op
