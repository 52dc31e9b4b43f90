#include <zlib.h>

#include <algorithm>
#include <memory>

#include "tarn/device/check.h"
#include "tarn/io/little_endian.h"
#include "tarn/io/zip.h"

namespace tarn::detail {
namespace {

constexpr uint64_t kEndSize = 22, kEnd64Size = 56, kLocatorSize = 20;
constexpr uint64_t kCentralSize = 46, kLocalSize = 30;
constexpr uint32_t kMax32 = 0xFFFFFFFF;
constexpr uint64_t kMaxEntries = 1'000'000, kMaxName = 4096;
// Deflate cannot shrink data further than this.
constexpr uint64_t kDeflateRatio = 1032;

std::string read_block(const ByteSource& source, uint64_t offset, uint64_t size) {
  std::string block(size, '\0');
  source.read(offset, block.data(), size);
  return block;
}

}  // namespace

void ZipReader::fail(std::string_view problem) const {
  throw IOError(str("[load] ", source_.name(), ": damaged or unsafe zip archive: ", problem));
}

ZipReader::ZipReader(const ByteSource& source) : source_(source) {
  const Directory directory = locate();
  parse(directory);
  check_local_headers(directory);
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (!index_.emplace(entries_[i].name, i).second) {
      fail(str("duplicate member '", entries_[i].name, "'"));
    }
  }
}

ZipReader::Directory ZipReader::locate() const {
  const uint64_t size = source_.size();
  if (size < kEndSize) fail("no end of central directory: the file is cut short");
  // A comment or other bytes may follow in general, but then two programs may find two directories.
  const std::string tail =
      read_block(source_, size - std::min<uint64_t>(size, 65557), std::min<uint64_t>(size, 65557));
  const char* end = tail.data() + tail.size() - kEndSize;
  if (get_u32(end) != 0x06054B50 || get_u16(end + 20) != 0) {
    fail(tail.find("PK\5\6") == std::string::npos
             ? "no end of central directory: the file is cut short"
             : "trailing bytes or a comment after the end of central directory");
  }
  if (get_u16(end + 4) != 0 || get_u16(end + 6) != 0 || get_u16(end + 8) != get_u16(end + 10)) {
    fail("it is split over several disks");
  }
  const Directory classic{get_u32(end + 16), get_u32(end + 12), get_u16(end + 10)};
  const uint64_t end_offset = size - kEndSize;
  const bool has_locator =
      tail.size() >= kEndSize + kLocatorSize && get_u32(end - kLocatorSize) == 0x07064B50;
  const bool needs_locator =
      classic.offset == kMax32 || classic.size == kMax32 || classic.count == 0xFFFF;
  if (needs_locator && !has_locator) fail("its zip64 locator is missing");
  Directory found = classic;
  uint64_t directory_end = end_offset;
  if (has_locator) {
    directory_end = get_u64(end - kLocatorSize + 8);
    found = locate64(end_offset - kLocatorSize, classic, directory_end);
  }
  if (found.offset > directory_end || found.size != directory_end - found.offset) {
    fail(
        "the central directory is not where its end record says. Bytes were put before it (a "
        "prefix) "
        "or removed");
  }
  if (found.count > kMaxEntries || found.count > found.size / kCentralSize) {
    fail(str("the entry count ", found.count, " does not fit a directory of ", found.size,
             " bytes"));
  }
  return found;
}

ZipReader::Directory ZipReader::locate64(uint64_t locator, Directory classic,
                                         uint64_t end64) const {
  const std::string at_locator = read_block(source_, locator, kLocatorSize);
  if (get_u32(at_locator.data() + 4) != 0 || get_u32(at_locator.data() + 16) != 1 ||
      locator < kEnd64Size || end64 != locator - kEnd64Size) {
    fail("its zip64 locator points elsewhere than to the zip64 end record before it");
  }
  const std::string record = read_block(source_, end64, kEnd64Size);
  const char* bytes = record.data();
  const Directory found{get_u64(bytes + 48), get_u64(bytes + 40), get_u64(bytes + 32)};
  if (get_u32(bytes) != 0x06064B50 || get_u64(bytes + 4) != kEnd64Size - 12 ||
      get_u64(bytes + 16) != 0 || get_u64(bytes + 24) != found.count ||
      (classic.offset != kMax32 && classic.offset != found.offset) ||
      (classic.size != kMax32 && classic.size != found.size) ||
      (classic.count != 0xFFFF && classic.count != found.count)) {
    fail("its zip64 and classic end records disagree");
  }
  return found;
}

