#include <zlib.h>

#include <algorithm>
#include <future>
#include <memory>

#include "tarn/device/check.h"
#include "tarn/io/crc32.h"
#include "tarn/io/little_endian.h"
#include "tarn/io/zip.h"

namespace tarn::detail {
namespace {

constexpr uint64_t kAlignment = 64;
constexpr uint64_t kMax32 = 0xFFFFFFFF;
constexpr uint16_t kHasDescriptor = 1u << 3;
constexpr uint16_t kUtf8Name = 1u << 11;
// A body of this size is worth a thread that takes its CRC while it is written.
constexpr uint64_t kWorthThread = 1 << 20;

uint32_t crc_of(std::string_view head, std::string_view body) {
  return crc32_join(crc32(head.data(), head.size()), crc32(body.data(), body.size()), body.size());
}

}  // namespace

void ZipWriter::put(std::string_view bytes) {
  sink_.write(bytes.data(), bytes.size());
  position_ += bytes.size();
}

uint64_t ZipWriter::put_deflated(std::string_view head, std::string_view body) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, MAX_MEM_LEVEL,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    throw OutOfMemoryError("[save] zlib has no memory");
  }
  const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&stream, deflateEnd);
  const uint64_t start = position_;
  std::string out(256 << 10, '\0');
  const auto feed = [&](std::string_view bytes, int flush) {
    do {
      const size_t size = std::min<size_t>(bytes.size(), 1u << 30);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
      stream.avail_in = static_cast<uInt>(size);
      bytes.remove_prefix(size);
      do {
        stream.next_out = reinterpret_cast<Bytef*>(out.data());
        stream.avail_out = static_cast<uInt>(out.size());
        ::deflate(&stream, bytes.empty() ? flush : Z_NO_FLUSH);
        put({out.data(), out.size() - stream.avail_out});
      } while (stream.avail_out == 0);
    } while (!bytes.empty());
  };
  feed(head, Z_NO_FLUSH);
  feed(body, Z_FINISH);
  return position_ - start;
}

uint32_t ZipWriter::add(std::string_view name, std::string_view head, std::string_view body,
                        bool deflate) {
  if (name.size() > kMaxZipName || name.find_first_of(std::string_view("\0\\", 2)) != name.npos) {
    throw ValueError(str("[save] '", name.substr(0, 64),
                         "' cannot be a name in a zip archive: it has ", name.size(),
                         " bytes of at most ", kMaxZipName, ", a NUL or a backslash"));
  }
  const uint64_t header = position_, size = head.size() + body.size();
  std::future<uint32_t> other_thread;
  if (size >= kWorthThread) other_thread = std::async(crc_of, head, body);
  const uint16_t flags = size > 0 ? kUtf8Name | kHasDescriptor : kUtf8Name;
  const uint16_t method = deflate ? 8 : 0;
  const bool large = size >= kMax32, far = header >= kMax32;

  // PyTorch puts the header's own offset into the local zip64 field too, which the standard does
  // not, and leaves the stored size 0 there.
  const auto zip64_field = [&](uint64_t packed) {
    std::string field;
    if (!large && !far) return field;
    put_u16(field, 1);
    put_u16(field, static_cast<uint16_t>((large ? 16 : 0) + (far ? 8 : 0)));
    if (large) put_u64(field, size), put_u64(field, packed);
    if (far) put_u64(field, header);
    return field;
  };
  std::string extra = zip64_field(0);
  const uint64_t unpadded = header + 30 + name.size() + extra.size() + 4;
  const auto padding = static_cast<uint16_t>((kAlignment - unpadded % kAlignment) % kAlignment);
  extra += "FB";
  put_u16(extra, padding);
  extra.append(padding, 'Z');

  std::string local;
  put_u32(local, 0x04034B50);
  put_u16(local, 0);  // version needed
  put_u16(local, flags);
  put_u16(local, method);
  local.append(16, '\0');  // no time, and CRC and sizes only after the payload
  put_u16(local, static_cast<uint16_t>(name.size()));
  put_u16(local, static_cast<uint16_t>(extra.size()));
  put(local);
  put(name);
  put(extra);
  uint64_t stored = size;
  if (deflate) {
    stored = put_deflated(head, body);
  } else {
    put(head);
    put(body);
  }
  const uint32_t crc = other_thread.valid() ? other_thread.get() : crc_of(head, body);
  if (size > 0) {
    std::string descriptor;
    put_u32(descriptor, 0x08074B50);
    put_u32(descriptor, crc);
    for (const uint64_t count : {stored, size}) {
      large || far ? put_u64(descriptor, count) : put_u32(descriptor, static_cast<uint32_t>(count));
    }
    put(descriptor);
  }

  const std::string zip64 = zip64_field(stored);
  put_u32(directory_, 0x02014B50);
  put_u32(directory_, 0);  // versions made by and needed
  put_u16(directory_, flags);
  put_u16(directory_, method);
  directory_.append(4, '\0');  // time, date
  put_u32(directory_, crc);
  put_u32(directory_, static_cast<uint32_t>(large ? kMax32 : stored));
  put_u32(directory_, static_cast<uint32_t>(std::min(size, kMax32)));
  put_u16(directory_, static_cast<uint16_t>(name.size()));
  put_u16(directory_, static_cast<uint16_t>(zip64.size()));
  directory_.append(10, '\0');  // comment length, disk, attributes
  put_u32(directory_, static_cast<uint32_t>(std::min(header, kMax32)));
  directory_ += name;
  directory_ += zip64;
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
