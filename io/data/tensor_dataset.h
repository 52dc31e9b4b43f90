#pragma once
// TensorDataset: examples held as the rows of whole tensors.

#include <type_traits>
#include <utility>
#include <vector>

#include "tarn/core/factories.h"
#include "tarn/core/functions.h"
#include "tarn/io/data/dataset.h"

namespace tarn::data::datasets {
namespace detail {

// Rows of one tensor, or of two of equal length. With .map(Stack<>()) a batch is gathered from the
// whole tensors at once, at the speed of memory.
template <typename Self, typename Target>
class RowDataset : public Dataset<Self, Example<Tensor, Target>> {
 public:
  using ExampleType = Example<Tensor, Target>;
  static constexpr bool kHasTarget = std::is_same_v<Target, Tensor>;

  ExampleType get(size_t index) override {
    const auto i = static_cast<int64_t>(index);
    if constexpr (kHasTarget) {
      return {rows_.data.select(0, i), rows_.target.select(0, i)};
    } else {
      return rows_.data.select(0, i);
    }
  }

  ExampleType get_stacked(ArrayRef<size_t> indices) const {
    static_assert(sizeof(size_t) == sizeof(int64_t));
    // Only read through.
    const Tensor index = from_blob(const_cast<size_t*>(indices.data()),
                                   static_cast<int64_t>(indices.size()), kInt64);
    if constexpr (kHasTarget) {
      return {rows_.data.index_select(0, index.to(rows_.data.device())),
              rows_.target.index_select(0, index.to(rows_.target.device()))};
    } else {
      return rows_.data.index_select(0, index.to(rows_.data.device()));
    }
  }

  std::optional<size_t> size() const override { return static_cast<size_t>(rows_.data.size(0)); }

 protected:
  explicit RowDataset(ExampleType rows) : rows_(std::move(rows)) {
    if (rows_.data.dim() == 0) {
      throw ShapeError(
          "[TensorDataset] the data must have a first dimension to index, got a scalar");
    }
    if constexpr (kHasTarget) {
      const Tensor& target = rows_.target;
      if (target.dim() == 0 || target.size(0) != rows_.data.size(0)) {
        throw ShapeError(str("[TensorDataset] data and targets differ in length: ",
                             rows_.data.sizes(), " and ", target.sizes()));
      }
    }
  }

  ExampleType rows_;
};

}  // namespace detail

// TensorDataset(x): example i is x[i]. TensorDataset(x, y): it is {x[i], y[i]}; x and y must have
// equal first dimensions, else ShapeError. The tensors are shared, not copied.
template <typename Target = example::NoTarget>
class TensorDataset : public detail::RowDataset<TensorDataset<Target>, Target> {
 public:
  explicit TensorDataset(Tensor data) requires(!std::is_same_v<Target, Tensor>)
      : detail::RowDataset<TensorDataset, Target>(std::move(data)) {}
  // Tensors of one shape: example i is the i-th.
  explicit TensorDataset(const std::vector<Tensor>& data) requires(!std::is_same_v<Target, Tensor>)
      : TensorDataset(stack(data)) {}
  TensorDataset(Tensor data, Tensor target) requires(std::is_same_v<Target, Tensor>)
      : detail::RowDataset<TensorDataset, Target>({std::move(data), std::move(target)}) {}

  const Tensor& data() const { return this->rows_.data; }
  const Tensor& target() const requires(std::is_same_v<Target, Tensor>) {
    return this->rows_.target;
  }
};
TensorDataset(Tensor)->TensorDataset<example::NoTarget>;
TensorDataset(std::vector<Tensor>)->TensorDataset<example::NoTarget>;
TensorDataset(Tensor, Tensor)->TensorDataset<Tensor>;

}  // namespace tarn::data::datasets
