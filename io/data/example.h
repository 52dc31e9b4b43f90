#pragma once
// Example: one item of a dataset, or a batch of them.

#include <utility>

#include "tarn/core/tensor.h"

namespace tarn::data {
namespace example {
// The target of examples that have none.
struct NoTarget {};
}  // namespace example

template <typename Data = Tensor, typename Target = Tensor>
struct Example {
  using DataType = Data;
  using TargetType = Target;

  Example() = default;
  Example(Data data_, Target target_) : data(std::move(data_)), target(std::move(target_)) {}

  Data data;
  Target target;
};

// Converts from and to its data.
template <typename Data>
struct Example<Data, example::NoTarget> {
  using DataType = Data;
  using TargetType = example::NoTarget;

  Example() = default;
  Example(Data data_) : data(std::move(data_)) {}  // NOLINT
  operator Data&() { return data; }                // NOLINT
  operator const Data&() const { return data; }    // NOLINT

  Data data;
};

using TensorExample = Example<Tensor, example::NoTarget>;

}  // namespace tarn::data
