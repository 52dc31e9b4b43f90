// The state behind Generator: PyTorch's CPU engine, and a counter for devices.
#pragma once

#include <cstdint>

#include "tarn/kernels/mersenne_twister.h"

namespace tarn {

// From where a kernel of a counter-based generator (Philox on CUDA) draws. Positions count the
// 32-bit numbers of a subsequence.
struct CounterBase {
  uint64_t seed;
  uint64_t offset;
};
struct CounterState {
  CounterBase base;
  // Unless null: device memory, read when the kernel runs, whose seed holds and whose offset is
  // added. A CUDA graph keeps its position there, so that each replay draws new numbers.
  const CounterBase* on_device;
};

// MT19937 drawn from exactly as PyTorch's CPU generator does, so that one seed gives the same
// numbers. Devices use `seed` and `offset` as key and position of a counter-based generator.
struct RandomEngine {
  explicit RandomEngine(uint64_t seed = 5489) { reseed(seed); }

  void reseed(uint64_t new_seed) {
    seed = new_seed;
    offset = 0;
    twister.seed(static_cast<uint32_t>(new_seed));
    has_next_normal = false;
    has_next_float_normal = false;
  }

  uint32_t next32() { return twister(); }
  uint64_t next64() {
    const uint64_t high = next32();
    return (high << 32) | next32();
  }
  // [0, 1) with 24 and 53 random bits.
  float next_float() { return static_cast<float>(next32() & 0xFFFFFFu) * 0x1p-24f; }
  double next_double() {
    return static_cast<double>(next64() & ((uint64_t{1} << 53) - 1)) * 0x1p-53;
  }

  // The numbers [offset, offset + count) of every subsequence; what follows starts at a multiple of
  // four, which is what Philox makes at once.
  CounterState take(uint64_t count) {
    const CounterState state{{seed, offset}, on_device};
    offset += (count + 3) / 4 * 4;
    return state;
  }

  uint64_t seed = 0;
  uint64_t offset = 0;
  const CounterBase* on_device = nullptr;
  MersenneTwister twister;
  // Box-Muller makes numbers in pairs; the second waits here.
  bool has_next_normal = false;
  bool has_next_float_normal = false;
  double next_normal = 0;
  float next_float_normal = 0;
};

}  // namespace tarn
