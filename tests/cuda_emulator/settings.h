#pragma once
// What the environment asks of the emulator; read once, at first use. Tests may change it.
#include <cstddef>
#include <cstdint>

namespace cuda_emulator {

/// The order in which things that the device leaves unordered are done.
struct Schedule {
  enum Kind { forward, reverse, random };
  Kind kind = forward;
  std::uint64_t seed = 1;
};

struct Settings {
  int devices = 2;     ///< TARN_EMULATED_DEVICES: 0 stands for a machine without a GPU
  Schedule threads;    ///< TARN_EMULATED_ORDER=fwd|rev|rand:seed: threads and blocks
  Schedule streams;    ///< TARN_EMULATED_STREAMS=eager|lazy|rand:seed; lazy is `reverse`
  bool guard = true;   ///< TARN_EMULATED_GUARD=0: host code may touch device memory
  bool leaks = false;  ///< TARN_EMULATED_LEAKS=1: what is still alive at exit is an error
  std::size_t capacity = std::size_t{8} << 30;  ///< TARN_EMULATED_OOM: bytes of a device
  int bad_peer_from = -1;  ///< TARN_EMULATED_BAD_PEER=a:b: copies from a to b arrive damaged
  int bad_peer_to = -1;
  char fail_api[64] = "";  ///< TARN_EMULATED_FAIL=api:n: its n-th call fails; or any:n
  std::int64_t fail_call = 0;
  bool lt_refuse_all = false;  ///< TARN_EMULATED_LT_REFUSE=epilogue number, or all
  int lt_refuse_epilogue = -1;
  bool lt_relu_keeps_nan = true;  ///< TARN_EMULATED_LT_RELU_NAN=0: ReLU makes it 0
};

Settings& settings();

/// xorshift64*: the schedules' random numbers, the same on every machine.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
  // Inlined always: the executor, which no sanitizer instruments, shares no code with what they do.
  __attribute__((always_inline)) std::size_t below(std::size_t n) {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<std::size_t>((state_ * 0x2545F4914F6CDD1Du >> 33) % n);
  }

 private:
  std::uint64_t state_;
};

}  // namespace cuda_emulator
