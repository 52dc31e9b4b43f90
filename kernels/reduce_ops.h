// Every reduction, written once: how elements are folded into a state, how states merge, what the
// state finally means, and the gradient. Adding one takes a struct here, its name in ReduceOps, its
// public function in core/ops.h and its reference row in the tests.
//
// An op is a trivially copyable struct of its parameters with
//   kName, kTraits
//   identity<A>()        the state of nothing; a number, or a struct like Moments
//   combine(s, x)        s with one more element; ops with kTraits.indexed also get its index, and
//                        see rising indices
//   merge(s, t)          two states as one
//   finish(s, count)     the result of `count` elements
//   first(x)             optional: the state of one element, where that is not combine(identity, x)
//   visit(f)             optional, instead of the five: f(an op without choices in its loop)
//   backward(g, x, y, context)   the gradient of x as a tensor expression, if it is differentiable.
//       Only core/ instantiates it, with T = Tensor. g and y keep the reduced dimensions with size
//       1; what is returned may too (it is expanded to the shape of x). context.count is the number
//       of elements per result and context.sum(t) sums over the same dimensions with keepdim.
// A is the type of accumulation: int64_t for integers and bool; for floats the compute type, but on
// the CPU double for float unless kTraits.exact. There every sum of floats is exact to the last
// bits of a double. On CUDA, which adds at most 16 in a row and those by halves, a sum of n is
// off by at most about 16 + log2(n) roundings of the sum of the absolute values.
#pragma once

#include <cstdint>
#include <limits>
#include <tuple>
#include <type_traits>

#include "tarn/kernels/dtype.h"
#include "tarn/kernels/host_device.h"
#include "tarn/kernels/op_list.h"
#include "tarn/kernels/op_math.h"

