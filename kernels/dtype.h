// Element types: the ScalarType enum, the two 16-bit floats, and the promotion rules.
//
// The set and the rules are PyTorch's (https://pytorch.org/docs/stable/tensor_attributes.html).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ostream>
#include <type_traits>

#include "tarn/kernels/host_device.h"

namespace tarn {

enum class ScalarType : int8_t {
  Byte,      // uint8
  Char,      // int8
  Short,     // int16
  Int,       // int32
  Long,      // int64
  Half,      // float16: 1 sign, 5 exponent, 10 fraction bits
  Float,     // float32
  Double,    // float64
  Bool,      // one byte, 0 or 1
  BFloat16,  // float32's exponent, 7 fraction bits
  Undefined,
};
inline constexpr int kNumScalarTypes = static_cast<int>(ScalarType::Undefined);

inline constexpr ScalarType kByte = ScalarType::Byte, kUInt8 = kByte;
inline constexpr ScalarType kChar = ScalarType::Char, kInt8 = kChar;
inline constexpr ScalarType kShort = ScalarType::Short, kInt16 = kShort;
inline constexpr ScalarType kInt = ScalarType::Int, kInt32 = kInt;
inline constexpr ScalarType kLong = ScalarType::Long, kInt64 = kLong;
inline constexpr ScalarType kHalf = ScalarType::Half, kFloat16 = kHalf;
inline constexpr ScalarType kFloat = ScalarType::Float, kFloat32 = kFloat;
inline constexpr ScalarType kDouble = ScalarType::Double, kFloat64 = kDouble;
inline constexpr ScalarType kBool = ScalarType::Bool;
inline constexpr ScalarType kBFloat16 = ScalarType::BFloat16;

// IEEE 754 binary16. Arithmetic happens in float; this type only stores.
struct Half {
  uint16_t bits = 0;
  Half() = default;
  TARN_HD explicit Half(float value) : bits(round_from(value)) {}
  TARN_HD operator float() const { return widen(bits); }
  TARN_HD static Half from_bits(uint16_t bits) {
    Half h;
    h.bits = bits;
    return h;
  }

 private:
#if defined(__CUDA_ARCH__)
  TARN_HD static uint16_t round_from(float value) {
    uint16_t bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
  }
  TARN_HD static float widen(uint16_t bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
  }
#else
  // Round to nearest even without branches on the value's class, so that loops vectorise.
  TARN_HD static uint16_t round_from(float value) {
    const uint32_t word = std::bit_cast<uint32_t>(value);
    const uint32_t sign = (word >> 16) & 0x8000u;
    const uint32_t magnitude = word & 0x7FFFFFFFu;
    // Below 2^-14 the result is subnormal: adding 0.5 aligns the fraction to its last place.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    const uint32_t subnormal = std::bit_cast<uint32_t>(shifted) - 0x3F000000u;
    const uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u);
    const uint32_t normal = (rounded - 0x38000000u) >> 13;
    uint32_t result = magnitude < 0x38800000u ? subnormal : normal;
    result = magnitude >= 0x47800000u ? 0x7C00u : result;
    result = magnitude > 0x7F800000u ? 0x7E00u | ((magnitude >> 13) & 0x3FFu) : result;
    return static_cast<uint16_t>(sign | result);
  }
  TARN_HD static float widen(uint16_t bits) {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
    const uint32_t magnitude = bits & 0x7FFFu;
    // A subnormal half is an integer multiple of 2^-24, exact in float.
    const float subnormal = static_cast<float>(magnitude) * 5.9604644775390625e-8f;
    uint32_t normal = (magnitude << 13) + 0x38000000u;
    normal = magnitude >= 0x7C00u ? (magnitude << 13) | 0x7F800000u : normal;
    const uint32_t word = magnitude < 0x400u ? std::bit_cast<uint32_t>(subnormal) : normal;
    return std::bit_cast<float>(sign | word);
  }
#endif
};

// The upper half of a float32, rounded to nearest even.
struct BFloat16 {
  uint16_t bits = 0;
  BFloat16() = default;
  TARN_HD explicit BFloat16(float value) : bits(round_from(value)) {}
  TARN_HD operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
  TARN_HD static BFloat16 from_bits(uint16_t bits) {
    BFloat16 b;
    b.bits = bits;
    return b;
  }

 private:
  TARN_HD static uint16_t round_from(float value) {
    const uint32_t word = std::bit_cast<uint32_t>(value);
    const uint32_t rounded = (word + 0x7FFFu + ((word >> 16) & 1u)) >> 16;
    const bool is_nan = (word & 0x7FFFFFFFu) > 0x7F800000u;
    return static_cast<uint16_t>(is_nan ? (word >> 16) | 0x40u : rounded);
  }
};

static_assert(sizeof(Half) == 2 && sizeof(BFloat16) == 2);

