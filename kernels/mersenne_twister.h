// MT19937: the numbers of std::mt19937, generated a block at a time and readable in bulk.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace tarn {

// M. Matsumoto, T. Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998). Seeded as the authors'
// init_genrand does, as std::mt19937 and PyTorch do. Copyable; equal state gives equal numbers.
class MersenneTwister {
 public:
  static constexpr int kWords = 624;

  explicit MersenneTwister(uint32_t seed_value = 5489) { seed(seed_value); }

  void seed(uint32_t value) {
    words_[0] = value;
    for (int i = 1; i < kWords; ++i) {
      value = 1812433253u * (value ^ (value >> 30)) + static_cast<uint32_t>(i);
      words_[static_cast<size_t>(i)] = value;
    }
    position_ = kWords;
  }

  uint32_t operator()() {
    if (position_ == kWords) refill();
    return numbers_[static_cast<size_t>(position_++)];
  }

  // Writes the next n numbers.
  void fill(uint32_t* out, int64_t n) {
    while (n > 0) {
      if (position_ == kWords) refill();
      const int64_t count = std::min<int64_t>(n, kWords - position_);
      std::memcpy(out, &numbers_[static_cast<size_t>(position_)],
                  static_cast<size_t>(count) * sizeof(uint32_t));
      position_ += static_cast<int>(count);
      out += count;
      n -= count;
    }
  }

  // The state, for checkpoints: the generator's words and how many of their numbers are used up
  // (0..624; 624 after seeding).
  const std::array<uint32_t, kWords>& words() const { return words_; }
  int position() const { return position_; }
  void set_state(const std::array<uint32_t, kWords>& words, int position) {
    words_ = words;
    temper();
    position_ = position;
  }

 private:
  void refill();  // both are compiled for each instruction set, on the CPU's side
  void temper();  // numbers_ from words_

  std::array<uint32_t, kWords> words_;
  std::array<uint32_t, kWords> numbers_{};
  int position_;
};

}  // namespace tarn
