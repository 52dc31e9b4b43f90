#pragma once
// Atomic operations and fences of the device language: relaxed, as on the device. Included by
// device.h.
#include <bit>
#include <cstdint>
#include <type_traits>

#include "tarn/tests/cuda_emulator/executor.h"

namespace cuda_emulator {

template <class T, class F>
T read_modify_write(T* p, F f) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 2);
  using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t,
                                  std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint16_t>>;
  note_atomic(p);
  auto* bits = reinterpret_cast<Bits*>(p);
  Bits old = __atomic_load_n(bits, __ATOMIC_RELAXED);
  for (;;) {
    Bits wanted = std::bit_cast<Bits>(static_cast<T>(f(std::bit_cast<T>(old))));
    if (__atomic_compare_exchange_n(bits, &old, wanted, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
      return std::bit_cast<T>(old);
  }
}

}  // namespace cuda_emulator

template <class T>
T atomicAdd(T* p, std::type_identity_t<T> value) {
  return cuda_emulator::read_modify_write(p, [=](T old) {
    // Wraps around, as on the device.
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(static_cast<std::make_unsigned_t<T>>(old) +
                            static_cast<std::make_unsigned_t<T>>(value));
    else
      return old + value;
  });
}

template <class T>
T atomicMax(T* p, std::type_identity_t<T> value) {
  static_assert(std::is_integral_v<T>, "the device has atomicMax for integers only");
  return cuda_emulator::read_modify_write(p, [=](T old) { return old < value ? value : old; });
}

template <class T>
T atomicMin(T* p, std::type_identity_t<T> value) {
  static_assert(std::is_integral_v<T>, "the device has atomicMin for integers only");
  return cuda_emulator::read_modify_write(p, [=](T old) { return value < old ? value : old; });
}

template <class T>
T atomicExch(T* p, std::type_identity_t<T> value) {
  return cuda_emulator::read_modify_write(p, [=](T) { return value; });
}

template <class T>
T atomicCAS(T* p, std::type_identity_t<T> compare, std::type_identity_t<T> value) {
  static_assert(std::is_integral_v<T>, "the device has atomicCAS for integers only");
  return cuda_emulator::read_modify_write(p, [=](T old) { return old == compare ? value : old; });
}

template <class T>
T atomicOr(T* p, std::type_identity_t<T> value) {
  return cuda_emulator::read_modify_write(p, [=](T old) { return old | value; });
}

template <class T>
T atomicAnd(T* p, std::type_identity_t<T> value) {
  return cuda_emulator::read_modify_write(p, [=](T old) { return old & value; });
}

inline void __threadfence() { cuda_emulator::note_fence(); }
inline void __threadfence_block() { cuda_emulator::note_fence(); }
