#include "tarn/io/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <utility>

#include "tarn/device/check.h"

namespace tarn::detail {
namespace {

constexpr size_t kBufferSize = 256 * 1024;
constexpr std::string_view kMark = ".tarn-", kEnd = ".tmp";  // of temporary names

// Unlike any other saver's name, in this process or another.
std::string temporary_name(const std::string& target) {
  static std::atomic<unsigned> counter{0};
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  const std::filesystem::path path(target);
  // Cut short, so that a name of the longest length allowed can still be saved.
  const std::string start = path.filename().string().substr(0, 100);
  const std::string name =
      str(".", start, kMark, ::getpid(), "-", now, "-", counter.fetch_add(1), kEnd);
  return (path.parent_path() / name).string();
}

std::string parent_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

// Opens a new file and locks it: that is how others see that its writer lives. Between the two
// steps one of them may have taken it for abandoned and deleted it; then -1 with errno ENOENT.
int create_locked(const std::string& name) {
  const int fd = ::open(name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
  struct stat info {};
  if (fd < 0 || ::flock(fd, LOCK_EX | LOCK_NB) != 0 || ::fstat(fd, &info) != 0 || info.st_nlink > 0)
    return fd;
  ::close(fd);
  errno = ENOENT;
  return -1;
}

// The permission bits for a new file, as open(path, O_CREAT, 0666) would choose them.
mode_t new_file_mode() {
  // umask() can only be read by setting it, which races with other threads; Linux also lists it
  // here.
  if (const int fd = ::open("/proc/self/status", O_RDONLY | O_CLOEXEC); fd >= 0) {
    char text[512] = {};
    const ssize_t size = ::read(fd, text, sizeof text - 1);
    ::close(fd);
    const size_t at = std::string(text, size > 0 ? static_cast<size_t>(size) : 0).find("Umask:");
    if (at != std::string::npos) {
      return 0666 & ~static_cast<mode_t>(std::strtoul(text + at + 6, nullptr, 8));
    }
  }
  return 0600;
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path, bool durable)
    : path_(path), target_(path), durable_(durable) {
  struct stat info {};
  mode_t mode = 0;
  if (::lstat(path.c_str(), &info) == 0 && S_ISLNK(info.st_mode)) {
    std::error_code error;
    target_ = std::filesystem::canonical(path, error).string();
    if (error) fail("follow the link", error.value());
  }
  if (::stat(target_.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) fail("write", EISDIR);
    if (!S_ISREG(info.st_mode)) {
      throw IOError(str("[save] cannot replace ", path_,
                        ": it is not a regular file. HINT: save() also takes a std::ostream"));
    }
    // A rename needs no right to write the old file, but who made it read-only means it.
    if (::access(target_.c_str(), W_OK) != 0) fail("write", errno);
    mode = info.st_mode & 07777;
  } else if (errno != ENOENT) {
    fail("write", errno);
  } else {
    mode = new_file_mode();
  }
  std::string name;
  do {
    name = temporary_name(target_);
    fd_ = create_locked(name);
  } while (fd_ < 0 && errno == ENOENT && ::access(parent_of(target_).c_str(), F_OK) == 0);
  if (fd_ < 0) fail("create a file beside it", errno);
  temporary_ = name;
  if (::fchmod(fd_, mode) != 0) fail("set the permissions", errno);
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::fail(const char* action, int code) {
  // A constructor that throws runs no destructor, so the cleaning is done here.
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
  throw IOError(str("[save] cannot ", action, ": ", path_, ": ", errno_text(code)));
}

void AtomicFile::write(const void* data, size_t size) {
  const auto* bytes = static_cast<const char*>(data);
  if (buffer_.size() + size <= kBufferSize) {
    buffer_.append(bytes, size);
    return;
  }
  flush();
  if (size <= kBufferSize) {
    buffer_.append(bytes, size);
  } else {
    write_through(bytes, size);
  }
}

void AtomicFile::flush() {
  write_through(buffer_.data(), buffer_.size());
  buffer_.clear();
}

void AtomicFile::write_through(const char* data, size_t size) {
  TARN_CHECK(fd_ >= 0, "[save] ", path_, ": written to after it was closed");
  while (size > 0) {
    const ssize_t written = ::write(fd_, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail("write", written < 0 ? errno : EIO);
    data += written;
    size -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  flush();
  // A failed fsync is final: the kernel marks the pages clean, so a second one would report
  // success.
  if (durable_ && ::fsync(fd_) != 0) fail("write to the disk", errno);
  const int fd = std::exchange(fd_, -1);
  if (::close(fd) != 0 && errno != EINTR) fail("close", errno);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail("replace", errno);
  temporary_.clear();
  if (durable_) sync_directory();
}

void AtomicFile::sync_directory() {
  const int fd = ::open(parent_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int code = fd < 0 || ::fsync(fd) != 0 ? errno : 0;
  if (fd >= 0) ::close(fd);
  // Some file systems cannot sync a directory; nothing more can be asked of them.
  if (code != 0 && code != EINVAL && code != ENOTSUP) {
    throw IOError(str("[save] ", path_, ": written, but its name may be lost in a power failure: ",
                      errno_text(code)));
  }
}

void remove_abandoned_files(const std::string& folder) {
  std::error_code error;
  std::filesystem::directory_iterator at(folder, error), end;
  for (; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (!name.starts_with('.') || !name.ends_with(kEnd) || name.find(kMark) == std::string::npos)
      continue;
    const int fd = ::open(at->path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) continue;
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) ::unlink(at->path().c_str());
    ::close(fd);
  }
}

}  // namespace tarn::detail
