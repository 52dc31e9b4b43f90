// Whatever fails while a file is saved, and wherever the program or the machine stops: the path
// holds the old file or the new one, whole.

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <iomanip>
#include <optional>
#include <set>
#include <sstream>

#include "tarn/core/factories.h"
#include "tarn/device/parallel.h"
#include "tarn/io/atomic_file.h"
#include "tarn/io/serialize.h"
#include "tarn/tests/io/scratch.h"
#include "tarn/tests/io/system_calls.h"
#include "tarn/tests/support/catch.h"

namespace tarn::testing {
namespace {

// What a path held before, and holds after a save.
struct Files {
  Scratch scratch;
  std::string name;
  std::optional<std::string> before;  // nullopt: no such file
  std::string after;
  Value value = Value::dict({{"w", arange(40'000)}, {"b", ones({70'000})}, {"epoch", 3}});

  Files(std::string name_, bool existed) : name(std::move(name_)) {
    if (name.ends_with(".safetensors")) {
      value = Value::dict({{"w", arange(40'000)}, {"b", ones({70'000})}});
    }
    save(value, scratch / name);
    after = scratch.text(name);
    std::filesystem::remove(scratch / name);
    if (!existed) return;
    save(Value::dict({{"w", zeros({100})}}), scratch / name);
    before = scratch.text(name);
  }
  void reset() const {
    for (const std::string& file : scratch.files()) std::filesystem::remove(scratch / file);
    if (before) scratch.put(name, *before);
  }
  // "old", "new", or what else the path holds.
  std::string held() const {
    if (!std::filesystem::exists(scratch / name)) return before ? "NOTHING" : "old";
    const std::string text = scratch.text(name);
    return text == after ? "new" : before && text == *before ? "old" : "BROKEN";
  }
  // Names beside the path.
  size_t others() const {
    return scratch.files().size() - (std::filesystem::exists(scratch / name) ? 1 : 0);
  }
};

// What became of a save that met a fault in its `at`-th call, in a word or two; capitals are what
// must not be.
std::string outcome(const Files& files, const SaveOptions& options, Fault fault, size_t at,
                    int code) {
  files.reset();
  std::string thrown;
  {
    const SystemCalls calls(files.scratch / "", fault, at, code);
    try {
      save(files.value, files.scratch / files.name, options);
    } catch (const IOError& error) {
      thrown = error.what();
    }
  }
  const std::string held = files.held();
  const bool not_durable = thrown.find("written, but its name may be lost") != std::string::npos;
  const bool promised = thrown.empty() || not_durable;
  if (held != (promised ? "new" : "old")) return "path " + held + " AGAINST: " + thrown;
  if (files.others() != 0) return "LEFT a temporary file";
  if (thrown.empty()) return held;
  const int shown = fault == Fault::Nothing ? EIO : code;
  if (!thrown.starts_with("[save] ") ||
      thrown.find(files.scratch / files.name) == std::string::npos ||
      thrown.find(detail::errno_text(shown)) == std::string::npos) {
    return "UNCLEAR: " + thrown;
  }
  return held + '!';
}

std::string outcome_of_kill(const Files& files, const SaveOptions& options, size_t at) {
  files.reset();
  const pid_t child = fork();
  if (child == 0) {
    const SerialGuard alone;  // the other threads stayed in the parent
    const SystemCalls calls(files.scratch / "", Fault::Kill, at);
    save(files.value, files.scratch / files.name, options);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) return "SURVIVED";
  const std::string held = files.held();
  if (held != "old" && held != "new") return "path " + held;
  if (files.others() > 1) return "LEFT several files";
  detail::remove_abandoned_files(files.scratch / "");
  return files.others() == 0 ? held : "CANNOT clean up";
}

// The calls of a save without a fault.
std::vector<SystemCall> calls_of(const Files& files, const SaveOptions& options) {
  files.reset();
  const SystemCalls calls(files.scratch / "");
  save(files.value, files.scratch / files.name, options);
  return calls.made();
}

bool has_capitals(const std::string& text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

}  // namespace