void ZipReader::parse(const Directory& directory) {
  const std::string bytes = read_block(source_, directory.offset, directory.size);
  uint64_t inflated = 0;
  size_t at = 0;
  entries_.reserve(directory.count);
  for (uint64_t i = 0; i < directory.count; ++i) {
    const char* head = bytes.data() + at;
    if (bytes.size() - at < kCentralSize || get_u32(head) != 0x02014B50) {
      fail(str("central directory entry ", i, " is broken"));
    }
    const size_t name_size = get_u16(head + 28), extra_size = get_u16(head + 30);
    const size_t whole = kCentralSize + name_size + extra_size + get_u16(head + 32);
    if (bytes.size() - at < whole) fail(str("central directory entry ", i, " is cut short"));
    ZipEntry entry;
    entry.flags = get_u16(head + 8);
    entry.crc = get_u32(head + 16);
    entry.stored = get_u32(head + 20);
    entry.size = get_u32(head + 24);
    entry.header = get_u32(head + 42);
    const std::string_view full(head + kCentralSize, name_size);
    split_name(full, entry);
    if ((entry.flags & (1u << 0 | 1u << 6 | 1u << 13)) != 0) fail("a member is encrypted");
    const uint16_t method = get_u16(head + 10);
    if (method != 0 && method != 8) fail(str("compression method ", method, " is not supported"));
    if (get_u16(head + 34) != 0) fail("it is split over several disks");
    entry.deflated = method == 8;
    parse_zip64({full.data() + name_size, extra_size}, entry);
    if (!entry.deflated && entry.stored != entry.size) {
      fail(str("a stored member has the two sizes ", entry.stored, " and ", entry.size));
    }
    if (entry.header > directory.offset || entry.stored > directory.offset - entry.header) {
      fail(str("member '", entry.name, "' of ", entry.stored, " bytes reaches beyond file data"));
    }
    if (entry.deflated) {
      inflated +=
          entry.size;  // each is far below 2^64 / kMaxEntries once the first test has passed
      if (entry.size > kDeflateRatio * entry.stored + 64 ||
          inflated > (uint64_t{1} << 30) + 16 * source_.size()) {
        fail(str("member '", entry.name, "' inflates to ", entry.size, " bytes, over the limit"));
      }
    }
    entries_.push_back(std::move(entry));
    at += whole;
  }
  if (at != bytes.size()) fail("the entry count is less than the central directory holds");
}

void ZipReader::split_name(std::string_view full, ZipEntry& entry) {
  const size_t slash = full.find('/');
  const std::string_view folder = full.substr(0, slash);
  if (full.size() > kMaxName || full.find('\0') != full.npos || full.find('\\') != full.npos) {
    fail("a member's name is too long or has a NUL or backslash");
  }
  if (slash == full.npos || folder.empty() || folder == "." || folder == "..") {
    fail(str("member '", full, "' has no archive name before a slash"));
  }
  if (entries_.empty()) folder_ = folder;
  if (folder != folder_) fail(str("member '", full, "' is outside archive folder '", folder_, "'"));
  entry.name = full.substr(slash + 1);
}

void ZipReader::parse_zip64(std::string_view extra, ZipEntry& entry) const {
  uint64_t* fields[] = {&entry.size, &entry.stored, &entry.header};
  const bool wanted = std::any_of(std::begin(fields), std::end(fields),
                                  [](const uint64_t* field) { return *field == kMax32; });
  bool found = false;
  while (extra.size() >= 4) {
    const size_t size = get_u16(extra.data() + 2);
    if (size > extra.size() - 4) fail("an extra field is cut short");
    if (get_u16(extra.data()) == 1) {
      if (found) fail("a member has two zip64 fields");
      found = true;
      std::string_view body = extra.substr(4, size);
      for (uint64_t* field : fields) {
        if (*field != kMax32) continue;
        if (body.size() < 8) fail("a zip64 field is cut short");
        *field = get_u64(body.data());
        body.remove_prefix(8);
      }
    }
    extra.remove_prefix(4 + size);
  }
  if (wanted && !found) fail("a member's zip64 field is missing");
}

