#include "tarn/kernels/mersenne_twister.h"

#include "tarn/kernels/cpu/isa.h"

namespace tarn {
namespace {

constexpr int kWords = MersenneTwister::kWords;
constexpr int kShift = 397;

struct TwistBody {
  TARN_HD static uint32_t mix(uint32_t upper, uint32_t lower, uint32_t far) {
    const uint32_t y = (upper & 0x80000000u) | (lower & 0x7FFFFFFFu);
    return far ^ (y >> 1) ^ (-(y & 1u) & 0x9908B0DFu);
  }
  TARN_HD static void run(uint32_t* words) {
    for (int i = 0; i < kWords - kShift; ++i) {
      words[i] = mix(words[i], words[i + 1], words[i + kShift]);
    }
    for (int i = kWords - kShift; i < kWords - 1; ++i) {
      words[i] = mix(words[i], words[i + 1], words[i + kShift - kWords]);
    }
    words[kWords - 1] = mix(words[kWords - 1], words[0], words[kShift - 1]);
  }
};

struct TemperBody {
  TARN_HD static void run(const uint32_t* words, uint32_t* numbers) {
    for (int i = 0; i < kWords; ++i) {
      uint32_t y = words[i];
      y ^= y >> 11;
      y ^= (y << 7) & 0x9D2C5680u;
      y ^= (y << 15) & 0xEFC60000u;
      numbers[i] = y ^ (y >> 18);
    }
  }
};

}  // namespace

void MersenneTwister::refill() {
  cpu::select_isa<TwistBody, uint32_t*>()(words_.data());
  temper();
  position_ = 0;
}

void MersenneTwister::temper() {
  cpu::select_isa<TemperBody, const uint32_t*, uint32_t*>()(words_.data(), numbers_.data());
}

}  // namespace tarn
