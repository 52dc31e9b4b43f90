// The writer replaces a file completely or not at all. crash_test.cpp: whatever fails on the way.

#include "tarn/io/atomic_file.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "tarn/device/check.h"
#include "tarn/tests/io/scratch.h"
#include "tarn/tests/support/catch.h"

namespace {

using tarn::detail::AtomicFile;
using tarn::testing::Scratch;

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
