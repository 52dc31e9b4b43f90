#pragma once
// Builders of IDX files, and of gzip files around them.

#include <cstdint>
#include <string>
#include <vector>

#include "tarn/tests/io/raw_files.h"

namespace tarn::testing {

inline std::string be32(uint32_t value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(value >> shift);
  return text;
}

inline std::string idx_header(int code, const std::vector<uint32_t>& sizes) {
  std::string text{'\0', '\0', static_cast<char>(code), static_cast<char>(sizes.size())};
  for (const uint32_t size : sizes) text += be32(size);
  return text;
}

inline std::string gzipped(const std::string& data) {
  const std::string header("\x1f\x8b\x08\0\0\0\0\0\0\x03", 10);
  const uLong crc =
      crc32(0, reinterpret_cast<const Bytef*>(data.data()), static_cast<uInt>(data.size()));
  return header + deflated(data) + le(crc, 4) + le(data.size(), 4);
}

// `count` images of height x width whose pixels count up from `first`, modulo 251.
inline std::string idx_images(uint32_t count, uint32_t height, uint32_t width, int first = 0) {
  std::string text = idx_header(0x08, {count, height, width});
  for (uint32_t i = 0; i < count * height * width; ++i) {
    text += static_cast<char>((static_cast<uint32_t>(first) + i) % 251);
  }
  return text;
}

// Labels 0, 1, ... modulo 10.
inline std::string idx_labels(uint32_t count) {
  std::string text = idx_header(0x08, {count});
  for (uint32_t i = 0; i < count; ++i) text += static_cast<char>(i % 10);
  return text;
}

}  // namespace tarn::testing
