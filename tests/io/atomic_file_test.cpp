// The writer replaces a file completely or not at all, whatever fails on the way.

#include "tarn/io/atomic_file.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tarn/device/check.h"
#include "tarn/tests/io/scratch.h"
#include "tarn/tests/support/catch.h"

namespace {

// The system calls below go through here: the `countdown`-th call of `name` fails with `error`.
struct Fault {
  std::string name;
  int countdown = 0;
  int error = 0;
};
Fault fault;
int calls = 0;  // of fault.name

bool fails(const char* name) {
  if (fault.name != name) return false;
  ++calls;
  if (--fault.countdown != 0) return false;
  errno = fault.error;
  return true;
}
template <typename F>
F* next(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

// This program's definitions stand before the C library's.
extern "C" {
ssize_t write(int fd, const void* data, size_t size) {
  if (fails("write")) return -1;
  if (fails("write nothing")) return 0;
  // A short write is legal; the caller must go on.
  if (fault.name == "short write" && size > 1) size /= 2;
  return next<ssize_t(int, const void*, size_t)>("write")(fd, data, size);
}
int fsync(int fd) {
  struct stat info {};
  fstat(fd, &info);
  if (fails(S_ISDIR(info.st_mode) ? "fsync directory" : "fsync")) return -1;
  return next<int(int)>("fsync")(fd);
}
int rename(const char* from, const char* to) noexcept {
  if (fails("rename")) return -1;
  return next<int(const char*, const char*)>("rename")(from, to);
}
int fchmod(int fd, mode_t mode) noexcept {
  if (fails("fchmod")) return -1;
  return next<int(int, mode_t)>("fchmod")(fd, mode);
}
int close(int fd) {
  const bool failing = fails("close");
  const int error = errno;
  const int result = next<int(int)>("close")(fd);
  if (failing) errno = error;
  return failing ? -1 : result;
}
}

namespace {

using tarn::detail::AtomicFile;
using tarn::testing::Scratch;

// Whatever happens in a test, the next one starts without a fault.
struct FaultScope {
  FaultScope(const std::string& name, int countdown, int error) {
    fault = {name, countdown, error};
    calls = 0;
  }
  ~FaultScope() { fault = {}; }
};

void replace(const std::string& path, const std::string& text, bool durable = true) {
  AtomicFile file(path, durable);
  file.write(text.data(), text.size());
  file.commit();
}

std::string error_of(const std::string& path, const std::string& text) {
  try {
    replace(path, text);
  } catch (const tarn::IOError& error) {
    return error.what();
  }
  return "(nothing was thrown)";
}

TEST_CASE("a committed file holds what was written, an abandoned one nothing") {
  const Scratch scratch;
  const std::string path = scratch / "file";
  const std::string large(1'000'000, 'x');
  {
    AtomicFile file(path);
    file.write("ab", 2);
    file.write(large.data(), large.size());
    file.write("cd", 2);
    CHECK_FALSE(std::filesystem::exists(path));
    file.commit();
  }
  CHECK(scratch.text("file") == "ab" + large + "cd");
  {
    AtomicFile file(path);
    file.write("new", 3);
  }
  CHECK(scratch.text("file") == "ab" + large + "cd");
  CHECK(scratch.files() == std::vector<std::string>{"file"});
}

TEST_CASE("every system call that can fail leaves the old file and no other") {
  const Scratch scratch;
  const std::string path = scratch / "file";
  replace(path, "old");
  const std::string text(600'000, 'n');
  for (const char* name : {"write", "write nothing", "fsync", "rename", "fchmod"}) {
    for (const int code : {EIO, ENOSPC, EDQUOT}) {
      INFO(name << " fails with " << code);
      const FaultScope scope(name, 1, code);
      const std::string error = error_of(path, text);
      CHECK(calls == 1);
      CHECK(error.find("[save] cannot ") == 0);
      CHECK(error.find(path) != std::string::npos);
      const int shown = std::string(name) == "write nothing" ? EIO : code;
      CHECK(error.find(tarn::detail::errno_text(shown)) != std::string::npos);
      CHECK(scratch.text("file") == "old");
      CHECK(scratch.files() == std::vector<std::string>{"file"});
    }
  }
}

TEST_CASE("a failing close leaves the old file and no other") {
  const Scratch scratch;
  const std::string path = scratch / "file";
  replace(path, "old");
  AtomicFile file(path);
  file.write("new", 3);
  const FaultScope scope("close", 1, EIO);
  CHECK_THROWS_WITH_TEXT(file.commit(), "cannot close");
  CHECK(scratch.text("file") == "old");
  CHECK(scratch.files() == std::vector<std::string>{"file"});
}

TEST_CASE("a directory that cannot be synced is reported, with the new file in place") {
  const Scratch scratch;
  const std::string path = scratch / "file";
  replace(path, "old");
  const FaultScope scope("fsync directory", 1, EIO);
  CHECK(error_of(path, "new").find("its name may be lost") != std::string::npos);
  CHECK(scratch.text("file") == "new");
  CHECK(scratch.files() == std::vector<std::string>{"file"});
}

TEST_CASE("interrupted and short writes go on") {
  const Scratch scratch;
  const std::string text = std::string(400'000, 'a') + std::string(400'000, 'b');
  {
    const FaultScope scope("write", 1, EINTR);
    replace(scratch / "file", text);
    CHECK(calls > 1);
  }
  CHECK(scratch.text("file") == text);
  {
    const FaultScope scope("short write", 0, 0);
    replace(scratch / "file", "!" + text);
  }
  CHECK(scratch.text("file") == "!" + text);
}

TEST_CASE("only durable writing waits for the disk") {
  const Scratch scratch;
  for (const bool durable : {true, false}) {
    const FaultScope scope("fsync", 1000, EIO);
    replace(scratch / "file", "text", durable);
    CHECK(calls == (durable ? 1 : 0));
  }
}

TEST_CASE("a file size limit is an error, not a signal, and leaves the old file") {
  const Scratch scratch;
  const std::string path = scratch / "file";
  replace(path, "old");
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit = before;
  limit.rlim_cur = 100'000;
  setrlimit(RLIMIT_FSIZE, &limit);
  const std::string error = error_of(path, std::string(500'000, 'x'));
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(error.find("File too large") != std::string::npos);
  CHECK(scratch.text("file") == "old");
  CHECK(scratch.files() == std::vector<std::string>{"file"});
}

TEST_CASE("paths that are no file are refused with the system's reason") {
  const Scratch scratch;
  CHECK(error_of(scratch / "absent/file", "x").find("No such file or directory") !=
        std::string::npos);
  CHECK(error_of(scratch / ".", "x").find("Is a directory") != std::string::npos);
  CHECK(error_of("", "x").find("No such file or directory") != std::string::npos);
  CHECK(error_of("/dev/full", "x").find("not a regular file") != std::string::npos);
  replace(scratch / "file", "old");
  CHECK(error_of(scratch / "file/inside", "x").find("Not a directory") != std::string::npos);
  CHECK(error_of(scratch / std::string(300, 'n'), "x").find("File name too long") !=
        std::string::npos);
  replace(scratch / std::string(255, 'n'), "x");
  CHECK(scratch.files().size() == 2);
}

TEST_CASE("an existing file keeps its permissions, a new one gets the usual") {
  const Scratch scratch;
  const std::string path = scratch / "file";
  const mode_t mask = umask(027);
  replace(path, "a");
  struct stat info {};
  REQUIRE(stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0640);
  chmod(path.c_str(), 0604);
  replace(path, "b");
  REQUIRE(stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0604);
  umask(mask);
}

TEST_CASE("a symbolic link stays and the file it names is replaced") {
  const Scratch scratch;
  std::filesystem::create_directory(scratch / "real");
  replace(scratch / "real/file", "old");
  std::filesystem::create_symlink("real/file", scratch / "link");
  replace(scratch / "link", "new");
  CHECK(std::filesystem::is_symlink(scratch / "link"));
  CHECK(scratch.text("real/file") == "new");
  std::filesystem::create_symlink("nowhere", scratch / "dangling");
  CHECK(error_of(scratch / "dangling", "x").find("cannot follow the link") != std::string::npos);
}

TEST_CASE("of several writers at once, each leaves a whole file and the last one stays") {
  const Scratch scratch;
  const std::string path = scratch / "file";
  std::vector<std::thread> writers;
  for (char c = 'a'; c < 'i'; ++c) {
    writers.emplace_back([&path, c] {
      for (int i = 0; i < 20; ++i) replace(path, std::string(300'000, c), false);
    });
  }
  for (std::thread& writer : writers) writer.join();
  const std::string text = scratch.text("file");
  CHECK(text.size() == 300'000);
  CHECK(text == std::string(300'000, text[0]));
  CHECK(scratch.files() == std::vector<std::string>{"file"});
}

}  // namespace
