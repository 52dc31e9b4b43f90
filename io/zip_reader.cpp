#include <algorithm>

#include "tarn/device/check.h"
#include "tarn/io/little_endian.h"
#include "tarn/io/zip.h"

namespace tarn::detail {
namespace {

constexpr uint64_t kEndSize = 22, kEnd64Size = 56, kLocatorSize = 20;
constexpr uint64_t kCentralSize = 46, kLocalSize = 30;
constexpr uint32_t kEnd64Mark = 0x06064B50, kLocatorMark = 0x07064B50;
constexpr uint32_t kMax32 = 0xFFFFFFFF;
// The end record and the longest comment after it.
constexpr uint64_t kMaxTail = kEndSize + 0xFFFF;
// Deflate cannot shrink data further than this.
constexpr uint64_t kDeflateRatio = 1032;

}  // namespace

void ZipReader::fail(uint64_t at, std::string_view problem) const {
  throw IOError(
      str("[load] ", source_->name(), ": damaged or unsafe zip archive, byte ", at, ": ", problem));
}

ZipReader::ZipReader(std::shared_ptr<const ByteSource> source, const LoadOptions& options)
    : source_(std::move(source)), options_(options) {
  const Directory directory = locate();
  parse(directory);
  check_local_headers(directory);
  for (size_t i = 0; i < members_.size(); ++i) {
    if (!index_.emplace(members_[i].record, i).second) {
      fail(headers_[i].offset, str("duplicate member '", members_[i].record, "'"));
    }
  }
}

ZipReader::Directory ZipReader::locate() const {
  const uint64_t size = source_->size();
  const uint64_t tail_size = std::min(size, kMaxTail), tail_offset = size - tail_size;
  const std::string tail = source_->read_text(tail_offset, tail_size);
  const std::string mark = "PK\5\6";
  // A comment or other bytes may follow in general, but then two programs may find two directories.
  size_t at = tail.rfind(mark, tail_size < kEndSize ? 0 : tail_size - kEndSize);
  if (at == std::string::npos || tail_size < kEndSize) {
    fail(size, "no end of central directory: the file is cut short");
  }
  const char* end = tail.data() + at;
  const uint64_t end_offset = tail_offset + at;
  const uint64_t after = size - end_offset - kEndSize;
  if ((after != 0 || get_u16(end + 20) != 0) && !options_.allow_trailing_bytes) {
    fail(end_offset + kEndSize,
         str(after,
             " trailing bytes or a comment after the end of central directory. HINT: "
             "{.allow_trailing_bytes = true} accepts them"));
  }
  if (get_u16(end + 4) != 0 || get_u16(end + 6) != 0 || get_u16(end + 8) != get_u16(end + 10)) {
    fail(end_offset, "it is split over several disks");
  }
  const Directory classic{get_u32(end + 16), get_u32(end + 12), get_u16(end + 10)};
  const bool has_locator = at >= kLocatorSize && get_u32(end - kLocatorSize) == kLocatorMark;
  const bool needs_locator =
      classic.offset == kMax32 || classic.size == kMax32 || classic.count == 0xFFFF;
  if (needs_locator && !has_locator) fail(end_offset, "its zip64 locator is missing");
  Directory found = classic;
  uint64_t directory_end = end_offset;
  if (has_locator) {
    directory_end = get_u64(end - kLocatorSize + 8);
    found = locate64(end_offset - kLocatorSize, classic, directory_end);
  }
  if (found.offset > directory_end || found.size != directory_end - found.offset) {
    fail(end_offset,
         str("the central directory is not the ", found.size, " bytes at byte ", found.offset,
             " that its end record says. Bytes were put before the archive (a prefix) "
             "or removed"));
  }
  const uint64_t most = std::max(options_.limits.zip_entries, LoadLimits().zip_entries);
  if (found.count > most || found.count > found.size / kCentralSize) {
    fail(end_offset, str("the entry count ", found.count, " does not fit a directory of ",
                         found.size, " bytes, or is over the limit of ", most));
  }
  return found;
}

ZipReader::Directory ZipReader::locate64(uint64_t locator, Directory classic,
                                         uint64_t end64) const {
  const std::string at_locator = source_->read_text(locator, kLocatorSize);
  if (get_u32(at_locator.data() + 4) != 0 || get_u32(at_locator.data() + 16) != 1 ||
      locator < kEnd64Size || end64 != locator - kEnd64Size) {
    fail(locator, "its zip64 locator points elsewhere than to the zip64 end record before it");
  }
  const std::string record = source_->read_text(end64, kEnd64Size);
  const char* bytes = record.data();
  const Directory found{get_u64(bytes + 48), get_u64(bytes + 40), get_u64(bytes + 32)};
  if (get_u32(bytes) != kEnd64Mark || get_u64(bytes + 4) != kEnd64Size - 12 ||
      get_u64(bytes + 16) != 0 || get_u64(bytes + 24) != found.count ||
      (classic.offset != kMax32 && classic.offset != found.offset) ||
      (classic.size != kMax32 && classic.size != found.size) ||
      (classic.count != 0xFFFF && classic.count != found.count)) {
    fail(end64, "its zip64 and classic end records disagree");
  }
  return found;
}

void ZipReader::parse(const Directory& directory) {
  const std::string bytes = source_->read_text(directory.offset, directory.size);
  const uint64_t most_inflated =
      std::max(options_.limits.inflated_bytes, LoadLimits().inflated_bytes) + 16 * source_->size();
  uint64_t inflated = 0;
  size_t at = 0;
  members_.reserve(directory.count);
  headers_.reserve(directory.count);
  for (uint64_t i = 0; i < directory.count; ++i) {
    const char* head = bytes.data() + at;
    const uint64_t place = directory.offset + at;
    if (bytes.size() - at < kCentralSize || get_u32(head) != 0x02014B50) {
      fail(place, str("central directory entry ", i, " is broken"));
    }
    const size_t name_size = get_u16(head + 28), extra_size = get_u16(head + 30);
    const size_t whole = kCentralSize + name_size + extra_size + get_u16(head + 32);
    if (bytes.size() - at < whole) {
      fail(place, str("central directory entry ", i, " is cut short"));
    }
    StoredBytes member;
    member.source = source_;
    member.record = std::string(head + kCentralSize, name_size);
    member.crc = get_u32(head + 16);
    member.stored = get_u32(head + 20);
    member.size = get_u32(head + 24);
    member.offset = get_u32(head + 42);
    const std::string& name = member.record;
    if (name.empty() || name_size > kMaxZipName ||
        name.find_first_of(std::string_view("\0\\", 2)) != std::string::npos) {
      fail(place, "a member's name is empty, too long or has a NUL or backslash");
    }
    const uint16_t flags = get_u16(head + 8), method = get_u16(head + 10);
    if ((flags & (1u << 0 | 1u << 6 | 1u << 13)) != 0) fail(place, "a member is encrypted");
    if (method != 0 && method != 8) {
      fail(place, str("compression method ", method,
                      " is not supported; 0 (stored) and 8 "
                      "(deflated) are"));
    }
    if (get_u16(head + 34) != 0) fail(place, "it is split over several disks");
    member.deflated = method == 8;
    parse_zip64(place, {head + kCentralSize + name_size, extra_size}, member);
    if (!member.deflated && member.stored != member.size) {
      fail(place, str("a stored member has the two sizes ", member.stored, " and ", member.size));
    }
    if (member.offset > directory.offset || member.stored > directory.offset - member.offset) {
      fail(place, str("member '", name, "' of ", member.stored, " bytes at byte ", member.offset,
                      " reaches beyond file data, which ends at byte ", directory.offset));
    }
    if (member.deflated) {
      // Each is far below 2^64 / (the number of entries) once the first test has passed.
      inflated += member.size;
      if (member.size > kDeflateRatio * member.stored + 64 || inflated > most_inflated) {
        fail(place, str("member '", name, "' inflates to ", member.size,
                        " bytes, over the limit. HINT: LoadLimits::inflated_bytes"));
      }
    }
    headers_.push_back({member.offset, flags});
    members_.push_back(std::move(member));
    at += whole;
  }
  if (at != bytes.size()) {
    fail(directory.offset + at, "the entry count is less than the central directory holds");
  }
}

void ZipReader::parse_zip64(uint64_t at, std::string_view extra, StoredBytes& member) const {
  uint64_t* fields[] = {&member.size, &member.stored, &member.offset};
  const bool wanted = std::any_of(std::begin(fields), std::end(fields),
                                  [](const uint64_t* field) { return *field == kMax32; });
  bool found = false;
  while (extra.size() >= 4) {
    const size_t size = get_u16(extra.data() + 2);
    if (size > extra.size() - 4) fail(at, "an extra field is cut short");
    if (get_u16(extra.data()) == 1) {
      if (found) fail(at, "a member has two zip64 fields");
      found = true;
      std::string_view body = extra.substr(4, size);
      for (uint64_t* field : fields) {
        if (*field != kMax32) continue;
        if (body.size() < 8) fail(at, "a zip64 field is cut short");
        *field = get_u64(body.data());
        body.remove_prefix(8);
      }
    }
    extra.remove_prefix(4 + size);
  }
  if (wanted && !found) fail(at, "a member's zip64 field is missing");
}

void ZipReader::check_local_headers(const Directory& directory) {
  for (size_t i = 0; i < members_.size(); ++i) {
    StoredBytes& member = members_[i];
    const std::string& name = member.record;
    const uint64_t at = headers_[i].offset, room = directory.offset - at;
    if (room < kLocalSize) fail(at, "a local header reaches beyond file data");
    const std::string head = source_->read_text(
        at, static_cast<size_t>(std::min<uint64_t>(room, kLocalSize + name.size())));
    if (get_u32(head.data()) != 0x04034B50 || get_u16(head.data() + 26) != name.size() ||
        head.compare(kLocalSize, std::string::npos, name) != 0) {
      fail(at, str("name mismatch: no local header of '", name, "' is here"));
    }
    if (get_u16(head.data() + 6) != headers_[i].flags ||
        get_u16(head.data() + 8) != (member.deflated ? 8 : 0)) {
      fail(at, str("the two headers of '", name, "' disagree"));
    }
    // Sizes and zip64 fields of local headers are ignored: PyTorch's own are not to the standard.
    member.offset = at + kLocalSize + name.size() + get_u16(head.data() + 28);
    if (member.offset > directory.offset || member.stored > directory.offset - member.offset) {
      fail(at, str("member '", name, "' of ", member.stored, " bytes at byte ", member.offset,
                   " reaches beyond file data, which ends at byte ", directory.offset));
    }
  }
  std::vector<size_t> order(members_.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return headers_[a].offset < headers_[b].offset; });
  for (size_t i = 1; i < order.size(); ++i) {
    const StoredBytes &before = members_[order[i - 1]], &member = members_[order[i]];
    if (before.offset + before.stored > headers_[order[i]].offset) {
      fail(headers_[order[i]].offset,
           str("members '", before.record, "' and '", member.record, "' overlap"));
    }
  }
}

const StoredBytes* ZipReader::find(const std::string& name) const {
  const auto position = index_.find(name);
  return position == index_.end() ? nullptr : &members_[position->second];
}

}  // namespace tarn::detail
