#pragma once
// CheckpointManager: the checkpoints of a training run, of which it keeps the last and the best.
//
//   CheckpointManager manager("runs/first", {.keep_last = 3, .keep_best = 1});
//   manager.resume(checkpoint);  // false on the very first start
//   while (loader->epoch() < epochs) {
//     for (auto& batch : *loader) {
//       ...
//       if (++checkpoint.step % 1000 == 0) manager.save(checkpoint);
//     }
//     scheduler.step();
//     manager.save(checkpoint, /*metric=*/validation_loss);
//   }
//
// A program that is killed at any time and started again goes on from the last save, and ends up
// where it would have ended undisturbed.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tarn/io/checkpoint.h"

namespace tarn {

struct CheckpointManagerOptions {
  // Keep the files of so many last steps, and of so many with the best metric; the rest is deleted
  // after each save. 0 for keep_last: all.
  int64_t keep_last = 3;
  int64_t keep_best = 0;
  // The best metric is the lowest (a loss), or the highest (an accuracy).
  bool higher_is_better = false;
  SaveOptions save{};
};

// The checkpoints of one training run: files "step-<number>.pt" in a folder. What the files say is
// all the state there is, so a manager may be made anew at any time. Files of other names are left
// alone, except for temporary ones that a killed program left behind.
class CheckpointManager {
 public:
  struct Entry {
    std::string path;
    int64_t step;
    std::optional<double> metric;
  };

  // Makes the folder if it is not there. Throws IOError, and ValueError for negative numbers.
  explicit CheckpointManager(std::string folder, CheckpointManagerOptions options = {});

  // Saves under the checkpoint's step, replacing an older file of that step, and returns the path.
  // The file is complete before another one is deleted.
  std::string save(const Checkpoint& checkpoint, std::optional<double> metric = std::nullopt);
  // Loads the latest checkpoint; false if there is none. Throws IOError for a damaged file, whose
  // error names it: delete it to go on from the one before.
  bool resume(Checkpoint& checkpoint) const;

  // By step.
  std::vector<Entry> entries() const;
  std::optional<Entry> latest() const;
  // With the best metric, the later one of equals; a NaN is never best.
  std::optional<Entry> best() const;

 private:
  std::string path_of(int64_t step) const;
  Entry entry_of(int64_t step) const;
  std::vector<Entry> by_merit() const;
  void remove_old_ones() const;

  std::string folder_;
  CheckpointManagerOptions options_;
};

}  // namespace tarn
