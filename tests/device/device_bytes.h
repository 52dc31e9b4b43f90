#pragma once
// Blocks of memory on any device, and what tests write into them.

#include <cstddef>
#include <vector>

#include "tarn/device/memory.h"
#include "tarn/tests/device/block.h"

namespace tarn::testing {

// A block of device memory.
struct Bytes {
  Bytes(size_t size, Device device) : size(size), device(device), data(allocate(size, device)) {}
  Bytes(const std::vector<char>& values, Device device) : Bytes(values.size(), device) {
    copy_bytes(data, device, values.data(), kCPU, size);
  }
  Bytes(const Bytes&) = delete;
  ~Bytes() { deallocate(data, size, device); }
  std::vector<char> read() const {
    std::vector<char> values(size);
    copy_bytes(values.data(), kCPU, data, device, size);
    return values;
  }
  // Compared here: a failing check would print them all.
  bool holds(const std::vector<char>& values) const { return read() == values; }
  size_t size;
  Device device;
  void* data;
};

inline std::vector<char> pattern(size_t size, unsigned seed = 1) {
  std::vector<char> values(size);
  for (char& value : values) value = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
  return values;
}

}  // namespace tarn::testing
