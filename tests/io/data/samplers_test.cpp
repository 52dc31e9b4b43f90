#include "tarn/io/data/samplers.h"

#include <algorithm>

#include "tarn/core/factories.h"
#include "tarn/core/random.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/tensors.h"

using namespace tarn;
using namespace tarn::data;

namespace {

using Indices = std::vector<size_t>;

template <typename Sampler>
Indices drain(Sampler& sampler, size_t batch_size) {
  Indices all;
  while (const auto batch = sampler.next(batch_size)) {
    CHECK(batch->size() <= batch_size);
    CHECK(!batch->empty());
    all.insert(all.end(), batch->begin(), batch->end());
  }
  return all;
}

}  // namespace

TEST_CASE("SequentialSampler gives indices in order, the last batch with what is left") {
  samplers::SequentialSampler sampler(5);
  CHECK(sampler.next(2) == Indices{0, 1});
  CHECK(sampler.next(2) == Indices{2, 3});
  CHECK(sampler.index() == 4);
  CHECK(sampler.next(2) == Indices{4});
  CHECK(sampler.next(2) == std::nullopt);
  CHECK(sampler.next(2) == std::nullopt);
}

TEST_CASE("SequentialSampler starts again after reset, with a new size if given") {
  samplers::SequentialSampler sampler(3);
  CHECK(drain(sampler, 2) == Indices{0, 1, 2});
  sampler.reset();
  CHECK(drain(sampler, 10) == Indices{0, 1, 2});
  sampler.reset(5);
  CHECK(drain(sampler, 3) == Indices{0, 1, 2, 3, 4});
}

TEST_CASE("a sampler of nothing gives nothing") {
  samplers::SequentialSampler sequential(0);
  CHECK(sequential.next(1) == std::nullopt);
  samplers::RandomSampler random(0);
  CHECK(random.next(1) == std::nullopt);
}

TEST_CASE("RandomSampler gives every index once an epoch, in another order each time") {
  manual_seed(5);
  samplers::RandomSampler sampler(100);
  const Indices first = drain(sampler, 7);
  CHECK(sampler.index() == 100);
  sampler.reset();
  CHECK(sampler.index() == 0);
  const Indices second = drain(sampler, 7);
  CHECK(first != second);
  for (Indices epoch : {first, second}) {
    std::sort(epoch.begin(), epoch.end());
    for (size_t i = 0; i < 100; ++i) CHECK(epoch[i] == i);
  }
  sampler.reset(10);
  CHECK(drain(sampler, 3).size() == 10);
}

TEST_CASE("RandomSampler draws the order of randperm from the default generator") {
  manual_seed(5);
  samplers::RandomSampler sampler(50);
  const Indices first = drain(sampler, 8);
  sampler.reset();
  const Indices second = drain(sampler, 50);

  manual_seed(5);
  for (const Indices& epoch : {first, second}) {
    const auto expected = testing::elements<int64_t>(randperm(50));
    CHECK(std::equal(epoch.begin(), epoch.end(), expected.begin(), expected.end(),
                     [](size_t a, int64_t b) { return static_cast<int64_t>(a) == b; }));
  }
}

TEST_CASE("RandomSampler gives the same order whatever holds its indices") {
  manual_seed(9);
  samplers::RandomSampler wide(40);
  manual_seed(9);
  samplers::RandomSampler narrow(40, kInt32);
  CHECK(drain(wide, 6) == drain(narrow, 6));
}