namespace tarn {

// The dtype of a reduction's result.
enum class ReduceResult : int8_t {
  kPromoteInts,  // integers and bool give Long, floats stay
  kSame,
  kFloating,  // floats only
  kBool,      // Bool, but Byte for Byte, as PyTorch
  kIndex,     // Long
};
// Applies the rule. Throws TypeError "mean(): could not infer output dtype. ..." for kFloating of
// integers.
ScalarType reduce_result_type(ReduceResult rule, const char* op_name, ScalarType input);
// Throws what PyTorch says when an op with traits.needs_elements gets none: IndexError "max():
// Expected reduction dim 1 to have non-zero size." or, for dim < 0 (all dimensions), "max():
// Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the
// 'dim' argument."
[[noreturn]] void fail_empty_reduction(const char* op_name, int64_t dim);

struct ReduceTraits {
  ReduceResult result;
  bool exact = false;           // states are elements or flags: nothing is rounded
  bool indexed = false;         // combine wants the element's index
  bool needs_elements = false;  // no result for zero elements
  bool differentiable = true;
  bool backward_reads = true;  // backward looks at x or y, which are then kept for it
};

namespace op {

using namespace math;

namespace detail {

// Integers wrap around, as PyTorch's.
template <class A>
TARN_HD A add(A a, A b) {
  if constexpr (std::is_integral_v<A>) {
    return static_cast<A>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  } else {
    return a + b;
  }
}
template <class A>
TARN_HD A multiply(A a, A b) {
  if constexpr (std::is_integral_v<A>) {
    return static_cast<A>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  } else {
    return a * b;
  }
}
template <class A>
TARN_HD A highest() {
  using Limits = std::numeric_limits<A>;
  return Limits::has_infinity ? Limits::infinity() : Limits::max();
}
template <class A>
TARN_HD A lowest() {
  using Limits = std::numeric_limits<A>;
  return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
}
// The gradient of an extreme value: shared evenly by the elements that reach it (PyTorch: amax).
template <class T>
T share_evenly(const T& g, const auto& reached, const auto& context) {
  return where(reached, g / context.sum(reached), Lit<T>(0));
}

}  // namespace detail

struct SumStates {
  template <class A>
  TARN_HD A identity() const {
    return A(0);
  }
  TARN_HD auto combine(auto s, auto x) const { return detail::add(s, x); }
  TARN_HD auto merge(auto s, auto t) const { return detail::add(s, t); }
};

struct Sum : SumStates {
  static constexpr const char* kName = "sum";
  static constexpr ReduceTraits kTraits = {.result = ReduceResult::kPromoteInts,
                                           .backward_reads = false};
  TARN_HD auto finish(auto s, int64_t) const { return s; }
  template <class T>
  T backward(const T& g, const T&, const T&, const auto&) const {
    return g;
  }
};

struct Mean : SumStates {
  static constexpr const char* kName = "mean";
  static constexpr ReduceTraits kTraits = {.result = ReduceResult::kFloating,
                                           .backward_reads = false};
  TARN_HD auto finish(auto s, int64_t count) const { return s / static_cast<decltype(s)>(count); }
  template <class T>
  T backward(const T& g, const T&, const T&, const auto& context) const {
    return g / Lit<T>(static_cast<double>(context.count));
  }
};

// Its gradient, the product of all other elements, is composed in core/.
struct Prod {
  static constexpr const char* kName = "prod";
  static constexpr ReduceTraits kTraits = {.result = ReduceResult::kPromoteInts,
                                           .differentiable = false};
  template <class A>
  TARN_HD A identity() const {
    return A(1);
  }
  TARN_HD auto combine(auto s, auto x) const { return detail::multiply(s, x); }
  TARN_HD auto merge(auto s, auto t) const { return detail::multiply(s, t); }
  TARN_HD auto finish(auto s, int64_t) const { return s; }
};

// The largest (kSign 1) or smallest (kSign -1) element; NaN if an element is.
template <int kSign>
struct Extreme {
  static constexpr const char* kName = kSign > 0 ? "max" : "min";
  static constexpr ReduceTraits kTraits = {
      .result = ReduceResult::kSame, .exact = true, .needs_elements = true};
  template <class A>
  TARN_HD A identity() const {
    return kSign > 0 ? detail::lowest<A>() : detail::highest<A>();
  }
  TARN_HD auto combine(auto s, auto x) const { return kSign > 0 ? max(s, x) : min(s, x); }
  TARN_HD auto merge(auto s, auto t) const { return combine(s, t); }
  TARN_HD auto finish(auto s, int64_t) const { return s; }
  template <class T>
  T backward(const T& g, const T& x, const T& y, const auto& context) const {
    return detail::share_evenly(g, x == y, context);
  }
};
using Max = Extreme<1>;
using Min = Extreme<-1>;

// An element and where it is.
template <class A>
struct Place {
  A value;
  int64_t index;
  static constexpr auto fields() { return std::make_tuple(&Place::value, &Place::index); }
};

// The index, in row-major order of the reduced dimensions, of the first element that is the largest
// (kSign 1) or smallest (kSign -1); NaN counts as more extreme than anything.
template <int kSign>
struct ArgExtreme {
  static constexpr const char* kName = kSign > 0 ? "argmax" : "argmin";
  static constexpr ReduceTraits kTraits = {.result = ReduceResult::kIndex,
                                           .exact = true,
                                           .indexed = true,
                                           .needs_elements = true,
                                           .differentiable = false};
  template <class A>
  TARN_HD Place<A> identity() const {
    return {Extreme<kSign>().template identity<A>(), std::numeric_limits<int64_t>::max()};
  }
  template <class A>
  TARN_HD Place<A> first(A x, int64_t index) const {
    return {x, index};
  }
  template <class A>
  TARN_HD Place<A> combine(Place<A> s, A x, int64_t index) const {
    const bool take = beats(x, s.value);
    return {take ? x : s.value, take ? index : s.index};
  }
  template <class A>
  TARN_HD Place<A> merge(Place<A> s, Place<A> t) const {
    const bool tie = !beats(s.value, t.value) && t.index < s.index;
    return beats(t.value, s.value) || tie ? t : s;
  }
  TARN_HD int64_t finish(auto s, int64_t) const { return s.index; }