void ZipReader::check_local_headers(const Directory& directory) {
  for (ZipEntry& entry : entries_) {
    if (directory.offset - entry.header < kLocalSize) fail("a local header is beyond file data");
    const std::string name = folder_ + '/' + entry.name;
    char head[kLocalSize];
    source_.read(entry.header, head, kLocalSize);
    const uint64_t name_size = get_u16(head + 26);
    if (get_u32(head) != 0x04034B50 || name_size != name.size() ||
        directory.offset - entry.header - kLocalSize < name_size ||
        read_block(source_, entry.header + kLocalSize, name_size) != name) {
      fail(str("name mismatch: no local header of '", name, "' at byte ", entry.header));
    }
    if (get_u16(head + 6) != entry.flags || get_u16(head + 8) != (entry.deflated ? 8 : 0)) {
      fail(str("the two headers of '", name, "' disagree"));
    }
    // Sizes and zip64 fields of local headers are ignored: PyTorch's own are not to the standard.
    entry.payload = entry.header + kLocalSize + name_size + get_u16(head + 28);
    if (entry.payload > directory.offset || entry.stored > directory.offset - entry.payload) {
      fail(str("member '", name, "' of ", entry.stored, " bytes reaches beyond file data"));
    }
  }
  std::vector<const ZipEntry*> order;
  for (const ZipEntry& entry : entries_) order.push_back(&entry);
  std::sort(order.begin(), order.end(),
            [](const ZipEntry* a, const ZipEntry* b) { return a->header < b->header; });
  for (size_t i = 1; i < order.size(); ++i) {
    if (order[i - 1]->payload + order[i - 1]->stored > order[i]->header) {
      fail(str("members '", order[i - 1]->name, "' and '", order[i]->name, "' overlap"));
    }
  }
}

const ZipEntry* ZipReader::find(const std::string& name) const {
  const auto position = index_.find(name);
  return position == index_.end() ? nullptr : &entries_[position->second];
}

void ZipReader::read(const ZipEntry& entry, void* to) const {
  if (entry.deflated) {
    inflate(entry, to);
  } else {
    source_.read(entry.payload, to, entry.size);
  }
  const uint32_t crc = crc32(to, entry.size);
  if (crc != entry.crc) {
    fail(str("CRC of '", entry.name,
             "' is wrong. HINT: the file was damaged, or PyTorch wrote it after "
             "torch.serialization.set_crc32_options(False)"));
  }
}

std::string ZipReader::read_text(const ZipEntry& entry, uint64_t limit) const {
  if (entry.size > limit) {
    fail(str("member '", entry.name, "' of ", entry.size, " bytes is over the limit of ", limit));
  }
  std::string text(entry.size, '\0');
  read(entry, text.data());
  return text;
}

void ZipReader::inflate(const ZipEntry& entry, void* to) const {
  constexpr size_t kPiece = 1 << 18;
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
    throw OutOfMemoryError("[load] zlib has no memory");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&stream, inflateEnd);
  std::string piece(std::min<uint64_t>(kPiece, entry.stored), '\0');
  auto* out = static_cast<Bytef*>(to);
  Bytef overflow = 0;
  uint64_t taken = 0, made = 0;
  for (int status = Z_OK; status != Z_STREAM_END;) {
    if (stream.avail_in == 0 && taken < entry.stored) {
      const uint64_t size = std::min<uint64_t>(piece.size(), entry.stored - taken);
      source_.read(entry.payload + taken, piece.data(), size);
      stream.next_in = reinterpret_cast<Bytef*>(piece.data());
      stream.avail_in = static_cast<uInt>(size);
      taken += size;
    }
    // Once full, one spare byte tells a stream that ends here from one that goes on.
    const uint64_t room = std::min<uint64_t>(entry.size - made, 1u << 30);
    stream.next_out = room > 0 ? out + made : &overflow;
    stream.avail_out = room > 0 ? static_cast<uInt>(room) : 1;
    const uInt before = stream.avail_out;
    status = ::inflate(&stream, Z_NO_FLUSH);
    const uint64_t produced = before - stream.avail_out;
    if (room == 0 && produced > 0) fail(str("'", entry.name, "' inflates to more than its size"));
    made += produced;
    if (status != Z_STREAM_END &&
        (status != Z_OK || (produced == 0 && stream.avail_in == 0 && taken == entry.stored))) {
      fail(str("the compressed data of '", entry.name, "' is broken"));
    }
  }
  if (made != entry.size || taken != entry.stored || stream.avail_in != 0) {
    fail(str("'", entry.name, "' does not inflate to its size of ", entry.size, " bytes"));
  }
}

}  // namespace tarn::detail
