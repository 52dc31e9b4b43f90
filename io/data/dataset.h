#pragma once
// Datasets: what a DataLoader takes its batches from. One of your own is a size and a get():
//
//   struct Squares : data::datasets::Dataset<Squares> {
//     data::Example<> get(size_t index) override {
//       const double x = static_cast<double>(index);
//       return {tensor(x), tensor(x * x)};
//     }
//     std::optional<size_t> size() const override { return 1000; }
//   };

#include <concepts>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "tarn/core/array_ref.h"
#include "tarn/io/data/transforms.h"

namespace tarn::data::datasets {

template <typename Source, typename Transform>
class MapDataset;

// A source of whole batches. `Self` is the class that derives from it. It must be copyable: each
// worker of a DataLoader has a copy, and uses it alone.
template <typename Self, typename Batch = std::vector<Example<>>,
          typename BatchRequest = ArrayRef<size_t>>
class BatchDataset {
 public:
  using SelfType = Self;
  using BatchType = Batch;
  using BatchRequestType = BatchRequest;

  virtual ~BatchDataset() = default;
  // The examples of the given indices, in that order.
  virtual Batch get_batch(BatchRequest request) = 0;
  // The number of examples; nullopt where it is not known.
  virtual std::optional<size_t> size() const = 0;

  // This dataset with `transform` applied to its batches. Copies the dataset (datasets of tensors
  // share them), or moves it when called on a temporary.
  template <typename Transform>
  MapDataset<Self, Transform> map(Transform transform) & {
    return {static_cast<const Self&>(*this), std::move(transform)};
  }
  template <typename Transform>
  MapDataset<Self, Transform> map(Transform transform) && {
    return {std::move(static_cast<Self&>(*this)), std::move(transform)};
  }
};

// A source of single examples, by index in [0, size()).
template <typename Self, typename SingleExample = Example<>>
class Dataset : public BatchDataset<Self, std::vector<SingleExample>> {
 public:
  using ExampleType = SingleExample;

  virtual SingleExample get(size_t index) = 0;

  std::vector<SingleExample> get_batch(ArrayRef<size_t> indices) override {
    std::vector<SingleExample> batch;
    batch.reserve(indices.size());
    for (const size_t index : indices) batch.push_back(get(index));
    return batch;
  }
};

namespace detail {

// A dataset that makes a stacked batch faster than from single examples: .map(Stack<>()) then calls
// its get_stacked(indices), which must return what Stack makes of get_batch(indices).
template <typename D>
concept StackableDataset = requires(D& dataset, ArrayRef<size_t> indices) {
  dataset.get_stacked(indices);
};

template <typename T>
inline constexpr bool is_stack = false;
template <typename E>
inline constexpr bool is_stack<transforms::Stack<E>> = true;
// Transforms that treat a stacked batch as they do its examples, by apply_stacked().
template <typename T>
inline constexpr bool works_on_stacked = false;
template <typename Target>
inline constexpr bool works_on_stacked<transforms::Normalize<Target>> = true;

}  // namespace detail

// A dataset seen through a transform; what map() returns.
template <typename Source, typename Transform>
class MapDataset
    : public BatchDataset<MapDataset<Source, Transform>, typename Transform::OutputBatchType,
                          typename Source::BatchRequestType> {
 public:
  using DatasetType = Source;
  using TransformType = Transform;
  using BatchRequestType = typename Source::BatchRequestType;
  using OutputBatchType = typename Transform::OutputBatchType;

  MapDataset(Source dataset, Transform transform)
      : dataset_(std::move(dataset)), transform_(std::move(transform)) {}

  OutputBatchType get_batch(BatchRequestType request) override {
    if constexpr (detail::is_stack<Transform> && detail::StackableDataset<Source>) {
      return dataset_.get_stacked(request);
    } else {
      return transform_.apply_batch(dataset_.get_batch(std::move(request)));
    }
  }

  auto get_stacked(ArrayRef<size_t> indices) requires(
      detail::works_on_stacked<Transform>&& detail::StackableDataset<Source>) {
    return transform_.apply_stacked(dataset_.get_stacked(indices));
  }

  std::optional<size_t> size() const override { return dataset_.size(); }
  const Source& dataset() const { return dataset_; }
  const Transform& transform() const { return transform_; }

 private:
  Source dataset_;
  Transform transform_;
};

}  // namespace tarn::data::datasets
