// A loader that goes on where another one stood.

#include "tarn/io/data/data.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/tensors.h"

using namespace tarn;
using namespace tarn::data;

namespace {

// 0, 1, ... 22 with random numbers added.
auto make_loader(size_t workers, size_t batch_size = 4, int64_t count = 23) {
  auto dataset =
      datasets::TensorDataset(arange(count).to(kFloat32))
          .map(transforms::TensorLambda<example::NoTarget>([](Tensor x) { return x + rand({}); }))
          .map(transforms::Stack<data::TensorExample>());
  return make_data_loader(std::move(dataset), DataLoaderOptions(batch_size).workers(workers));
}

// Epochs to go, with draws from the default generator between batches, as dropout makes them. Each
// state is that after the batches up to there; the last of an epoch is that after its loop.
struct Run {
  std::vector<std::vector<float>> batches;
  std::vector<Value> states;
  std::vector<Tensor> generators;
};

template <class Loader>
void go_on(Loader& loader, uint64_t epochs, Run& run) {
  const auto note = [&] {
    run.states.push_back(loader.state_dict());
    run.generators.push_back(get_rng_state());
  };
  while (loader.epoch() < epochs) {
    for (auto& batch : loader) {
      run.batches.push_back(testing::elements<float>(batch.data));
      static_cast<void>(rand({7}));
      note();
    }
    run.batches.emplace_back();
    note();
  }
}

}  // namespace

TEST_CASE("a loader goes on from any batch of any epoch with the batches still to come") {
  manual_seed(5);
  auto first = make_loader(2);
  Run whole;
  go_on(*first, 3, whole);
  REQUIRE(whole.batches.size() == 3 * 7);

  for (size_t i = 0; i < whole.states.size(); ++i) {
    const size_t workers = i % 3;
    manual_seed(99);
    auto loader = make_loader(workers);
    loader->load_state_dict(whole.states[i]);
    set_rng_state(whole.generators[i]);
    Run rest;
    go_on(*loader, 3, rest);
    CAPTURE(i, workers);
    CHECK(rest.batches == std::vector(whole.batches.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                      whole.batches.end()));
    CHECK(loader->epoch() == 3);
  }
}

TEST_CASE("an epoch left by break is over") {
  auto loader = make_loader(0);
  for (auto& batch : *loader) {
    CHECK(loader->state_dict().contains("batches"));
    CHECK(batch.data.size(0) == 4);
    break;
  }
  CHECK_FALSE(loader->state_dict().contains("batches"));
  CHECK(loader->state_dict().at("epochs").to_int() == 1);
}

TEST_CASE("the state of another loader is refused and changes nothing") {
  auto loader = make_loader(0);
  auto iterator = loader->begin();
  ++iterator;
  const Value state = loader->state_dict();
  CHECK(state.at("batches").to_int() == 2);

  auto other = make_loader(0, 5);
  other->set_epoch(4);
  CHECK_THROWS_WITH_TEXT(other->load_state_dict(state),
                         "in batches of 4, this loader's batches are of 5");
  Value bad = state;
  CHECK_THROWS_AS(other->load_state_dict(bad.set("generator", zeros({3}))), ValueError);
  bad = state;
  CHECK_THROWS_WITH_TEXT(other->load_state_dict(bad.set("epochs", -1)), "negative");
  CHECK_THROWS_AS(other->load_state_dict(Value::dict()), IndexError);
  CHECK(other->epoch() == 4);

  auto shorter = make_loader(0, 4, 3);
  shorter->load_state_dict(state);
  CHECK_THROWS_WITH_TEXT(shorter->begin(),
                         "after batch 2 of an epoch, this loader's epochs have 1");
}

TEST_CASE("batches in no order leave no position to go on from") {
  auto dataset = datasets::TensorDataset(arange(8));
  auto loader = make_data_loader(dataset, DataLoaderOptions(2).workers(1).enforce_ordering(false));
  CHECK_NOTHROW(loader->state_dict());
  auto iterator = loader->begin();
  CHECK_THROWS_WITH_TEXT(loader->state_dict(), "needs enforce_ordering");
}