 private:
  // Written without && and ||, which would be branches.
  TARN_HD static bool beats(auto x, auto old) {
    const bool more_extreme = kSign > 0 ? x > old : x < old;
    return more_extreme | ((x != x) & (old == old));
  }
};
using ArgMax = ArgExtreme<1>;
using ArgMin = ArgExtreme<-1>;

// States are 0 or 1. NaN is not zero, hence true.
struct Any {
  static constexpr const char* kName = "any";
  static constexpr ReduceTraits kTraits = {
      .result = ReduceResult::kBool, .exact = true, .differentiable = false};
  template <class A>
  TARN_HD A identity() const {
    return A(0);
  }
  template <class A>
  TARN_HD A combine(A s, A x) const {
    return x != A(0) ? A(1) : s;
  }
  TARN_HD auto merge(auto s, auto t) const { return combine(s, t); }
  TARN_HD auto finish(auto s, int64_t) const { return s; }
};

struct All {
  static constexpr const char* kName = "all";
  static constexpr ReduceTraits kTraits = {
      .result = ReduceResult::kBool, .exact = true, .differentiable = false};
  template <class A>
  TARN_HD A identity() const {
    return A(1);
  }
  template <class A>
  TARN_HD A combine(A s, A x) const {
    return x == A(0) ? A(0) : s;
  }
  TARN_HD auto merge(auto s, auto t) const { return combine(s, t); }
  TARN_HD auto finish(auto s, int64_t) const { return s; }
};

// Sums of (x - origin) and (x - origin)^2. With the origin among the elements, their spread loses
// at most a factor of `count` to cancellation, and merging moves the origin to the mean. Elements
// cost no division, unlike in Welford's recurrence; merging is Chan, Golub and LeVeque's formula
// (1979).
template <class A>
struct Moments {
  A origin, sum, squares, count;
  static constexpr auto fields() {
    return std::make_tuple(&Moments::origin, &Moments::sum, &Moments::squares, &Moments::count);
  }
};

// The sum of squared distances from the mean, over count - correction, and its root.
template <bool kRoot>
struct Variance {
  static constexpr const char* kName = kRoot ? "std" : "var";
  static constexpr ReduceTraits kTraits = {.result = ReduceResult::kFloating};
  double correction = 1;

  template <class A>
  TARN_HD Moments<A> identity() const {
    return {A(0), A(0), A(0), A(0)};
  }
  template <class A>
  TARN_HD Moments<A> first(A x) const {
    return {x, A(0), A(0), A(1)};
  }
  template <class A>
  TARN_HD Moments<A> combine(Moments<A> s, A x) const {
    const A d = x - s.origin;
    return {s.origin, s.sum + d, s.squares + d * d, s.count + A(1)};
  }
  template <class A>
  TARN_HD Moments<A> merge(Moments<A> s, Moments<A> t) const {
    // Means are taken from the origin of s, near which differences are exact, and what rounding the
    // new origin takes from the mean stays in the sum. States of as many elements, which nearly all
    // are, share a division: on a GPU three would take longer than the elements.
    const A count = s.count + t.count, inverse = A(1) / max(s.count, A(1));
    const A s_mean = s.sum * inverse;
    A t_mean = t.sum * inverse, share = A(0.5);
    if (s.count != t.count) t_mean = mean(t), share = t.count / count;
    const A delta = (t.origin - s.origin) + (t_mean - s_mean);
    const A shift = s_mean + delta * share;
    const A origin = s.origin + shift, rest = shift - (origin - s.origin);
    const A spreads = spread(s, s_mean) + spread(t, t_mean);
    return {origin, rest * count, spreads + delta * delta * (s.count * share) + rest * rest * count,
            count};
  }
  template <class A>
  TARN_HD A finish(Moments<A> s, int64_t count) const {
    const A divisor = max(static_cast<A>(static_cast<double>(count) - correction), A(0));
    const A variance = spread(s, mean(s)) / divisor;
    return kRoot ? sqrt(variance) : variance;
  }
  template <class T>
  T backward(const T& g, const T& x, const T& y, const auto& context) const {
    const double count = static_cast<double>(context.count);
    const T centred = x - context.sum(x) / Lit<T>(count);
    if constexpr (kRoot) {
      return where(y == Lit<T>(0), Lit<T>(0), g / y) * centred * Lit<T>(1 / (count - correction));
    } else {
      return g * centred * Lit<T>(2 / (count - correction));
    }
  }

 private:
  // Relative to the origin.
  template <class A>
  TARN_HD static A mean(Moments<A> s) {
    return s.sum / max(s.count, A(1));
  }
  template <class A>
  TARN_HD static A spread(Moments<A> s, A mean) {
    return s.squares - s.sum * mean;
  }
};
using Var = Variance<false>;
using Std = Variance<true>;

// One kind of vector norm; `power` is for kPower alone.
enum class NormKind : int8_t { kCount, kSum, kEuclid, kLargest, kSmallest, kPower };
template <NormKind kKind>
struct NormOf {
  double power;

