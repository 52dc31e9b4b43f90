#include "tarn/io/log/progress.h"

#include <chrono>
#include <iomanip>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/run_self.h"
#include "tarn/tests/support/sanitizers.h"

using namespace tarn;

namespace {

// A stream and a clock to look at and to turn by hand.
struct Screen {
  std::ostringstream stream;
  double now = 1000;

  ProgressOptions options(bool terminal, int width = 100) {
    ProgressOptions result;
    result.stream = &stream;
    result.terminal = terminal;
    result.width = width;
    result.clock = [this] { return now; };
    return result;
  }
  std::string text() const { return stream.str(); }
  // Each state of the redrawn line.
  std::vector<std::string> lines() const {
    std::vector<std::string> result;
    std::istringstream all(text());
    for (std::string line; std::getline(all, line, '\r');) {
      if (!line.empty()) result.push_back(line.substr(0, line.find("\033[K")));
    }
    return result;
  }
};

}  // namespace

TEST_CASE("on a terminal the line shows percent, bar, count, rate, elapsed, ETA and text") {
  Screen screen;
  Progress bar("epoch 1/5", 400, screen.options(true));
  screen.now += 3.2;
  bar.set_text("loss 0.43");
  bar.update(100);
  REQUIRE(screen.lines().size() == 2);
  CHECK(screen.lines()[0] == "epoch 1/5   0% [" + std::string(30, '.') + "] 0/400  0.00/s  0:00");
  CHECK(screen.lines()[1] == "epoch 1/5  25% [#######" + std::string(23, '.') +
                                 "] 100/400  31.2/s  0:03 ETA 0:09  loss 0.43");
  CHECK(bar.count() == 100);
  CHECK(bar.elapsed() == Approx(3.2));
}

TEST_CASE(
    "every redraw starts at column one, erases the old line, and only the end adds a newline") {
  Screen screen;
  Progress bar("work", 10, screen.options(true));
  for (int i = 0; i < 10; ++i) {
    screen.now += 1;
    bar.update();
  }
  CHECK(screen.text().find('\n') == std::string::npos);
  bar.finish();
  const std::string text = screen.text();
  CHECK(text.front() == '\r');
  CHECK(text.find('\n') == text.size() - 1);
  CHECK(screen.lines().size() == 12);
  CHECK(screen.lines().back().find("100% [" + std::string(30, '#') + "] 10/10  1.00/s  0:10") !=
        std::string::npos);
  CHECK(screen.lines().back().find("ETA") == std::string::npos);
}

