#include "tarn/io/log/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string_view>
#include <utility>

#include "tarn/device/check.h"

namespace tarn {

namespace {

constexpr double kRedrawSeconds = 0.1;
constexpr int kBarColumns = 30;
constexpr int kLeastBarColumns = 5;

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// -1 for a stream that is not one of the process's standard ones.
int descriptor(const std::ostream& stream) {
  if (&stream == &std::cerr || &stream == &std::clog) return STDERR_FILENO;
  return &stream == &std::cout ? STDOUT_FILENO : -1;
}

bool is_terminal(const std::ostream& stream) {
  const int fd = descriptor(stream);
  if (fd < 0 || !isatty(fd)) return false;
  const char* type = std::getenv("TERM");
  return type && *type && std::string_view(type) != "dumb";
}

int terminal_width(const std::ostream& stream) {
  winsize size{};
  const int fd = descriptor(stream);
  return fd >= 0 && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

template <typename... Args>
std::string format(const char* pattern, Args... args) {
  char text[64];
  const int length = std::snprintf(text, sizeof(text), pattern, args...);
  return std::string(text, static_cast<size_t>(std::clamp(length, 0, int{sizeof(text)} - 1)));
}

// "0:07", "12:34", "1:02:03"
std::string duration(double seconds) {
  const auto s = static_cast<long long>(std::min(seconds, 1e12));
  return s < 3600 ? format("%lld:%02lld", s / 60, s % 60)
                  : format("%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
}

// Three digits: "0.52/s", "18.4/s", "950/s", "18.4k/s", "1.20M/s"
std::string rate(int64_t count, double seconds) {
  double value = seconds > 0 ? static_cast<double>(count) / seconds : 0;
  const char* unit = "";
  for (const char* next : {"k", "M", "G"}) {
    if (value < 999.5) break;
    value /= 1000;
    unit = next;
  }
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return format("%.*f%s/s", decimals, value, unit);
}

bool starts_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

// Columns of UTF-8 text, one for each character.
int columns(std::string_view text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), starts_character));
}

std::string_view first_columns(std::string_view text, int n) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (starts_character(text[i]) && n-- <= 0) return text.substr(0, i);
  }
  return text;
}

// A line break or escape sequence would break the one-line display.
std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  return text;
}

}  // namespace

Progress::Progress(std::string label, int64_t total, ProgressOptions options)
    : label_(printable(std::move(label))),
      total_(total),
      options_(std::move(options)),
      stream_(options_.stream ? *options_.stream : std::cerr) {
  terminal_ = options_.terminal.value_or(is_terminal(stream_));
  started_ = options_.clock ? options_.clock() : steady_seconds();
  if (terminal_) draw();
}

Progress::~Progress() {
  try {
    end(total_ > 0 && count_ >= total_);
  } catch (...) {
    // A stream or clock that throws must not end a program that is handling another error.
  }
}

void Progress::set_text(std::string text) { text_ = printable(std::move(text)); }

void Progress::finish() { end(true); }

double Progress::elapsed() const {
  return (options_.clock ? options_.clock() : steady_seconds()) - started_;
}

void Progress::redraw_if_due() {
  if (elapsed() - drawn_ >= kRedrawSeconds) draw();
}

void Progress::draw() {
  const double seconds = elapsed();
  drawn_ = seconds;
  const int width = options_.width > 0 ? options_.width : terminal_width(stream_);
  // The last column stays empty: filling it makes some terminals start a new line.
  stream_ << '\r' << line(width - 1, seconds) << "\033[K" << std::flush;
}

std::string Progress::line(int width, double seconds) const {
  const bool known = total_ > 0;
  const double part =
      known ? std::clamp(static_cast<double>(count_) / static_cast<double>(total_), 0.0, 1.0) : 0;
  std::string head = label_;
  // Rounded down, so that 100% means done.
  if (known) head += format("%s%3d%%", head.empty() ? "" : " ", static_cast<int>(part * 100));
  std::string tail = str(count_);
  if (known) tail += str('/', total_);
  tail += "  " + rate(count_, seconds) + "  " + duration(seconds);
  if (part > 0 && part < 1) tail += " ETA " + duration(seconds / part - seconds);
  if (!text_.empty()) tail += "  " + text_;

  std::string gap = head.empty() ? "" : "  ";
  const int room = width - columns(head) - columns(tail) - 4;
  if (known && room >= kLeastBarColumns) {
    const auto cells = static_cast<size_t>(std::min(room, kBarColumns));
    const auto filled = static_cast<size_t>(part * static_cast<double>(cells));
    gap = str(" [", std::string(filled, '#'), std::string(cells - filled, '.'), "] ");
  }
  return std::string(first_columns(head + gap + tail, width));
}

void Progress::end(bool finished) {
  if (std::exchange(ended_, true)) return;
  if (terminal_) {
    terminal_ = false;
    draw();
    stream_ << (finished ? "\n" : " (stopped)\n") << std::flush;
    return;
  }
  const double seconds = elapsed();
  std::string text = label_;
  if (!text.empty()) text += ": ";
  if (!finished) text += "stopped at ";
  text += str(count_);
  if (total_ > 0) text += str('/', total_);
  text += format(" in %.2f s", seconds) + " (" + rate(count_, seconds) + ")";
  if (!text_.empty()) text += ", " + text_;
  stream_ << text << '\n' << std::flush;
}

}  // namespace tarn
