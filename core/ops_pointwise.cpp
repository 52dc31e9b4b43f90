// Pointwise ops and reductions whose arguments need a decision before the kernel is named.
#include <limits>

#include "tarn/core/factories.h"
#include "tarn/core/ops.h"
#include "tarn/kernels/convert.h"

namespace tarn {
namespace {

op::Number number(const Scalar& s) {
  return {s.toDouble(), s.isFloatingPoint() ? convert<int64_t, double>(s.toDouble()) : s.toLong()};
}

op::Clamp clamp_op(const std::optional<Scalar>& min, const std::optional<Scalar>& max) {
  TARN_CHECK(min || max, "[clamp] At least one of 'min' or 'max' must not be None");
  constexpr double kInf = std::numeric_limits<double>::infinity();
  using Long = std::numeric_limits<int64_t>;
  return {{},
          min ? number(*min) : op::Number{-kInf, Long::min()},
          max ? number(*max) : op::Number{kInf, Long::max()}};
}

// x in the dtype that it and the bounds are promoted to.
Tensor clampable(const Tensor& x, const std::optional<Scalar>& min,
                 const std::optional<Scalar>& max) {
  ScalarType dtype = x.dtype();
  for (const auto& bound : {min, max}) {
    if (bound) dtype = promote_types(dtype, result_type(x, *bound));
  }
  return x.to(dtype);
}

op::Add add_op(const Operand& self, const Operand& other, const Scalar& alpha, int sign) {
  const auto is_bool = [](const Operand& x) {
    return x.tensor() ? x.tensor()->dtype() == kBool : x.scalar().isBoolean();
  };
  if (sign < 0 && (is_bool(self) || is_bool(other))) {
    throw TypeError(
        is_bool(self) && is_bool(other)
            ? "[sub] Subtraction, the `-` operator, with two bool tensors is not supported. Use "
              "the "
              "`^` or `logical_xor()` operator instead."
            : "[sub] Subtraction, the `-` operator, with a bool tensor is not supported. If you "
              "are "
              "trying to invert a mask, use the `~` or `logical_not()` operator instead.");
  }
  if (alpha.isFloatingPoint() && !is_floating_point(result_type(self, other))) {
    throw TypeError(
        str("[add] For integral input tensors, argument alpha must not be a floating point number, "
            "got ",
            alpha));
  }
  if (alpha.isBoolean() && result_type(self, other) != kBool)
    throw TypeError("[add] Boolean alpha only supported for Boolean results.");
  const op::Number a = number(alpha);
  return {{}, {sign * a.floating, sign * a.integral}};
}

// Integer division by zero would trap.
void check_divisor(const char* op, const Tensor& self, const Operand& divisor) {
  if (is_floating_point(result_type(self, divisor))) return;
  const bool zero = divisor.tensor() ? divisor.tensor()->eq(0).any().item<bool>()
                                     : divisor.scalar().toLong() == 0;
  if (zero) throw ValueError(str("[", op, "] ZeroDivisionError: integer division by zero"));
}

}  // namespace

Tensor Tensor::bitwise_not() const {
  return dtype() == kBool ? logical_not() : pointwise(op::BitwiseNot{}, *this);
}

Tensor Tensor::square() const {
  return pointwise(op::Square{}, dtype() == kBool ? to(kLong) : *this);
}

Tensor Tensor::clamp(std::optional<Scalar> min, std::optional<Scalar> max) const {
  return pointwise(clamp_op(min, max), clampable(*this, min, max));
}
const Tensor& Tensor::clamp_(std::optional<Scalar> min, std::optional<Scalar> max) const {
  const op::Clamp clamp = clamp_op(min, max);
  const Tensor x = clampable(*this, min, max);
  const Operand operands[] = {x};
  detail::pointwise_into(*this, pointwise_id<op::Clamp>, &clamp, sizeof clamp, operands);
  return *this;
}
Tensor Tensor::clamp(const Tensor& min, const Tensor& max) const {
  TARN_CHECK(min.defined() || max.defined(),
             "[clamp] At least one of 'min' or 'max' must not be None");
  const Tensor raised = min.defined() ? maximum(min) : *this;
  return max.defined() ? raised.minimum(max) : raised;
}

Tensor rsub(const Operand& self, const Operand& other, const Scalar& alpha) {
  return pointwise(add_op(other, self, alpha, -1), other, self);
}

Tensor Tensor::neg() const {
  if (dtype() == kBool) {
    throw TypeError(
        "[neg] Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
        "invert a mask, use the `~` or `logical_not()` operator instead.");
  }
  return pointwise(op::Neg{}, *this);
}

Tensor Tensor::add(const Operand& other, const Scalar& alpha) const {
  return pointwise(add_op(*this, other, alpha, 1), *this, other);
}
Tensor Tensor::sub(const Operand& other, const Scalar& alpha) const {
  return pointwise(add_op(*this, other, alpha, -1), *this, other);
}
const Tensor& Tensor::add_(const Operand& other, const Scalar& alpha) const {
  return pointwise_(add_op(*this, other, alpha, 1), *this, other);
}
const Tensor& Tensor::sub_(const Operand& other, const Scalar& alpha) const {
  return pointwise_(add_op(*this, other, alpha, -1), *this, other);
}

Tensor Tensor::div(const Operand& other, std::string_view rounding_mode) const {
  TARN_CHECK(rounding_mode == "floor" || rounding_mode == "trunc",
             "[div] expected rounding_mode to be one of None, 'trunc', or 'floor' but found '",
             rounding_mode, "'");
  check_divisor("div", *this, other);
  if (rounding_mode == "floor") return pointwise(op::FloorDivide{}, *this, other);
  return pointwise(op::TruncDivide{}, *this, other);
}
Tensor Tensor::remainder(const Operand& other) const {
  check_divisor("remainder", *this, other);
  return pointwise(op::Remainder{}, *this, other);
}
Tensor Tensor::fmod(const Operand& other) const {
  check_divisor("fmod", *this, other);
  return pointwise(op::Fmod{}, *this, other);
}
const Tensor& Tensor::remainder_(const Operand& other) const {
  check_divisor("remainder_", *this, other);
  return pointwise_(op::Remainder{}, *this, other);
}
const Tensor& Tensor::fmod_(const Operand& other) const {
  check_divisor("fmod_", *this, other);
  return pointwise_(op::Fmod{}, *this, other);
}
const Tensor& Tensor::floor_divide_(const Operand& other) const {
  check_divisor("floor_divide_", *this, other);
  return pointwise_(op::FloorDivide{}, *this, other);
}

namespace {

void check_pow(const Tensor& base, const Operand& exponent) {
  if (const Tensor* e = exponent.tensor()) {
    if (base.dtype() == kBool && e->dtype() == kBool)
      throw TypeError("[pow] not implemented for 'Bool'");
    return;
  }
  const Scalar& e = exponent.scalar();
  const bool integers = !base.is_floating_point() && !e.isFloatingPoint();
  TARN_CHECK(!integers || e.toLong() >= 0,
             "[pow] Integers to negative integer powers are not allowed. The exponent is ", e);
}

}  // namespace

const Tensor& Tensor::pow_(const Operand& exponent) const {
  check_pow(*this, exponent);
  return pointwise_(op::Pow{}, *this, exponent);
}

Tensor Tensor::pow(const Operand& exponent) const {
  check_pow(*this, exponent);
  if (!exponent.tensor()) {
    const Scalar& e = exponent.scalar();
    if (e.equal(2) && dtype() != kBool && !(e.isFloatingPoint() && !is_floating_point()))
      return square();
    if (e.equal(0.5)) return sqrt();
    if (e.equal(-1) && is_floating_point()) return reciprocal();
  }
  return pointwise(op::Pow{}, *this, exponent);
}

Tensor Tensor::addcmul(const Tensor& a, const Tensor& b, const Scalar& value) const {
  return pointwise(op::Addcmul{{}, number(value)}, *this, a, b);
}
namespace {

op::Addcdiv addcdiv_op(const Tensor& a, const Tensor& b, const Scalar& value) {
  if (!is_floating_point(promote_types(a.dtype(), b.dtype()))) {
    throw TypeError(
        "[addcdiv] Integer division with addcdiv is no longer supported. HINT: convert one of the "
        "tensors with to(kFloat)");
  }
  return {{}, number(value)};
}

op::Lerp lerp_op(const Tensor& start, const Tensor& end, const Operand& weight) {
  const auto check = [&](const char* name, const Tensor& t) {
    if (t.dtype() == start.dtype()) return;
    throw TypeError(str("[lerp] expected dtype ", start.dtype(), " for `", name, "` but got dtype ",
                        t.dtype()));
  };
  check("end", end);
  if (weight.tensor()) check("weight", *weight.tensor());
  return {};
}

}  // namespace

Tensor Tensor::lerp(const Tensor& end, const Operand& weight) const {
  return pointwise(lerp_op(*this, end, weight), *this, end, weight);
}
const Tensor& Tensor::lerp_(const Tensor& end, const Operand& weight) const {
  return pointwise_(lerp_op(*this, end, weight), *this, end, weight);
}

Tensor Tensor::addcdiv(const Tensor& a, const Tensor& b, const Scalar& value) const {
  return pointwise(addcdiv_op(a, b, value), *this, a, b);
}
const Tensor& Tensor::addcmul_(const Tensor& a, const Tensor& b, const Scalar& value) const {
  return pointwise_(op::Addcmul{{}, number(value)}, *this, a, b);
}
const Tensor& Tensor::addcdiv_(const Tensor& a, const Tensor& b, const Scalar& value) const {
  return pointwise_(addcdiv_op(a, b, value), *this, a, b);
}

Tensor gelu(const Tensor& x, std::string_view approximate) {
  TARN_CHECK(approximate == "none" || approximate == "tanh",
             "[gelu] approximate argument must be either none or tanh, got '", approximate, "'");
  return approximate == "tanh" ? pointwise(op::GeluTanh{}, x) : pointwise(op::Gelu{}, x);
}

Tensor zero_of(const Tensor& x) { return zeros_like(x); }

namespace {

template <class Op>
Tensor place_of(const Op& op, const Tensor& x, std::optional<int64_t> dim, bool keepdim) {
  if (x.dtype() == kBool) {
    throw TypeError(str("[", Op::kName, "] ", Op::kName, "(): does not support bool input"));
  }
  return reduce(op, x, dim ? IntArrayRef(*dim) : IntArrayRef(), keepdim);
}

}  // namespace

Tensor Tensor::argmax(std::optional<int64_t> dim, bool keepdim) const {
  return place_of(op::ArgMax{}, *this, dim, keepdim);
}
Tensor Tensor::argmin(std::optional<int64_t> dim, bool keepdim) const {
  return place_of(op::ArgMin{}, *this, dim, keepdim);
}

Tensor Tensor::var(IntArrayRef dims, bool unbiased, bool keepdim) const {
  return reduce(op::Var{unbiased ? 1.0 : 0.0}, *this, dims, keepdim);
}
Tensor Tensor::std(IntArrayRef dims, bool unbiased, bool keepdim) const {
  return reduce(op::Std{unbiased ? 1.0 : 0.0}, *this, dims, keepdim);
}
std::tuple<Tensor, Tensor> var_mean(const Tensor& x, IntArrayRef dims, bool unbiased,
                                    bool keepdim) {
  return {x.var(dims, unbiased, keepdim), x.mean(dims, keepdim)};
}
std::tuple<Tensor, Tensor> std_mean(const Tensor& x, IntArrayRef dims, bool unbiased,
                                    bool keepdim) {
  return {x.std(dims, unbiased, keepdim), x.mean(dims, keepdim)};
}

Tensor Tensor::norm(const Scalar& p, IntArrayRef dims, bool keepdim) const {
  return reduce(op::Norm{p.toDouble()}, *this, dims, keepdim);
}

Tensor Tensor::logsumexp(IntArrayRef dims, bool keepdim) const {
  const Tensor x = is_floating_point() ? *this : to(get_default_dtype());
  // Shifted by the largest element, so that exp cannot overflow; an infinite one shifts nothing.
  const Tensor largest = x.numel() > 0 ? x.detach().amax(dims, /*keepdim=*/true)
                                       : x.detach().sum(dims, /*keepdim=*/true);
  const Tensor shift = where(largest.abs().eq(std::numeric_limits<double>::infinity()), 0, largest);
  const Tensor total = (x - shift).exp().sum(dims, keepdim).log();
  return total + shift.reshape(total.sizes());
}

bool Tensor::equal(const Tensor& other) const {
  return sizes() == other.sizes() && (numel() == 0 || eq(other).all().item<bool>());
}

Tensor Tensor::isclose(const Tensor& other, double rtol, double atol, bool equal_nan) const {
  TARN_CHECK(dtype() == other.dtype(), "[isclose] ", dtype(), " did not match ", other.dtype());
  Tensor close = eq(other);
  if (equal_nan) close = close.logical_or(isnan().logical_and(other.isnan()));
  if (!is_floating_point()) {
    const Tensor a = to(kDouble), b = other.to(kDouble);
    return close.logical_or((a - b).abs() <= b.abs() * rtol + atol);
  }
  const Tensor gap = (*this - other).abs();
  return close.logical_or((gap <= other.abs() * rtol + atol).logical_and(gap.isfinite()));
}

bool Tensor::allclose(const Tensor& other, double rtol, double atol, bool equal_nan) const {
  return isclose(other, rtol, atol, equal_nan).all().item<bool>();
}

bool Tensor::is_nonzero() const {
  TARN_CHECK(numel() != 0, "Boolean value of Tensor with no values is ambiguous");
  TARN_CHECK(numel() == 1, "Boolean value of Tensor with more than one value is ambiguous");
  return item().toDouble() != 0;
}

}  // namespace tarn
