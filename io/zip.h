#pragma once
// Zip archives as PyTorch writes and reads them: every member lies in one folder, normally stored
// and 64-byte aligned.
//
// The reader trusts nothing. It accepts no archive on which two programs could disagree: no bytes
// before or after it, no comment, no two members of one name or sharing bytes, local and central
// headers alike. Deflated members, which repackaging tools make, can be read.
// Source: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT and files PyTorch wrote.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tarn/io/byte_stream.h"

namespace tarn::detail {

struct ZipEntry {
  std::string name;      // without the folder
  uint64_t header = 0;   // where the local header starts
  uint64_t payload = 0;  // where the stored bytes start
  uint64_t stored = 0;   // bytes in the archive
  uint64_t size = 0;     // bytes once read
  uint32_t crc = 0;
  uint16_t flags = 0;
  bool deflated = false;
};

class ZipReader {
 public:
  // Reads the directory and checks it against every member's header. Throws IOError. The source
  // must outlive the reader.
  explicit ZipReader(const ByteSource& source);
  ZipReader(const ZipReader&) = delete;
  ZipReader& operator=(const ZipReader&) = delete;

  // The folder that holds every member, without its slash.
  const std::string& folder() const noexcept { return folder_; }
  const std::vector<ZipEntry>& entries() const noexcept { return entries_; }
  // nullptr when there is no such member. `name` is relative to the folder.
  const ZipEntry* find(const std::string& name) const;

  // Reads a member of entry.size bytes and checks its CRC. Throws IOError.
  void read(const ZipEntry& entry, void* to) const;
  // The same as a string; throws IOError when the member is longer than `limit`.
  std::string read_text(const ZipEntry& entry, uint64_t limit) const;

 private:
  struct Directory {
    uint64_t offset, size, count;
  };
  [[noreturn]] void fail(std::string_view problem) const;
  Directory locate() const;
  Directory locate64(uint64_t locator, Directory classic, uint64_t end) const;
  void parse(const Directory& directory);
  void parse_zip64(std::string_view extra, ZipEntry& entry) const;
  void split_name(std::string_view full, ZipEntry& entry);
  void check_local_headers(const Directory& directory);
  void inflate(const ZipEntry& entry, void* to) const;

  const ByteSource& source_;
  std::string folder_;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string_view, size_t> index_;
};

class ZipWriter {
 public:
  // Writes into `folder`. The sink must outlive the writer.
  ZipWriter(ByteSink& sink, std::string folder) : sink_(sink), folder_(std::move(folder)) {}

  // Appends a member and returns its CRC. The bytes written are PyTorch's, to the last bit.
  uint32_t add(std::string_view name, const void* data, uint64_t size);
  uint32_t add(std::string_view name, std::string_view text) {
    return add(name, text.data(), text.size());
  }
  // Writes the directory. Call once, last.
  void finish();

 private:
  void put(std::string_view bytes);

  ByteSink& sink_;
  std::string folder_;
  std::string directory_;
  uint64_t position_ = 0;
  uint64_t count_ = 0;
};

// CRC-32 of a block, on all threads when it is large.
uint32_t crc32(const void* data, uint64_t size);

}  // namespace tarn::detail
