#pragma once
// Transforms: what Dataset::map() applies to the examples of a batch.
//
//   auto set = data::datasets::FashionMNIST().map(data::transforms::Normalize<>(0.286, 0.353))
//                                            .map(data::transforms::Stack<>());
//
// A DataLoader with workers gives each worker a copy, so a transform needs no locks. Random numbers
// of Tarn's default generator are, inside a transform that a DataLoader runs, the same for any
// number of workers.

#include <functional>
#include <utility>
#include <vector>

#include "tarn/core/factories.h"
#include "tarn/core/functions.h"
#include "tarn/io/data/example.h"

namespace tarn::data::transforms {

// From a batch to something else.
template <typename InputBatch, typename OutputBatch>
class BatchTransform {
 public:
  using InputBatchType = InputBatch;
  using OutputBatchType = OutputBatch;
  virtual ~BatchTransform() = default;
  virtual OutputBatch apply_batch(InputBatch batch) = 0;
};

// From one example to one.
template <typename Input, typename Output>
class Transform : public BatchTransform<std::vector<Input>, std::vector<Output>> {
 public:
  using InputType = Input;
  using OutputType = Output;
  virtual Output apply(Input input) = 0;

  std::vector<Output> apply_batch(std::vector<Input> batch) override {
    std::vector<Output> result;
    result.reserve(batch.size());
    for (Input& input : batch) result.push_back(apply(std::move(input)));
    return result;
  }
};

// A function of one example: Lambda<Example<>>([](Example<> e) { ...; return e; }).
template <typename Input, typename Output = Input>
class Lambda : public Transform<Input, Output> {
 public:
  using FunctionType = std::function<Output(Input)>;
  explicit Lambda(FunctionType function) : function_(std::move(function)) {}
  Output apply(Input input) override { return function_(std::move(input)); }

 private:
  FunctionType function_;
};

// A function of a whole batch.
template <typename InputBatch, typename OutputBatch = InputBatch>
class BatchLambda : public BatchTransform<InputBatch, OutputBatch> {
 public:
  using FunctionType = std::function<OutputBatch(InputBatch)>;
  explicit BatchLambda(FunctionType function) : function_(std::move(function)) {}
  OutputBatch apply_batch(InputBatch batch) override { return function_(std::move(batch)); }

 private:
  FunctionType function_;
};

// From the data of an example to new data; the target stays.
template <typename Target = Tensor>
class TensorTransform : public Transform<Example<Tensor, Target>, Example<Tensor, Target>> {
 public:
  virtual Tensor operator()(Tensor input) = 0;

  Example<Tensor, Target> apply(Example<Tensor, Target> example) override {
    example.data = (*this)(std::move(example.data));
    return example;
  }
};

template <typename Target = Tensor>
class TensorLambda : public TensorTransform<Target> {
 public:
  using FunctionType = std::function<Tensor(Tensor)>;
  explicit TensorLambda(FunctionType function) : function_(std::move(function)) {}
  Tensor operator()(Tensor input) override { return function_(std::move(input)); }

 private:
  FunctionType function_;
};

// (x - mean) / stddev for x of shape (channels, height, width). One number, or one for each
// channel.
template <typename Target = Tensor>
class Normalize : public TensorTransform<Target> {
 public:
  Normalize(ArrayRef<double> mean, ArrayRef<double> stddev)
      : mean_(per_channel(mean)), stddev_(per_channel(stddev)) {}

  Tensor operator()(Tensor input) override { return input.sub(mean_).div_(stddev_); }

  // The same for a batch of shape (batch, ...), each of whose examples it normalises as above.
  Example<Tensor, Target> apply_stacked(Example<Tensor, Target> batch) {
    // The batch must not line up with the channels.
    while (batch.data.dim() < 4) batch.data = batch.data.unsqueeze(1);
    batch.data = (*this)(std::move(batch.data));
    return batch;
  }

 private:
  static Tensor per_channel(ArrayRef<double> values) {
    return tensor(values, kFloat32).reshape({static_cast<int64_t>(values.size()), 1, 1});
  }

  Tensor mean_, stddev_;
};

// A batch made into one value.
template <typename T, typename Batch = std::vector<T>>
using Collation = BatchTransform<Batch, T>;
template <typename T, typename Batch = std::vector<T>>
using Collate = BatchLambda<Batch, T>;

// Joins the examples of a batch along a new first dimension: n examples of data (C, H, W) and
// target () become one of (n, C, H, W) and (n). Throws ShapeError where their shapes differ.
template <typename E = Example<>>
class Stack;

template <>
class Stack<Example<>> : public Collation<Example<>> {
 public:
  Example<> apply_batch(std::vector<Example<>> examples) override {
    std::vector<Tensor> data, target;
    data.reserve(examples.size());
    target.reserve(examples.size());
    for (Example<>& example : examples) {
      data.push_back(std::move(example.data));
      target.push_back(std::move(example.target));
    }
    return {stack(data), stack(target)};
  }
};

template <>
class Stack<TensorExample> : public Collation<TensorExample> {
 public:
  TensorExample apply_batch(std::vector<TensorExample> examples) override {
    std::vector<Tensor> data;
    data.reserve(examples.size());
    for (TensorExample& example : examples) data.push_back(std::move(example.data));
    return stack(data);
  }
};

}  // namespace tarn::data::transforms
