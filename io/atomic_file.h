#pragma once
// AtomicFile: replaces a file completely or not at all.

#include <string>

#include "tarn/io/byte_stream.h"

namespace tarn::detail {

// Writes beside `path` under a temporary name and moves the result over `path` in commit(). Until
// then, and after any failure, `path` holds what it held before and no temporary file stays behind
// (unless the process is killed). Two writers of one path each make a complete file; the later
// commit wins.
//
// An existing file keeps its permission bits; a symbolic link keeps pointing at the file it names,
// which is the one replaced. Anything but a regular file is refused. Every error is an IOError that
// names the path and the system's reason.
class AtomicFile final : public ByteSink {
 public:
  // durable: commit() returns only once the data and its name have reached the disk.
  explicit AtomicFile(const std::string& path, bool durable = true);
  ~AtomicFile() override;
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t size) override;
  // Call once, last.
  void commit();

 private:
  [[noreturn]] void fail(const char* action, int code);
  void flush();
  void write_through(const char* data, size_t size);
  void sync_directory();

  std::string path_;       // as the user spelled it
  std::string target_;     // with a final symbolic link resolved
  std::string temporary_;  // "" once it is gone
  std::string buffer_;     // gathers small writes
  int fd_ = -1;
  bool durable_;
};

// Deletes the temporary files in a folder whose writers no longer live. Best effort: where the file
// system has no locks, they stay.
void remove_abandoned_files(const std::string& folder);

}  // namespace tarn::detail