TEST_CASE("every system call of a save may fail or be the last, in every way", "[crash]") {
  struct Column {
    const char* name;
    Fault fault;
    int code = 0;
  };
  const Column columns[] = {{"EIO", Fault::Error, EIO},       {"ENOSPC", Fault::Error, ENOSPC},
                            {"EDQUOT", Fault::Error, EDQUOT}, {"EINTR", Fault::Error, EINTR},
                            {"short", Fault::Short},          {"nothing", Fault::Nothing},
                            {"SIGKILL", Fault::Kill}};
  struct Case {
    const char* name;
    bool existed, durable;
  };
  for (const auto& [name, existed, durable] : {Case{"x.pt", true, true},
                                               {"x.pt", true, false},
                                               {"x.pt", false, true},
                                               {"x.safetensors", true, true}}) {
    const Files files(name, existed);
    const SaveOptions options{.durable = durable};
    const auto calls = calls_of(files, options);
    std::ostringstream table;
    table << name << (existed ? ", over an old file" : ", new")
          << (durable ? ", durable" : ", not durable") << "; '!': save() threw\n"
          << std::left << std::setw(10) << "";
    for (const Column& column : columns) table << std::setw(8) << column.name;
    bool good = true;
    for (size_t at = 1; at <= calls.size(); ++at) {
      table << '\n' << std::setw(2) << at << ' ' << std::setw(7) << calls[at - 1].name;
      for (const Column& column : columns) {
        std::string cell = "-";
        if (column.fault == Fault::Kill) {
          cell = outcome_of_kill(files, options, at);
        } else if (column.fault == Fault::Error || calls[at - 1].name == "write") {
          cell = outcome(files, options, column.fault, at, column.code);
        }
        good &= !has_capitals(cell);
        table << std::setw(8) << cell;
      }
    }
    INFO(table.str());
    CHECK(good);
    CHECK(calls.size() > (durable ? 9 : 6));
  }
}

namespace {

// What may be found under the saved path after the power failed behind the first `count` calls: of
// data that were not synced any part may be lost or zero, of a rename that was not, all.
std::set<std::string> after_power_loss(const Files& files, const std::vector<SystemCall>& calls,
                                       size_t count) {
  std::string written, synced;
  bool renamed = false, rename_synced = false;
  for (size_t i = 0; i < count; ++i) {
    const SystemCall& call = calls[i];
    const bool is_folder = call.path + "/" == files.scratch / "";
    if (call.name == "write") written += call.data;
    if (call.name == "fsync" && !is_folder) synced = written;
    if (call.name == "rename") renamed = true;
    if (call.name == "fsync" && is_folder) rename_synced = renamed;
  }
  std::set<std::string> found;
  if (!rename_synced) found.insert(files.before.value_or("(no file)"));
  if (!renamed) return found;
  const size_t lost = written.size() - synced.size();
  for (const size_t kept : {size_t{0}, lost / 3, lost / 2, lost}) {
    const std::string part = written.substr(0, synced.size() + kept);
    found.insert(part);
    found.insert(part + std::string(lost - kept, '\0'));
  }
  return found;
}

}  // namespace

TEST_CASE("a power failure at any time leaves the old file or the new one, whole", "[crash]") {
  for (const bool existed : {true, false}) {
    const Files files("x.pt", existed);
    const std::string before = files.before.value_or("(no file)");
    for (const bool durable : {true, false}) {
      const auto calls = calls_of(files, {.durable = durable});
      size_t states = 0, broken = 0;
      for (size_t count = 0; count <= calls.size(); ++count) {
        for (const std::string& state : after_power_loss(files, calls, count)) {
          ++states;
          broken += state != before && state != files.after;
        }
      }
      INFO(states << " states after " << calls.size() << " calls, " << broken << " broken");
      // Not being durable is what lets the system keep the data back until after the rename.
      CHECK((broken == 0) == durable);
      if (durable) {
        CHECK(after_power_loss(files, calls, calls.size()) == std::set<std::string>{files.after});
      }
    }
  }
}

TEST_CASE("a folder that may not be written to keeps its file", "[crash]") {
  const Files files("x.pt", true);
  files.reset();
  namespace fs = std::filesystem;
  fs::permissions(files.scratch / "", static_cast<fs::perms>(0555));
  fs::permissions(files.scratch / "x.pt", fs::perms::all);
  const bool is_root = geteuid() == 0;  // who may write anywhere
  if (is_root) REQUIRE(seteuid(65534) == 0);
  std::string thrown;
  try {
    save(files.value, files.scratch / "x.pt");
  } catch (const IOError& error) {
    thrown = error.what();
  }
  if (is_root) REQUIRE(seteuid(0) == 0);
  fs::permissions(files.scratch / "", fs::perms::owner_all);
  CHECK(thrown == "[save] cannot create a file beside it: " + (files.scratch / "x.pt") +
                      ": Permission denied");
  CHECK(files.held() == "old");
}

TEST_CASE("a file that another program shortens after it was opened is an error", "[crash]") {
  const Files files("x.pt", true);
  save(files.value, files.scratch / "x.pt");
  const TensorFile file = open(files.scratch / "x.pt");
  std::filesystem::resize_file(files.scratch / "x.pt", 1000);
  CHECK_THROWS_WITH_TEXT(file.at("b"), "the file became shorter while it was read");
}

TEST_CASE("a file that is saved anew after it was opened stays readable as it was", "[crash]") {
  const Files files("x.pt", true);
  files.reset();
  const TensorFile file = open(files.scratch / "x.pt");
  save(files.value, files.scratch / "x.pt");
  CHECK(file.at("w").equal(zeros({100})));
  CHECK(load(files.scratch / "x.pt").at("w").to_tensor().equal(arange(40'000)));
}

}  // namespace tarn::testing
