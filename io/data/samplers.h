#pragma once
// Samplers: the order in which a DataLoader asks a dataset for its examples.

#include <cstddef>
#include <optional>
#include <vector>

#include "tarn/core/tensor.h"

namespace tarn::data::samplers {

// A DataLoader calls its sampler from the thread that iterates, never from workers. With workers it
// asks ahead, by up to max_jobs batches.
template <typename BatchRequest = std::vector<size_t>>
class Sampler {
 public:
  using BatchRequestType = BatchRequest;

  virtual ~Sampler() = default;
  // Starts a new epoch, over a dataset of another size if one is given.
  virtual void reset(std::optional<size_t> new_size) = 0;
  // What to fetch next: up to batch_size examples; nullopt at the end of the epoch.
  virtual std::optional<BatchRequest> next(size_t batch_size) = 0;
};

// 0, 1, 2, ...
class SequentialSampler : public Sampler<> {
 public:
  explicit SequentialSampler(size_t size) : size_(size) {}
  void reset(std::optional<size_t> new_size = std::nullopt) override;
  std::optional<std::vector<size_t>> next(size_t batch_size) override;
  // How many indices were given out since the last reset.
  size_t index() const noexcept { return index_; }

 private:
  size_t size_;
  size_t index_ = 0;
};

// A new random order for every epoch, drawn by the constructor and by reset() with randperm() from
// the default generator: manual_seed() repeats it, and it is libtorch's.
class RandomSampler : public Sampler<> {
 public:
  // index_dtype: int32 needs half the memory of int64.
  explicit RandomSampler(int64_t size, ScalarType index_dtype = kInt64);
  void reset(std::optional<size_t> new_size = std::nullopt) override;
  std::optional<std::vector<size_t>> next(size_t batch_size) override;
  size_t index() const noexcept { return index_; }

 private:
  Tensor indices_;
  size_t index_ = 0;
};

}  // namespace tarn::data::samplers
