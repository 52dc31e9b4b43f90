// The order of shuffled batches, and random numbers inside them.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "tarn/io/data/data.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/tensors.h"

using namespace tarn;
using namespace tarn::data;

namespace {

// Numbers 1, 2, ...
struct Numbers : datasets::Dataset<Numbers, int> {
  int get(size_t index) override { return static_cast<int>(index) + 1; }
  std::optional<size_t> size() const override { return 50; }
};

template <typename Loader>
std::vector<int> drain(Loader& loader) {
  std::vector<int> all;
  for (auto& batch : loader) all.insert(all.end(), batch.begin(), batch.end());
  return all;
}

template <typename Dataset>
auto in_order(Dataset dataset, DataLoaderOptions options) {
  return make_data_loader<samplers::SequentialSampler>(std::move(dataset), options);
}

// Zeros to which every epoch adds other random numbers.
auto noise(int64_t count) {
  return datasets::TensorDataset(zeros({count}))
      .map(transforms::TensorLambda<example::NoTarget>([](Tensor x) { return x + rand({}); }));
}

}  // namespace

TEST_CASE("shuffling follows manual_seed and differs from epoch to epoch") {
  const auto epochs = [](size_t workers) {
    manual_seed(3);
    auto loader = make_data_loader(Numbers(), DataLoaderOptions(8).workers(workers));
    const std::vector<int> first = drain(*loader);
    return std::pair(first, drain(*loader));
  };
  const auto once = epochs(0);
  CHECK(once.first != once.second);
  std::vector<int> sorted = once.first, numbers(50);
  std::iota(numbers.begin(), numbers.end(), 1);
  CHECK(once.first != numbers);
  std::sort(sorted.begin(), sorted.end());
  CHECK(sorted == numbers);
  for (const size_t workers : {0, 1, 2, 8}) CHECK(epochs(workers) == once);
  // libtorch draws one order when the sampler is made and one when the epoch begins.
  manual_seed(3);
  static_cast<void>(randperm(50));
  const auto order = testing::elements<int64_t>(randperm(50));
  CHECK(std::equal(once.first.begin(), once.first.end(), order.begin(), order.end(),
                   [](int number, int64_t index) { return number == index + 1; }));
}

TEST_CASE("iterating leaves the default generator where the sampler left it") {
  const size_t workers = GENERATE(0, 2);
  manual_seed(3);
  auto loader = in_order(noise(20), DataLoaderOptions(4).workers(workers));
  for (auto& batch : *loader) CHECK(batch.size() > 0);
  const Tensor after = rand({4});
  manual_seed(3);
  CHECK(equal(after, rand({4})));
}

TEST_CASE("random transforms give the same batches for any number of workers") {
  const auto epochs = [](size_t workers, size_t batch_size, uint64_t seed) {
    manual_seed(seed);
    auto dataset = datasets::TensorDataset(arange(30).to(kFloat32), arange(30))
                       .map(transforms::TensorLambda<>([](Tensor x) { return x + rand({}); }))
                       .map(transforms::Stack<>());
    auto loader =
        make_data_loader(std::move(dataset), DataLoaderOptions(batch_size).workers(workers));
    std::vector<std::vector<float>> all;
    for (int epoch = 0; epoch < 2; ++epoch) {
      std::vector<float> numbers;
      for (auto& batch : *loader) {
        const auto some = testing::elements<float>(batch.data);
        numbers.insert(numbers.end(), some.begin(), some.end());
      }
      all.push_back(numbers);
    }
    return all;
  };
  const auto once = epochs(0, 4, 7);
  for (const size_t workers : {0, 1, 2, 8}) CHECK(epochs(workers, 4, 7) == once);
  CHECK(epochs(2, 4, 8) != once);
  // What was added differs from batch to batch and from epoch to epoch.
  for (const auto& epoch : once) {
    std::set<float> added;
    for (const float x : epoch) added.insert(x - std::floor(x));
    CHECK(added.size() > 25);
  }
}

TEST_CASE(
    "a program that goes on at a later epoch sees the random numbers of one that never stopped") {
  const auto epoch = [](auto& loader) {
    std::vector<float> numbers;
    for (auto& batch : *loader) {
      for (auto& example : batch) numbers.push_back(example.data.template item<float>());
    }
    return numbers;
  };
  manual_seed(4);
  auto whole = in_order(noise(6), 2);
  const auto first = epoch(whole), second = epoch(whole);
  CHECK(first != second);  // even though nothing else was drawn in between
  manual_seed(4);
  auto resumed = in_order(noise(6), 2);
  resumed->set_epoch(1);
  CHECK(epoch(resumed) == second);
}
