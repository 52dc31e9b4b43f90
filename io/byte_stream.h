#pragma once
// Where file formats read from and write to: a file, a block of memory, a std::ostream.

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <mutex>
#include <string>

namespace tarn::detail {

// Random access to bytes whose number is known from the start, so that every length a file states
// can be checked against it before memory is asked for.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  // What error texts call it: the path, or "<memory>".
  const std::string& name() const noexcept { return name_; }
  uint64_t size() const noexcept { return size_; }
  // Copies bytes [offset, offset + size) to `to`. Throws IOError when they are not all there. May
  // be called by several threads at once.
  void read(uint64_t offset, void* to, size_t size) const;
  std::string read_text(uint64_t offset, size_t size) const;
  // All the bytes as memory, which may be written to without changing the source; null where that
  // is not possible. It lives as long as a copy of the pointer does.
  virtual std::shared_ptr<char[]> map() const { return nullptr; }

 protected:
  ByteSource(std::string name, uint64_t size) : name_(std::move(name)), size_(size) {}
  virtual void do_read(uint64_t offset, void* to, size_t size) const = 0;

 private:
  std::string name_;
  uint64_t size_;
};

// A regular file, opened for reading. Its size is taken once; a file that shrinks later throws
// IOError.
class FileSource final : public ByteSource {
 public:
  // Throws IOError with the path and the system's reason; also for a directory, a pipe or a device.
  explicit FileSource(const std::string& path);
  ~FileSource() override;
  // Throws IOError with the system's reason.
  std::shared_ptr<char[]> map() const override;

 private:
  struct Opened {
    int fd;
    uint64_t size;
  };
  static Opened open(const std::string& path);
  FileSource(const std::string& path, Opened opened)
      : ByteSource(path, opened.size), fd_(opened.fd) {}
  void do_read(uint64_t offset, void* to, size_t size) const override;

  int fd_;
  mutable std::mutex mutex_;
  mutable std::weak_ptr<char[]> map_;
};

// Memory of the caller's, which must outlive the source, or a string of its own.
class MemorySource final : public ByteSource {
 public:
  MemorySource(std::string bytes, std::string name)
      : ByteSource(std::move(name), bytes.size()), owned_(std::move(bytes)), data_(owned_.data()) {}
  MemorySource(const void* data, size_t size, std::string name = "<memory>")
      : ByteSource(std::move(name), size), data_(static_cast<const char*>(data)) {}

 private:
  void do_read(uint64_t offset, void* to, size_t size) const override;

  std::string owned_;
  const char* data_;
};

// Takes bytes in order.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  // Throws IOError when the bytes could not all be written.
  virtual void write(const void* data, size_t size) = 0;

 protected:
  ByteSink() = default;
  ByteSink(const ByteSink&) = default;
  ByteSink& operator=(const ByteSink&) = default;
};

// Writes to a stream of the caller's.
class StreamSink final : public ByteSink {
 public:
  explicit StreamSink(std::ostream& stream) : stream_(stream) {}
  void write(const void* data, size_t size) override;
  // Flushes the stream. Throws IOError when that fails.
  void finish();

 private:
  std::ostream& stream_;
};

// Everything left in a stream. Throws IOError when reading fails.
std::string read_all(std::istream& stream);

// "No space left on device" and the like, for the current or a given errno.
std::string errno_text(int code);

}  // namespace tarn::detail
