// Scalar: a number of any kind, as libtorch's c10::Scalar.
#pragma once

#include <cstdint>
#include <ostream>
#include <type_traits>

#include "tarn/device/check.h"
#include "tarn/kernels/dtype.h"

namespace tarn {

// Converts implicitly from any arithmetic type, Half and BFloat16; remembers whether it was bool,
// integral or floating, because type promotion depends on that.
class Scalar {
 public:
  constexpr Scalar() = default;
  template <class T>
  requires(std::is_arithmetic_v<T>) constexpr Scalar(T value) {  // NOLINT
    if constexpr (std::is_same_v<T, bool>) {
      kind_ = kBool;
      integral_ = value;
    } else if constexpr (std::is_integral_v<T>) {
      integral_ = static_cast<int64_t>(value);
    } else {
      kind_ = kDouble;
      floating_ = static_cast<double>(value);
    }
  }
  Scalar(Half value) : Scalar(static_cast<float>(value)) {}      // NOLINT
  Scalar(BFloat16 value) : Scalar(static_cast<float>(value)) {}  // NOLINT

  constexpr bool isFloatingPoint() const { return kind_ == kDouble; }
  constexpr bool isBoolean() const { return kind_ == kBool; }
  constexpr bool isIntegral(bool include_bool) const {
    return kind_ == kLong || (include_bool && kind_ == kBool);
  }
  // kDouble, kLong or kBool.
  constexpr ScalarType type() const { return kind_; }

  // The value as T. Throws ValueError when an integer type cannot hold it.
  template <class T>
  T to() const {
    if constexpr (std::is_same_v<T, bool>) {
      return kind_ == kDouble ? floating_ != 0 : integral_ != 0;
    } else if constexpr (std::is_integral_v<T>) {
      if (kind_ == kDouble) return from_double<T>();
      const T narrow = static_cast<T>(integral_);
      // uint8 takes -1..-255 by wrapping, as PyTorch's does.
      const bool fits =
          static_cast<int64_t>(narrow) == integral_ ||
          (std::is_unsigned_v<T> && integral_ < 0 && -integral_ <= static_cast<int64_t>(T(-1)));
      if (!fits) overflow<T>();
      return narrow;
    } else {
      return static_cast<T>(kind_ == kDouble ? static_cast<to_float<T>>(floating_)
                                             : static_cast<to_float<T>>(integral_));
    }
  }
  float toFloat() const { return to<float>(); }
  double toDouble() const { return to<double>(); }
  int toInt() const { return to<int>(); }
  int64_t toLong() const { return to<int64_t>(); }
  bool toBool() const { return to<bool>(); }

  Scalar operator-() const { return kind_ == kDouble ? Scalar(-floating_) : Scalar(-integral_); }
  bool equal(Scalar other) const {
    return kind_ == kDouble || other.kind_ == kDouble ? toDouble() == other.toDouble()
                                                      : integral_ == other.integral_;
  }

 private:
  template <class T>
  using to_float = std::conditional_t<std::is_same_v<T, double>, double, float>;
  template <class T>
  T from_double() const {
    // 2^63 is a double, int64's maximum is not: compare against exact powers of two.
    if (!(floating_ >= -0x1p63 && floating_ < 0x1p63)) overflow<T>();
    const auto whole = static_cast<int64_t>(floating_);
    // No wrapping of what has a fraction cut off.
    if (std::is_unsigned_v<T> && static_cast<double>(whole) != floating_ && whole < 0)
      overflow<T>();
    return Scalar(whole).to<T>();
  }
  template <class T>
  [[noreturn]] void overflow() const {
    throw ValueError(str("value cannot be converted to type ", std::is_unsigned_v<T> ? "u" : "",
                         "int", 8 * sizeof(T), "_t without overflow: ", *this));
  }
  friend std::ostream& operator<<(std::ostream& os, const Scalar& s) {
    if (s.kind_ == kDouble) return os << s.floating_;
    if (s.kind_ == kBool) return os << (s.integral_ ? "true" : "false");
    return os << s.integral_;
  }

  union {
    int64_t integral_ = 0;
    double floating_;
  };
  ScalarType kind_ = kLong;
};

}  // namespace tarn
