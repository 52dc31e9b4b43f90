// This program's definitions of these calls stand before the C library's.
#include "tarn/tests/io/system_calls.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdarg>

namespace tarn::testing {
namespace {

SystemCalls* active = nullptr;

template <typename F>
F* next(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

// What the calls below do first.
struct SystemCallHook {
  // Whether the call is to fail, with errno set.
  static bool fails(const char* name, const std::string& path, const std::string& data = "") {
    active->made_.push_back({name, path, data});
    if (active->made_.size() != active->at_) return false;
    if (active->fault_ == Fault::Kill) raise(SIGKILL);
    if (active->fault_ != Fault::Error) return false;
    active->made_.back().failed = true;
    errno = active->code_;
    return true;
  }
  static bool fails_fd(const char* name, int fd) {
    return is_watched(fd) && fails(name, path_of(fd));
  }
  static bool is_watched(int fd) { return active != nullptr && !path_of(fd).empty(); }
  static bool is_inside(const char* path) {
    return active != nullptr && std::string(path).starts_with(active->folder_);
  }
  static void opened(int fd, const char* path) {
    if (fd < 0) return;
    if (active->open_.size() <= size_t(fd)) active->open_.resize(size_t(fd) + 1);
    active->open_[size_t(fd)] = path;
  }
  static void closed(int fd) { active->open_[size_t(fd)].clear(); }
  static ssize_t write(int fd, const void* data, size_t size) {
    const auto write_on = next<ssize_t(int, const void*, size_t)>("write");
    if (!is_watched(fd)) return write_on(fd, data, size);
    const bool here = active->made_.size() + 1 == active->at_;
    if (here && active->fault_ == Fault::Kill) write_on(fd, data, size / 2);
    if (fails("write", path_of(fd))) return -1;
    if (here && active->fault_ == Fault::Nothing) return 0;
    if (here && active->fault_ == Fault::Short) size = (size + 1) / 2;
    active->made_.back().data.assign(static_cast<const char*>(data), size);
    return write_on(fd, data, size);
  }

 private:
  static const std::string& path_of(int fd) {
    static const std::string none;
    return fd >= 0 && size_t(fd) < active->open_.size() ? active->open_[size_t(fd)] : none;
  }
};

SystemCalls::SystemCalls(std::string folder, Fault fault, size_t at, int code)
    : folder_(std::move(folder)), fault_(fault), at_(at), code_(code) {
  if (folder_.ends_with('/')) folder_.pop_back();
  active = this;
}
SystemCalls::~SystemCalls() { active = nullptr; }

}  // namespace tarn::testing

using Hook = tarn::testing::SystemCallHook;

extern "C" {
int open(const char* path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  const bool watched = Hook::is_inside(path) && (flags & (O_CREAT | O_DIRECTORY)) != 0;
  if (watched && Hook::fails("open", path)) return -1;
  const int fd = tarn::testing::next<int(const char*, int, ...)>("open")(path, flags, mode);
  if (watched) Hook::opened(fd, path);
  return fd;
}
int flock(int fd, int operation) noexcept {
  if (Hook::fails_fd("flock", fd)) return -1;
  return tarn::testing::next<int(int, int)>("flock")(fd, operation);
}
int fchmod(int fd, mode_t mode) noexcept {
  if (Hook::fails_fd("fchmod", fd)) return -1;
  return tarn::testing::next<int(int, mode_t)>("fchmod")(fd, mode);
}
ssize_t write(int fd, const void* data, size_t size) { return Hook::write(fd, data, size); }
int fsync(int fd) {
  if (Hook::fails_fd("fsync", fd)) return -1;
  return tarn::testing::next<int(int)>("fsync")(fd);
}
int close(int fd) {
  const bool watched = Hook::is_watched(fd), failing = Hook::fails_fd("close", fd);
  const int error = errno;
  const int result = tarn::testing::next<int(int)>("close")(fd);
  if (watched) Hook::closed(fd);
  if (failing) errno = error;
  return failing ? -1 : result;
}
int rename(const char* from, const char* to) noexcept {
  if (Hook::is_inside(from) && Hook::fails("rename", from, to)) return -1;
  return tarn::testing::next<int(const char*, const char*)>("rename")(from, to);
}
}
