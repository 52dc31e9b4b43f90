#pragma once
// Runs one hidden test of this binary in a process of its own, for what must not happen in this
// one: crashes, environment variables read once, resource limits, the order of destruction at exit.

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace tarn::testing {

struct ChildResult {
  int status = -1;     // exit status, or 128 + the signal that ended it
  std::string output;  // of run_self(): standard output and error together
};

inline int exit_status(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

inline ChildResult run_command(const std::string& command) {
  std::array<char, 4096> buffer{};
  FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) return {};
  ChildResult result;
  while (size_t n = fread(buffer.data(), 1, buffer.size(), pipe))
    result.output.append(buffer.data(), n);
  result.status = exit_status(pclose(pipe));
  return result;
}

// `tag` names the hidden test, such as "[child-oom]" for TEST_CASE("...", "[.][child-oom]").
// `environment` is put before the command in shell syntax, such as "A=1 B=2".
inline ChildResult run_self(const std::string& tag, const std::string& environment = "") {
  std::array<char, 4096> buffer{};
  const ssize_t length = readlink("/proc/self/exe", buffer.data(), buffer.size());
  if (length <= 0) return {};
  const std::string program(buffer.data(), static_cast<size_t>(length));
  return run_command(environment + " '" + program + "' '" + tag + "' 2>&1");
}

// Runs f() in a copy of this process and exits with the status it returns, as a program does; an
// exception aborts it. Cheap enough for hundreds. Only for hidden tests that have used neither CUDA
// nor several threads before.
template <class F>
int run_copy(F f) {
  std::fflush(nullptr);
  const pid_t copy = fork();
  if (copy == 0) std::exit([&]() noexcept -> int { return f(); }());
  int status = 0;
  return copy > 0 && waitpid(copy, &status, 0) == copy ? exit_status(status) : -1;
}

}  // namespace tarn::testing
