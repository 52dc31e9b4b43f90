#pragma once
// The system calls that write a file: recorded, and made to fail.

#include <string>
#include <vector>

namespace tarn::testing {

enum class Fault {
  None,
  Error,    // the call fails with errno `code`
  Short,    // a write takes half of its bytes
  Nothing,  // a write takes none of its bytes
  Kill,     // the process ends as by kill -9, a write half done
};

struct SystemCall {
  std::string name;  // open, flock, fchmod, write, fsync, close or rename
  std::string path;
  std::string data{};  // of a write: the bytes taken; of a rename: the new path
  bool failed = false;
};

// While it lives, calls of this process that change `folder` or the files opened in it are
// recorded, and the `at`-th of them, from 1, meets the fault. One at a time, on one thread.
class SystemCalls {
 public:
  explicit SystemCalls(std::string folder, Fault fault = Fault::None, size_t at = 0, int code = 0);
  ~SystemCalls();
  SystemCalls(const SystemCalls&) = delete;
  SystemCalls& operator=(const SystemCalls&) = delete;

  const std::vector<SystemCall>& made() const { return made_; }

 private:
  friend struct SystemCallHook;
  std::string folder_;
  Fault fault_;
  size_t at_;
  int code_;
  std::vector<SystemCall> made_;
  std::vector<std::string> open_;  // fd -> path
};

}  // namespace tarn::testing