template <class T>
struct ScalarTypeOfImpl;
template <>
struct ScalarTypeOfImpl<uint8_t> {
  static constexpr ScalarType value = kByte;
};
template <>
struct ScalarTypeOfImpl<int8_t> {
  static constexpr ScalarType value = kChar;
};
template <>
struct ScalarTypeOfImpl<int16_t> {
  static constexpr ScalarType value = kShort;
};
template <>
struct ScalarTypeOfImpl<int32_t> {
  static constexpr ScalarType value = kInt;
};
template <>
struct ScalarTypeOfImpl<long> {
  static constexpr ScalarType value = kLong;
};
template <>
struct ScalarTypeOfImpl<long long> {
  static constexpr ScalarType value = kLong;
};
template <>
struct ScalarTypeOfImpl<Half> {
  static constexpr ScalarType value = kHalf;
};
template <>
struct ScalarTypeOfImpl<float> {
  static constexpr ScalarType value = kFloat;
};
template <>
struct ScalarTypeOfImpl<double> {
  static constexpr ScalarType value = kDouble;
};
template <>
struct ScalarTypeOfImpl<bool> {
  static constexpr ScalarType value = kBool;
};
template <>
struct ScalarTypeOfImpl<BFloat16> {
  static constexpr ScalarType value = kBFloat16;
};

// The ScalarType that stores C++ type T.
template <class T>
inline constexpr ScalarType ScalarTypeOf = ScalarTypeOfImpl<std::remove_cv_t<T>>::value;

// Bytes of one element.
constexpr int64_t element_size(ScalarType type) {
  constexpr int8_t kSizes[] = {1, 1, 2, 4, 8, 2, 4, 8, 1, 2, 0};
  return kSizes[static_cast<int>(type)];
}
constexpr bool is_floating_point(ScalarType t) {
  return t == kHalf || t == kFloat || t == kDouble || t == kBFloat16;
}
// Integers without bool, as PyTorch's isIntegralType(t, /*includeBool=*/false).
constexpr bool is_integer(ScalarType t) { return t <= kLong; }
constexpr bool is_signed(ScalarType t) { return t != kByte && t != kBool; }

// "Float", "Long": PyTorch's C++ names.
const char* to_string(ScalarType type);
// "float32", "int64": the names Python programs use.
const char* python_name(ScalarType type);
std::ostream& operator<<(std::ostream& os, ScalarType type);

// The smallest type to which both can be converted (torch.promote_types).
constexpr ScalarType promote_types(ScalarType a, ScalarType b) {
  if (a == b) return a;
  if (is_floating_point(a) || is_floating_point(b)) {
    if (!is_floating_point(a)) return b;
    if (!is_floating_point(b)) return a;
    if (element_size(a) == element_size(b)) return kFloat;  // float16 with bfloat16
    return element_size(a) > element_size(b) ? a : b;
  }
  if (a == kBool) return b;
  if (b == kBool) return a;
  const ScalarType wide = element_size(a) >= element_size(b) ? a : b;
  if ((a == kByte || b == kByte) && element_size(wide) == 1) return kShort;
  return wide;
}

// The type in which kernels compute: float for 16- and 32-bit floats, double, or int64 for the
// integers and bool. Results are converted back when stored.
constexpr ScalarType compute_type(ScalarType t) {
  if (t == kDouble) return kDouble;
  return is_floating_point(t) ? kFloat : kLong;
}

// The same for the type of a floating-point number.
template <class T>
using ComputeType = std::conditional_t<std::is_same_v<T, double>, double, float>;

// Calls f with a value-initialised element of the C++ type that stores `type`.
template <class F>
constexpr decltype(auto) visit(ScalarType type, F&& f) {
  switch (type) {
    case ScalarType::Byte:
      return f(uint8_t{});
    case ScalarType::Char:
      return f(int8_t{});
    case ScalarType::Short:
      return f(int16_t{});
    case ScalarType::Int:
      return f(int32_t{});
    case ScalarType::Long:
      return f(int64_t{});
    case ScalarType::Half:
      return f(Half{});
    case ScalarType::Float:
      return f(float{});
    case ScalarType::Bool:
      return f(bool{});
    case ScalarType::BFloat16:
      return f(BFloat16{});
    default:
      return f(double{});
  }
}

// Calls f with a value of the type in which kernels compute elements of `type`.
template <class F>
decltype(auto) visit_compute(ScalarType type, F&& f) {
  switch (compute_type(type)) {
    case kFloat:
      return f(float{});
    case kDouble:
      return f(double{});
    default:
      return f(int64_t{});
  }
}

// Calls f with an unsigned integer of `item` bytes: moving elements needs no more of their type.
template <class F>
decltype(auto) visit_size(int64_t item, F&& f) {
  switch (item) {
    case 1:
      return f(uint8_t{});
    case 2:
      return f(uint16_t{});
    case 4:
      return f(uint32_t{});
    default:
      return f(uint64_t{});
  }
}

// Calls f with a value of the floating-point type that stores `type`, which is one.
template <class F>
decltype(auto) visit_floating(ScalarType type, F&& f) {
  switch (type) {
    case kHalf:
      return f(Half{});
    case kBFloat16:
      return f(BFloat16{});
    case kFloat:
      return f(float{});
    default:
      return f(double{});
  }
}

}  // namespace tarn
