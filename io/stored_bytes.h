#pragma once
// StoredBytes: bytes where a file holds them, perhaps deflated, and what they are checked by.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tarn/io/byte_stream.h"

namespace tarn::detail {

struct StoredBytes {
  std::shared_ptr<const ByteSource> source;
  std::string record;             // what error texts call them: "data/0"
  uint64_t offset = 0;            // where they start in the source
  uint64_t stored = 0;            // how many the source holds
  uint64_t size = 0;              // how many they are, once inflated
  uint64_t skip = 0;              // inflated bytes that come before them
  bool deflated = false;          // otherwise stored == size and skip == 0
  std::optional<uint32_t> crc{};  // of the `size` bytes

  // Bytes [begin, begin + count) of those that are not deflated. They have no CRC.
  StoredBytes part(uint64_t begin, uint64_t count) const;
  // The first min(count, size) bytes, unchecked.
  std::string prefix(uint64_t count) const;
  // The rest after the first `count` bytes, which prefix() has given.
  StoredBytes after(const std::string& prefix) const;

  // Throws IOError: the file, the record, where it starts, and the problem.
  [[noreturn]] void fail(const std::string& problem) const;
};

struct ReadJob {
  StoredBytes bytes;
  void* to;    // null: read them to nowhere
  bool check;  // compare the CRC, if there is one
};
// Does all the jobs, sharing them out among all threads. Throws IOError.
void read_together(const std::vector<ReadJob>& jobs);

}  // namespace tarn::detail
