#include <zlib.h>

#include <algorithm>
#include <vector>

#include "tarn/device/parallel.h"
#include "tarn/io/little_endian.h"
#include "tarn/io/zip.h"

namespace tarn::detail {
namespace {

constexpr uint64_t kAlignment = 64;
constexpr uint64_t kMax32 = 0xFFFFFFFF;
constexpr uint16_t kHasDescriptor = 1u << 3;
constexpr uint16_t kUtf8Name = 1u << 11;

}  // namespace

uint32_t crc32(const void* data, uint64_t size) {
  constexpr uint64_t kChunk = 16 << 20;
  const auto* bytes = static_cast<const Bytef*>(data);
  const auto chunks = static_cast<int64_t>((size + kChunk - 1) / kChunk);
  std::vector<uLong> parts(static_cast<size_t>(chunks));
  parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const uint64_t offset = static_cast<uint64_t>(i) * kChunk;
      parts[static_cast<size_t>(i)] =
          ::crc32_z(0, bytes + offset, std::min<uint64_t>(kChunk, size - offset));
    }
  });
  uLong crc = ::crc32_z(0, nullptr, 0);
  for (size_t i = 0; i < parts.size(); ++i) {
    crc = ::crc32_combine(crc, parts[i], static_cast<z_off_t>(std::min(kChunk, size - i * kChunk)));
  }
  return static_cast<uint32_t>(crc);
}

void ZipWriter::put(std::string_view bytes) {
  sink_.write(bytes.data(), bytes.size());
  position_ += bytes.size();
}

uint32_t ZipWriter::add(std::string_view name, const void* data, uint64_t size) {
  const std::string full = folder_ + '/' + std::string(name);
  const uint64_t header = position_;
  const uint32_t crc = crc32(data, size);
  const uint16_t flags = size > 0 ? kUtf8Name | kHasDescriptor : kUtf8Name;
  const bool large = size >= kMax32, far = header >= kMax32;

  // PyTorch puts the header's own offset into the local zip64 field too, which the standard does
  // not, and leaves the stored size 0 there.
  const auto zip64_field = [&](uint64_t stored) {
    std::string field;
    if (!large && !far) return field;
    put_u16(field, 1);
    put_u16(field, static_cast<uint16_t>((large ? 16 : 0) + (far ? 8 : 0)));
    if (large) put_u64(field, size), put_u64(field, stored);
    if (far) put_u64(field, header);
    return field;
  };
  std::string extra = zip64_field(0);
  const uint64_t unpadded = header + 30 + full.size() + extra.size() + 4;
  const auto padding = static_cast<uint16_t>((kAlignment - unpadded % kAlignment) % kAlignment);
  extra += "FB";
  put_u16(extra, padding);
  extra.append(padding, 'Z');

  std::string local;
  put_u32(local, 0x04034B50);
  put_u16(local, 0);  // version needed
  put_u16(local, flags);
  local.append(18, '\0');  // stored, no time, and CRC and sizes only after the payload
  put_u16(local, static_cast<uint16_t>(full.size()));
  put_u16(local, static_cast<uint16_t>(extra.size()));
  put(local + full + extra);
  put({static_cast<const char*>(data), size});
  if (size > 0) {
    std::string descriptor;
    put_u32(descriptor, 0x08074B50);
    put_u32(descriptor, crc);
    for (int i = 0; i < 2; ++i) {
      large || far ? put_u64(descriptor, size) : put_u32(descriptor, static_cast<uint32_t>(size));
    }
    put(descriptor);
  }

  const std::string zip64 = zip64_field(size);
  put_u32(directory_, 0x02014B50);
  put_u32(directory_, 0);  // versions made by and needed
  put_u16(directory_, flags);
  directory_.append(6, '\0');  // method, time, date
  put_u32(directory_, crc);
  put_u32(directory_, static_cast<uint32_t>(std::min(size, kMax32)));
  put_u32(directory_, static_cast<uint32_t>(std::min(size, kMax32)));
  put_u16(directory_, static_cast<uint16_t>(full.size()));
  put_u16(directory_, static_cast<uint16_t>(zip64.size()));
  directory_.append(10, '\0');  // comment length, disk, attributes
  put_u32(directory_, static_cast<uint32_t>(std::min(header, kMax32)));
  directory_ += full + zip64;
  ++count_;
  return crc;
}

void ZipWriter::finish() {
  const uint64_t start = position_;
  put(directory_);
  std::string end;
  put_u32(end, 0x06064B50);  // zip64 end record, always present
  put_u64(end, 44);
  put_u16(end, 0x031E);  // made by
  put_u16(end, 45);      // version needed
  put_u64(end, 0);       // disks
  put_u64(end, count_);
  put_u64(end, count_);
  put_u64(end, directory_.size());
  put_u64(end, start);
  put_u32(end, 0x07064B50);  // zip64 locator
  put_u32(end, 0);
  put_u64(end, start + directory_.size());
  put_u32(end, 1);
  put_u32(end, 0x06054B50);  // classic end record
  put_u32(end, 0);
  put_u16(end, static_cast<uint16_t>(std::min<uint64_t>(count_, 0xFFFF)));
  put_u16(end, static_cast<uint16_t>(std::min<uint64_t>(count_, 0xFFFF)));
  put_u32(end, static_cast<uint32_t>(std::min<uint64_t>(directory_.size(), kMax32)));
  put_u32(end, static_cast<uint32_t>(std::min(start, kMax32)));
  put_u16(end, 0);  // comment length
  put(end);
}

}  // namespace tarn::detail
