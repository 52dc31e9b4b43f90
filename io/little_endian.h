#pragma once
// Integers as files hold them: little-endian, at any address.

#include <cstdint>
#include <string>
#include <string_view>

namespace tarn::detail {

// Reads sizeof(T) bytes, which must be there.
template <typename T>
T get_le(const char* bytes) {
  T value = 0;
  for (size_t i = sizeof(T); i-- > 0;) {
    value = static_cast<T>((value << 8) | static_cast<unsigned char>(bytes[i]));
  }
  return value;
}
inline uint16_t get_u16(const char* bytes) { return get_le<uint16_t>(bytes); }
inline uint32_t get_u32(const char* bytes) { return get_le<uint32_t>(bytes); }
inline uint64_t get_u64(const char* bytes) { return get_le<uint64_t>(bytes); }

template <typename T>
void put_le(std::string& out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>((value >> (8 * i)) & 0xFF);
}
inline void put_u16(std::string& out, uint16_t value) { put_le(out, value); }
inline void put_u32(std::string& out, uint32_t value) { put_le(out, value); }
inline void put_u64(std::string& out, uint64_t value) { put_le(out, value); }

}  // namespace tarn::detail
