#pragma once
// Progress display for long work: a redrawn line on a terminal, one plain line per stage elsewhere.
//
//   Progress bar("epoch 1/5", 60000);
//   for (auto& batch : *loader) {
//     ...
//     bar.update(batch.data.size(0));
//     bar.set_text(str("loss ", loss));
//   }
//   bar.finish();
//
// On a terminal, at most ten times a second (the bar gives way when the window is narrow):
//   epoch 1/5  25% [#######.......................] 15000/60000  4.60k/s  0:03 ETA 0:09  loss 0.43
// In a file or pipe, once, when the stage ends:
//   epoch 1/5: 60000/60000 in 3.26 s (18.4k/s), loss 0.43

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>

namespace tarn {

struct ProgressOptions {
  // Where to write; std::cerr if null. Must outlive the Progress. Its format flags are not touched.
  std::ostream* stream = nullptr;
  // Whether the stream is a terminal that understands "\r" and "erase line". By default found from
  // the stream: std::cout, std::cerr and std::clog are if their descriptor is and TERM is not dumb.
  std::optional<bool> terminal;
  // Columns of the terminal; 0 asks it before every redraw.
  int width = 0;
  // Seconds since any fixed moment; the steady clock if empty.
  std::function<double()> clock;
};

// Shows how far one stage of known or unknown length is. Not thread-safe. It never hides the cursor
// and always ends its line, so that nothing is left to restore however the program goes on.
class Progress {
 public:
  // `total` is the number of items in the stage; 0 or less means unknown: no bar and no ETA then.
  explicit Progress(std::string label, int64_t total = 0, ProgressOptions options = {});
  // Ends a stage that was not finished, as after an exception, and says where it stopped if items
  // are missing.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `n` more items are done. Costs one reading of the clock on a terminal and nothing elsewhere,
  // unless the line is due for a redraw.
  void update(int64_t n = 1) {
    count_ += n;
    if (terminal_) redraw_if_due();
  }
  // Free text at the end of the line, from the next redraw on. Control characters become spaces.
  void set_text(std::string text);
  // Writes the last state and ends the line. Nothing is shown after that.
  void finish();

  // Items done so far.
  int64_t count() const noexcept { return count_; }
  // Seconds since construction.
  double elapsed() const;

 private:
  void redraw_if_due();
  void draw();
  std::string line(int width, double seconds) const;
  void end(bool finished);

  const std::string label_;
  const int64_t total_;
  const ProgressOptions options_;
  std::ostream& stream_;
  std::string text_;
  int64_t count_ = 0;
  double started_ = 0;
  double drawn_ = 0;
  bool terminal_ = false;  // still drawing on a terminal
  bool ended_ = false;
};

}  // namespace tarn
