#include "tarn/device/check.h"

#include <string>
#include <type_traits>
#include <vector>

#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/run_self.h"

using namespace tarn;

TEST_CASE("str concatenates its arguments as a stream prints them") {
  CHECK(str("got ", 3, " of ", 4u, ", ", 1.5, ' ', true) == "got 3 of 4, 1.5 1");
  CHECK(str(std::string("a"), "b", std::string_view("c")) == "abc");
  CHECK(str("alone") == "alone");
  CHECK(str(7) == "7");
}

TEST_CASE("a failed check throws Error with the concatenated text") {
  const int rows = 2;
  CHECK_THROWS_WITH_TEXT([&] { TARN_CHECK(rows == 3, "[op] rows: ", rows, " vs ", 3); }(),
                         "[op] rows: 2 vs 3");
  CHECK_THROWS_AS([&] { TARN_CHECK(false, "x"); }(), Error);
}

TEST_CASE("a passed check does not evaluate its message") {
  int evaluated = 0;
  const auto message = [&] { return ++evaluated; };
  TARN_CHECK(true, message());
  CHECK(evaluated == 0);
  CHECK_THROWS_AS([&] { TARN_CHECK(false, message()); }(), Error);
  CHECK(evaluated == 1);
}

TEST_CASE("a check is one statement and takes a condition with operators") {
  const bool a = false;
  const bool b = true;
  if (a)
    TARN_CHECK(false, "not reached");
  else
    TARN_CHECK(a || b, "not thrown");
  CHECK_THROWS_AS([&] { TARN_CHECK(a && b, "both"); }(), Error);
}

TEMPLATE_TEST_CASE("every kind of error is an Error and a std::exception with its text", "",
                   ValueError, IndexError, TypeError, ShapeError, DeviceError, IOError,
                   NotImplementedError, OutOfMemoryError) {
  CHECK(std::is_base_of_v<Error, TestType>);
  try {
    throw TestType(str("[op] bad: ", 5));
  } catch (const std::exception& error) {
    CHECK(std::string(error.what()) == "[op] bad: 5");
  }
  try {
    throw TestType("text");
  } catch (const Error& error) {
    CHECK(std::string(error.what_without_backtrace()) == "text");
  }
}

namespace {

struct Recorder : WarningHandler {
  std::vector<std::string> messages;
  void process(const std::string& message) override { messages.push_back(message); }
};

}  // namespace

TEST_CASE("warnings go to the handler that was set, and no further once it is reset") {
  WarningHandler* const before = get_warning_handler();
  REQUIRE(before != nullptr);
  Recorder recorder;
  set_warning_handler(&recorder);
  CHECK(get_warning_handler() == &recorder);
  warn("first");
  warn(str("second ", 2));
  set_warning_handler(nullptr);
  CHECK(get_warning_handler() == before);
  CHECK(recorder.messages == std::vector<std::string>{"first", "second 2"});
}

TEST_CASE("child: one warning without a handler", "[.][child-warning]") { warn("the text"); }

TEST_CASE("without a handler a warning is printed") {
  const auto child = testing::run_self("[child-warning]");
  CHECK(child.output.find("Warning: the text\n") != std::string::npos);
}
