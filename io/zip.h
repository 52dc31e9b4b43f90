#pragma once
// Zip archives as PyTorch and numpy write and read them.
//
// The reader trusts nothing. It accepts no archive on which two programs could disagree: no bytes
// before it, and none after it unless asked to, no comment, no two members of one name or sharing
// bytes, local and central headers alike. Deflated members, which repackaging tools make, can be
// read.
// Source: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT and files PyTorch wrote.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tarn/io/byte_stream.h"
#include "tarn/io/options.h"
#include "tarn/io/stored_bytes.h"

namespace tarn::detail {

// Most bytes in a member's name.
inline constexpr size_t kMaxZipName = 4096;

class ZipReader {
 public:
  // Reads the directory and checks it against every member's header. Throws IOError.
  ZipReader(std::shared_ptr<const ByteSource> source, const LoadOptions& options);
  ZipReader(const ZipReader&) = delete;
  ZipReader& operator=(const ZipReader&) = delete;

  // In the directory's order. `record` is the member's name.
  const std::vector<StoredBytes>& members() const noexcept { return members_; }
  // nullptr when there is no such member.
  const StoredBytes* find(const std::string& name) const;

 private:
  struct Directory {
    uint64_t offset, size, count;
  };
  // What the central directory says of a member beyond its StoredBytes, whose `offset` is that of
  // the local header until check_local_headers() has passed it.
  struct Header {
    uint64_t offset;
    uint16_t flags;
  };
  [[noreturn]] void fail(uint64_t at, std::string_view problem) const;
  Directory locate() const;
  Directory locate64(uint64_t locator, Directory classic, uint64_t end) const;
  void parse(const Directory& directory);
  void parse_zip64(uint64_t at, std::string_view extra, StoredBytes& member) const;
  void check_local_headers(const Directory& directory);

  std::shared_ptr<const ByteSource> source_;
  const LoadOptions& options_;
  std::vector<StoredBytes> members_;
  std::vector<Header> headers_;
  std::unordered_map<std::string_view, size_t> index_;
};

class ZipWriter {
 public:
  // The sink must outlive the writer.
  explicit ZipWriter(ByteSink& sink) : sink_(sink) {}

  // Appends a member whose content is `head` and then `body`, and returns its CRC. If not deflated,
  // the bytes written are PyTorch's, to the last bit.
  uint32_t add(std::string_view name, std::string_view head, std::string_view body = {},
               bool deflate = false);
  // Writes the directory. Call once, last.
  void finish();

 private:
  void put(std::string_view bytes);

  uint64_t put_deflated(std::string_view head, std::string_view body);

  ByteSink& sink_;
  std::string directory_;
  uint64_t position_ = 0;
  uint64_t count_ = 0;
};

}  // namespace tarn::detail