TEST_CASE("a terminal is redrawn at most ten times a second") {
  Screen screen;
  Progress bar("work", 100'000, screen.options(true));
  for (int i = 0; i < 10'000; ++i) {
    screen.now += 0.0002;
    bar.update();
  }
  const size_t drawn = screen.lines().size();
  CHECK(drawn >= 19);
  CHECK(drawn <= 21);
}

TEST_CASE("the line fits the width: the bar shrinks, goes, and then the text is cut") {
  for (int width = 1; width <= 120; ++width) {
    Screen screen;
    Progress bar("epoch 1/5", 400, screen.options(true, width));
    screen.now += 3;
    bar.set_text("loss 0.43");
    bar.update(100);
    const std::string line = screen.lines().empty() ? "" : screen.lines().back();
    CAPTURE(width, line);
    CHECK(line.size() <= static_cast<size_t>(width - 1));
    CHECK((line.find('[') != std::string::npos) == (width >= 65));
    CHECK((line.find("loss 0.43") != std::string::npos) == (width >= 58));
  }
}

TEST_CASE("characters of several bytes count as one column and are not cut in two") {
  const std::string label = "Époque é";
  for (int width = 2; width <= 9; ++width) {
    Screen screen;
    Progress bar(label, 0, screen.options(true, width));
    const std::string line = screen.lines().back();
    size_t starts = 0;
    for (const char c : line) starts += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    CAPTURE(width, line);
    CHECK(starts == static_cast<size_t>(width - 1));
    CHECK(label.compare(0, line.size(), line) == 0);
  }
}

TEST_CASE("without a terminal one plain line is written at the end") {
  Screen screen;
  {
    Progress bar("epoch 1/5", 60'000, screen.options(false));
    for (int i = 0; i < 600; ++i) {
      screen.now += 0.005;
      bar.update(100);
    }
    bar.set_text("loss 0.43");
    CHECK(screen.text().empty());
    bar.finish();
    bar.finish();
    bar.update(5);
  }
  CHECK(screen.text() == "epoch 1/5: 60000/60000 in 3.00 s (20.0k/s), loss 0.43\n");
}

TEST_CASE("a stage of unknown length has neither bar nor percent nor ETA") {
  Screen terminal, file;
  Progress on_terminal("reading", 0, terminal.options(true));
  Progress in_file("reading", -1, file.options(false));
  terminal.now += 4;
  file.now += 4;
  on_terminal.update(10);
  in_file.update(10);
  on_terminal.finish();
  in_file.finish();
  CHECK(terminal.lines().back() == "reading  10  2.50/s  0:04");
  CHECK(file.text() == "reading: 10 in 4.00 s (2.50/s)\n");
}

TEST_CASE("a stage ended by an exception says where it stopped and ends its line") {
  for (const bool terminal : {true, false}) {
    Screen screen;
    try {
      Progress bar("epoch 2/5", 100, screen.options(terminal));
      screen.now += 2;
      bar.update(30);
      throw std::runtime_error("no more data");
    } catch (const std::runtime_error&) {
    }
    const std::string text = screen.text();
    CHECK(text.back() == '\n');
    CHECK(
        text.find(terminal ? "(stopped)\n" : "epoch 2/5: stopped at 30/100 in 2.00 s (15.0/s)\n") !=
        std::string::npos);
  }
}

TEST_CASE("a complete stage whose finish was forgotten ends as a finished one") {
  Screen screen;
  {
    Progress bar("stage", 3, screen.options(false));
    screen.now += 1;
    bar.update(3);
  }
  CHECK(screen.text() == "stage: 3/3 in 1.00 s (3.00/s)\n");
}

TEST_CASE("after finish nothing more is drawn") {
  Screen screen;
  Progress bar("work", 2, screen.options(true));
  bar.update(2);
  bar.finish();
  const std::string before = screen.text();
  screen.now += 100;
  bar.update();
  bar.set_text("late");
  bar.finish();
  CHECK(screen.text() == before);
}

TEST_CASE("line breaks and escape sequences in the texts cannot break the display") {
  Screen screen;
  Progress bar("a\nb", 2, screen.options(true));
  bar.set_text("x\r\033[2Jy\x7F");
  screen.now += 1;
  bar.update();
  CHECK(screen.lines().back().rfind("a b  50%", 0) == 0);
  CHECK(screen.lines().back().find("x  [2Jy ") != std::string::npos);
}

TEST_CASE("rates and durations keep three digits and sensible units") {
  struct Row {
    int64_t count;
    double seconds;
    const char* rate;
    const char* elapsed;
  };
  const Row rows[] = {{1, 2, "0.50/s", "0:02"},          {5000, 10, "500/s", "0:10"},
                      {9999, 10, "1.00k/s", "0:10"},     {123'456, 1, "123k/s", "0:01"},
                      {1'234'567, 1, "1.23M/s", "0:01"}, {3, 3661, "0.00/s", "1:01:01"},
                      {0, 0, "0.00/s", "0:00"},          {600, 600, "1.00/s", "10:00"}};
  for (const Row& row : rows) {
    Screen screen;
    Progress bar("", 0, screen.options(true));
    screen.now += row.seconds;
    bar.update(row.count);
    bar.finish();
    CHECK(screen.lines().back() ==
          std::to_string(row.count) + "  " + row.rate + "  " + row.elapsed);
  }
}

TEST_CASE("more items than expected stay at 100 percent and the stream's flags are untouched") {
  Screen screen;
  screen.stream << std::hex << std::setprecision(2);
  Progress bar("over", 10, screen.options(true));
  screen.now += 1;
  bar.update(25);
  CHECK(screen.lines().back().find("100% [" + std::string(30, '#') + "] 25/10") !=
        std::string::npos);
  CHECK((screen.stream.flags() & std::ios::hex) != 0);
  CHECK(screen.stream.precision() == 2);
}

TEST_CASE("child: show progress on standard error", "[.][child-progress]") {
  Progress bar("child", 2);
  bar.update(2);
  bar.finish();
}

TEST_CASE("standard error that is a pipe gets the plain line") {
  const auto child = testing::run_self("[child-progress]", "TERM=xterm");
  CHECK(child.output.find("child: 2/2 in ") != std::string::npos);
  CHECK(child.output.find("\033[K") == std::string::npos);
}

TEST_CASE("an update that draws nothing costs next to nothing") {
  if (testing::kAddressSanitizer || testing::kThreadSanitizer) return;
  for (const bool terminal : {false, true}) {
    std::ostringstream stream;
    ProgressOptions options;
    options.stream = &stream;
    options.terminal = terminal;
    Progress bar("work", 1'000'000'000, options);
    double best = 1e9;
    for (int round = 0; round < 10; ++round) {
      const auto start = std::chrono::steady_clock::now();
      for (int i = 0; i < 10'000; ++i) bar.update();
      const std::chrono::duration<double, std::nano> taken =
          std::chrono::steady_clock::now() - start;
      best = std::min(best, taken.count() / 10'000);
    }
    INFO((terminal ? "terminal: " : "plain: ") << best << " ns");
    // About 25 ns with the clock read and 1 ns without; the bound leaves room for busy machines.
    CHECK(best < 500);
  }
}