  static constexpr bool kMax = kKind == NormKind::kLargest, kMin = kKind == NormKind::kSmallest;
  template <class A>
  TARN_HD A identity() const {
    return kMin ? detail::highest<A>() : A(0);
  }
  template <class A>
  TARN_HD A combine(A s, A x) const {
    if constexpr (kKind == NormKind::kEuclid)
      return s + x * x;
    else if constexpr (kKind == NormKind::kCount)
      return s + (x != A(0) ? A(1) : A(0));
    else if constexpr (kKind == NormKind::kPower)
      return s + pow(abs(x), static_cast<A>(power));
    else
      return merge(s, abs(x));
  }
  template <class A>
  TARN_HD A merge(A s, A t) const {
    if constexpr (kMax)
      return max(s, t);
    else if constexpr (kMin)
      return min(s, t);
    else
      return s + t;
  }
  template <class A>
  TARN_HD A finish(A s, int64_t) const {
    if constexpr (kKind == NormKind::kEuclid)
      return sqrt(s);
    else if constexpr (kKind == NormKind::kPower)
      return pow(s, static_cast<A>(1 / power));
    else
      return s;
  }
};

// (sum |x|^p)^(1/p); p = 0 counts what is not zero, p = inf and -inf are the extremes of |x|.
struct Norm {
  static constexpr const char* kName = "norm";
  static constexpr ReduceTraits kTraits = {.result = ReduceResult::kFloating};
  double p = 2;

  template <class F>
  decltype(auto) visit(F&& f) const {
    if (p == 2) return f(NormOf<NormKind::kEuclid>{p});
    if (p == 1) return f(NormOf<NormKind::kSum>{p});
    if (p == 0) return f(NormOf<NormKind::kCount>{p});
    if (p == detail::highest<double>()) return f(NormOf<NormKind::kLargest>{p});
    if (p == detail::lowest<double>()) return f(NormOf<NormKind::kSmallest>{p});
    return f(NormOf<NormKind::kPower>{p});
  }
  template <class T>
  T backward(const T& g, const T& x, const T& y, const auto& context) const {
    const auto zero = Lit<T>(0);
    if (p == 0) return zero_of(x);
    if (p == 1) return g * sign(x);
    if (p == 2) return x * where(y == zero, zero, g / y);
    if (isinf(p)) return sign(x) * detail::share_evenly(g, abs(x) == y, context);
    const T scale = where(y == zero, zero, g * pow(y, Lit<T>(1 - p)));
    return sign(x) * scale * where(x == zero, zero, pow(abs(x), Lit<T>(p - 1)));
  }
};

using ReduceOps = List<Sum, Mean, Prod, Max, Min, ArgMax, ArgMin, Any, All, Var, Std, Norm>;

// Whether the compute type of Op may be V: its rule for the result's dtype lets no other in.
template <class V, class Op>
inline constexpr bool kReducesIn =
    !std::is_same_v<V, int64_t> || Op::kTraits.result != ReduceResult::kFloating;

// Calls f(op), or f(the case without choices that op.visit finds).
template <class Op, class F>
void visit_case(const Op& op, F&& f) {
  if constexpr (requires { op.visit(f); })
    op.visit(f);
  else
    f(op);
}

// How `Op`, a case of the listed op `Traits`, sees one element computed as V when it accumulates in
// Accumulator.
template <class Op, class Traits, class V, class Accumulator>
struct Folding {
  static constexpr ReduceTraits kTraits = Traits::kTraits;
  using A = Accumulator;
  using S = decltype(std::declval<Op>().template identity<A>());
  using Result = decltype(std::declval<Op>().finish(std::declval<S>(), int64_t{}));
  static constexpr bool kHasIndexedFirst = requires(Op op) { op.first(A{}, int64_t{}); };
  static constexpr bool kHasFirst = kHasIndexedFirst || requires(Op op) { op.first(A{}); };

  TARN_HD static S combine(const Op& op, const S& s, V x, int64_t index) {
    if constexpr (kTraits.indexed)
      return op.combine(s, static_cast<A>(x), index);
    else
      return op.combine(s, static_cast<A>(x));
  }
  TARN_HD static S first(const Op& op, V x, int64_t index) {
    if constexpr (kHasIndexedFirst)
      return op.first(static_cast<A>(x), index);
    else if constexpr (kHasFirst)
      return op.first(static_cast<A>(x));
    else
      return combine(op, op.template identity<A>(), x, index);
  }
};

}  // namespace op
}  // namespace tarn
