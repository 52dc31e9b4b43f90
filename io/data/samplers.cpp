#include "tarn/io/data/samplers.h"

#include <algorithm>
#include <numeric>

#include "tarn/core/factories.h"

namespace tarn::data::samplers {

void SequentialSampler::reset(std::optional<size_t> new_size) {
  if (new_size) size_ = *new_size;
  index_ = 0;
}

std::optional<std::vector<size_t>> SequentialSampler::next(size_t batch_size) {
  const size_t count = std::min(batch_size, size_ - index_);
  if (count == 0) return std::nullopt;
  std::vector<size_t> indices(count);
  std::iota(indices.begin(), indices.end(), index_);
  index_ += count;
  return indices;
}

RandomSampler::RandomSampler(int64_t size, ScalarType index_dtype)
    : indices_(randperm(size, index_dtype)) {}

void RandomSampler::reset(std::optional<size_t> new_size) {
  const int64_t size = new_size ? static_cast<int64_t>(*new_size) : indices_.numel();
  indices_ = randperm(size, indices_.dtype());
  index_ = 0;
}

std::optional<std::vector<size_t>> RandomSampler::next(size_t batch_size) {
  const size_t count = std::min(batch_size, static_cast<size_t>(indices_.numel()) - index_);
  if (count == 0) return std::nullopt;
  const Tensor chosen =
      indices_.narrow(0, static_cast<int64_t>(index_), static_cast<int64_t>(count)).to(kInt64);
  const auto* first = chosen.const_data_ptr<int64_t>();
  index_ += count;
  return std::vector<size_t>(first, first + count);
}

}  // namespace tarn::data::samplers
