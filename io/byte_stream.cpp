#include "tarn/io/byte_stream.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <istream>
#include <iterator>
#include <ostream>
#include <system_error>

#include "tarn/device/check.h"

namespace tarn::detail {

std::string errno_text(int code) { return std::generic_category().message(code); }

void ByteSource::read(uint64_t offset, void* to, size_t size) const {
  if (offset > size_ || size > size_ - offset) {
    throw IOError(str("[load] ", name_, ": bytes ", offset, " to ", offset, "+", size,
                      " lie beyond the end of the file of ", size_, " bytes"));
  }
  if (size > 0) do_read(offset, to, size);
}

std::string ByteSource::read_text(uint64_t offset, size_t size) const {
  // Refused before the memory is asked for.
  if (offset > size_ || size > size_ - offset) read(offset, nullptr, size);
  std::string text(size, '\0');
  read(offset, text.data(), size);
  return text;
}

FileSource::Opened FileSource::open(const std::string& path) {
  // O_NONBLOCK: opening a pipe nobody writes to must report an error instead of waiting.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) throw IOError(str("[load] cannot open ", path, ": ", errno_text(errno)));
  struct stat info {};
  std::string problem;
  if (::fstat(fd, &info) != 0) {
    problem = errno_text(errno);
  } else if (S_ISDIR(info.st_mode)) {
    problem = "it is a directory";
  } else if (!S_ISREG(info.st_mode)) {
    problem = "it is not a regular file. HINT: load() also takes a std::istream";
  }
  if (!problem.empty()) {
    ::close(fd);
    throw IOError(str("[load] cannot read ", path, ": ", problem));
  }
  return {fd, static_cast<uint64_t>(info.st_size)};
}

FileSource::FileSource(const std::string& path) : FileSource(path, open(path)) {}

FileSource::~FileSource() { ::close(fd_); }

std::shared_ptr<char[]> FileSource::map() const {
  const std::lock_guard lock(mutex_);
  if (auto existing = map_.lock()) return existing;
  const size_t bytes = size();
  void* memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd_, 0);
  if (memory == MAP_FAILED) {
    throw IOError(str("[load] cannot map ", name(), ": ", errno_text(errno)));
  }
  const std::shared_ptr<char[]> created(static_cast<char*>(memory),
                                        [bytes](char* mapped) { ::munmap(mapped, bytes); });
  map_ = created;
  return created;
}

void FileSource::do_read(uint64_t offset, void* to, size_t size) const {
  auto* out = static_cast<char*>(to);
  while (size > 0) {
    // One call moves less than 2 GiB on Linux whatever it is asked for.
    const ssize_t got = ::pread(fd_, out, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      throw IOError(str("[load] cannot read ", name(), ": ",
                        got < 0 ? errno_text(errno) : "the file became shorter while it was read"));
    }
    out += got;
    offset += static_cast<uint64_t>(got);
    size -= static_cast<size_t>(got);
  }
}

void MemorySource::do_read(uint64_t offset, void* to, size_t size) const {
  std::memcpy(to, data_ + offset, size);
}

void StreamSink::write(const void* data, size_t size) {
  if (!stream_.write(static_cast<const char*>(data), static_cast<std::streamsize>(size))) {
    throw IOError("[save] the output stream is closed or failed");
  }
}

void StreamSink::finish() {
  if (!stream_.flush()) throw IOError("[save] the output stream failed while it was flushed");
}

std::string read_all(std::istream& stream) {
  if (!stream) throw IOError("[load] the input stream is closed or failed");
  std::string bytes{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (stream.bad()) throw IOError("[load] the input stream failed");
  return bytes;
}

}  // namespace tarn::detail
