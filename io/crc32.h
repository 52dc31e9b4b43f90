#pragma once
// CRC-32 as zip archives use it (IEEE 802.3, reflected).

#include <cstdint>

namespace tarn::detail {

// Of a block; 0 for an empty one. On CPUs with a carry-less multiplication it takes a third of
// zlib's time.
uint32_t crc32(const void* data, uint64_t size);
// Of two blocks one after the other, from that of each and the length of the second.
uint32_t crc32_join(uint32_t first, uint32_t second, uint64_t second_size);

}  // namespace tarn::detail
