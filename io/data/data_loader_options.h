#pragma once
// DataLoaderOptions: how a DataLoader makes its batches.

#include <chrono>
#include <cstddef>
#include <optional>

namespace tarn::data {

// Setters return the options: DataLoaderOptions(64).workers(2).drop_last(true).
class DataLoaderOptions {
 public:
  DataLoaderOptions() = default;
  DataLoaderOptions(size_t batch_size) : batch_size_(batch_size) {}  // NOLINT

  // Examples in a batch; the last of an epoch may have fewer.
  DataLoaderOptions& batch_size(size_t n) { return batch_size_ = n, *this; }
  // Threads that make batches. 0: the thread that iterates makes each when it needs it.
  DataLoaderOptions& workers(size_t n) { return workers_ = n, *this; }
  // Batches under way or waiting at one time, at least 1; 2 * workers unless set.
  DataLoaderOptions& max_jobs(std::optional<size_t> n) { return max_jobs_ = n, *this; }
  // How long to wait for a worker before an Error is thrown; for ever unless set.
  DataLoaderOptions& timeout(std::optional<std::chrono::milliseconds> t) {
    return timeout_ = t, *this;
  }
  // Batches in the order of the sampler; false: as they become ready.
  DataLoaderOptions& enforce_ordering(bool on) { return enforce_ordering_ = on, *this; }
  // Leaves out a last batch with fewer than batch_size examples.
  DataLoaderOptions& drop_last(bool on) { return drop_last_ = on, *this; }

  size_t batch_size() const noexcept { return batch_size_; }
  size_t workers() const noexcept { return workers_; }
  std::optional<size_t> max_jobs() const noexcept { return max_jobs_; }
  std::optional<std::chrono::milliseconds> timeout() const noexcept { return timeout_; }
  bool enforce_ordering() const noexcept { return enforce_ordering_; }
  bool drop_last() const noexcept { return drop_last_; }

 private:
  size_t batch_size_ = 1;
  size_t workers_ = 0;
  std::optional<size_t> max_jobs_;
  std::optional<std::chrono::milliseconds> timeout_;
  bool enforce_ordering_ = true;
  bool drop_last_ = false;
};

// The same with every default filled in. Throws ValueError for a batch size of 0.
struct FullDataLoaderOptions {
  explicit FullDataLoaderOptions(const DataLoaderOptions& options);

  size_t batch_size;
  size_t workers;
  size_t max_jobs;
  std::optional<std::chrono::milliseconds> timeout;
  bool enforce_ordering;
  bool drop_last;
};

}  // namespace tarn::data
