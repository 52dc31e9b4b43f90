#pragma once
// A block from the allocator that is filled with a pattern and checks it before it is given back.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include "tarn/device/allocator.h"

namespace tarn::testing {

inline constexpr size_t kKiB = 1024, kMiB = 1024 * 1024;

// Requests of every tier, at and next to the borders of size classes.
inline const std::vector<size_t> kBlockSizes{
    1,          8,        63,       64,          65,    200,       256,           257,
    1000,       4096,     4097,     5000,        20000, 64 * kKiB, 64 * kKiB + 1, 100'000,
    512 * kKiB, kMiB + 1, 2 * kMiB, 5 * kMiB + 1};

struct Block {
  unsigned char* data = nullptr;
  size_t bytes = 0;
  unsigned char pattern = 0;

  Block(size_t size, unsigned seed)
      : bytes(size), pattern(static_cast<unsigned char>(seed * 37 + 1)) {
    data = static_cast<unsigned char*>(allocate(bytes));
    std::memset(data, pattern, edge());
    std::memset(data + bytes - edge(), pattern, edge());
  }
  // The first and last 64 bytes are as written.
  bool intact() const {
    const auto good = [this](unsigned char byte) { return byte == pattern; };
    return std::all_of(data, data + edge(), good) &&
           std::all_of(data + bytes - edge(), data + bytes, good);
  }
  // Gives the block back; false if it was damaged.
  bool release() {
    const bool ok = intact();
    deallocate(data, bytes);
    return ok;
  }

 private:
  size_t edge() const { return std::min<size_t>(bytes, 64); }
};

}  // namespace tarn::testing
