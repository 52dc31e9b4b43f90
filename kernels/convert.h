// How a number of one dtype becomes one of another, on every device: as static_cast with these
// additions. To bool is != 0; a double becomes a 16-bit float by way of float; a float outside the
// integer's range (or NaN) gives what x86 gives in PyTorch and is never undefined.
#pragma once

#include <limits>
#include <type_traits>

#include "tarn/kernels/dtype.h"

namespace tarn {

// A bool is read as a byte: memory filled by others may hold more than 0 and 1.
template <class T>
using Stored = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;

namespace detail {

template <class T>
inline constexpr bool kIsFloat = is_floating_point(ScalarTypeOf<T>);

// x86 converts a float that does not fit (or NaN) to the smallest integer. PyTorch converts to
// uint8 by way of int64, and to int8 and int16 by way of int32 and dropping the upper bits.
template <class Int, class F>
TARN_HD Int truncate(F value) {
  constexpr F kLimit = -static_cast<F>(std::numeric_limits<Int>::min());
  const bool fits =
      value < kLimit && (sizeof(F) > sizeof(Int) ? value > -kLimit - 1 : value >= -kLimit);
  return fits ? static_cast<Int>(value) : std::numeric_limits<Int>::min();
}

}  // namespace detail

template <class To, class From>
TARN_HD Stored<To> convert(Stored<From> value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (std::is_same_v<To, bool>) {
    if constexpr (detail::kIsFloat<From> && sizeof(From) == 2)
      return static_cast<float>(value) != 0;
    else
      return value != 0;
  } else if constexpr (std::is_same_v<From, bool>) {
    return convert<To, uint8_t>(value != 0 ? 1 : 0);
  } else if constexpr (detail::kIsFloat<To>) {
    if constexpr (sizeof(To) == 2 || sizeof(From) == 2)
      return To(static_cast<float>(value));
    else
      return static_cast<To>(value);
  } else if constexpr (detail::kIsFloat<From>) {
    using Wide = std::conditional_t<sizeof(From) == 2, float, From>;
    using Int =
        std::conditional_t<std::is_same_v<To, uint8_t> || sizeof(To) == 8, int64_t, int32_t>;
    return static_cast<To>(detail::truncate<Int>(static_cast<Wide>(value)));
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace tarn
