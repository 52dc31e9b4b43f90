#include "tarn/io/checkpoint.h"

#include "tarn/core/factories.h"
#include "tarn/core/functions.h"
#include "tarn/core/ops.h"
#include "tarn/core/random.h"
#include "tarn/io/data/data.h"
#include "tarn/nn/nn.h"
#include "tarn/tests/io/scratch.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/devices.h"

using namespace tarn;

namespace {

nn::Sequential make_net() {
  return nn::Sequential(nn::Linear(3, 4), nn::Tanh(), nn::Dropout(0.5), nn::Linear(4, 2));
}

void train_step(nn::Sequential& net, optim::Optimizer& optimizer, Device device = kCPU) {
  optimizer.zero_grad();
  net->forward(randn({5, 3}, device)).square().mean().backward();
  optimizer.step();
}

bool same_parameters(nn::Sequential& a, nn::Sequential& b) {
  const auto p = a->parameters(), q = b->parameters();
  for (size_t i = 0; i < p.size(); ++i) {
    if (!equal(p[i], q[i])) return false;
  }
  return p.size() == q.size();
}

}  // namespace

TEST_CASE("a checkpoint restores every part, the generators, step and metadata") {
  const Device device = GENERATE(from_range(testing::devices()));
  const testing::Scratch scratch;
  manual_seed(1);
  auto net = make_net();
  net->to(device);
  optim::Adam optimizer(net->parameters(), optim::AdamOptions(0.1));
  optim::StepLR scheduler(optimizer, 2);
  Checkpoint checkpoint;
  checkpoint.add("model", net).add("optimizer", optimizer).add("scheduler", scheduler);
  for (int i = 0; i < 3; ++i) {
    train_step(net, optimizer, device);
    scheduler.step();
  }
  checkpoint.step = 3;
  checkpoint.metadata.set("note", "three steps");
  save(checkpoint, scratch / "c.pt");

  manual_seed(2);
  auto other_net = make_net();
  other_net->to(device);
  optim::Adam other_optimizer(other_net->parameters(), optim::AdamOptions(0.5));
  optim::StepLR other_scheduler(other_optimizer, 2);
  Checkpoint other;
  other.add("model", other_net).add("optimizer", other_optimizer).add("scheduler", other_scheduler);
  load(other, scratch / "c.pt");
  CHECK(other.step == 3);
  CHECK(other.metadata.at("note").to_string() == "three steps");
  CHECK(same_parameters(net, other_net));

  // Both generators stand where they stood: what is computed next is the same.
  const Tensor cpu = get_rng_state(), own = get_rng_state(device);
  train_step(other_net, other_optimizer, device);
  other_scheduler.step();
  set_rng_state(cpu);
  set_rng_state(own, device);
  train_step(net, optimizer, device);
  scheduler.step();
  CHECK(same_parameters(net, other_net));
  CHECK(other_scheduler.get_last_lr() == scheduler.get_last_lr());
}

TEST_CASE("an optimizer's parameters are known by name, in whatever order it has them") {
  manual_seed(1);
  auto net = make_net();
  optim::Adam optimizer(net->parameters());
  Checkpoint checkpoint;
  checkpoint.add("model", net).add("optimizer", optimizer);
  train_step(net, optimizer);
  const Value state = checkpoint.state_dict();
  CHECK(state.at("optimizer").at("param_groups").at(0).at("params").at(0).to_string() ==
        "0.weight");
  CHECK(equal(state.at("optimizer").at("state").at("3.bias").at("exp_avg").to_tensor(),
              optimizer.state_dict().at("state").at(3).at("exp_avg").to_tensor()));

  auto other_net = make_net();
  auto parameters = other_net->parameters();
  std::reverse(parameters.begin(), parameters.end());
  optim::Adam reversed(parameters);
  Checkpoint other;
  other.add("optimizer", reversed).add("model", other_net);
  other.load_state_dict(state);
  CHECK(equal(reversed.state_dict().at("state").at(0).at("exp_avg").to_tensor(),
              optimizer.state_dict().at("state").at(3).at("exp_avg").to_tensor()));
  // Numbers, as Python's optimizers write them, are taken as they come.
  const Value numbered = Value::dict(
      {{"model", net->state_dict()}, {"optimizer", optimizer.state_dict()}, {"epoch", 3}});
  train_step(net, optimizer);
  checkpoint.load_state_dict(numbered);
  CHECK(optimizer.state_dict().at("state").at(3).at("step").to_tensor().item<double>() == 1);
}

TEST_CASE("an optimizer over two modules calls their parameters by both names") {
  nn::Linear first(2, 2), second(2, 2);
  auto parameters = first->parameters();
  for (const Tensor& p : second->parameters()) parameters.push_back(p);
  const Tensor loose = zeros({2}).set_requires_grad(true);
  parameters.push_back(loose);
  optim::SGD optimizer(parameters, 0.1);
  Checkpoint checkpoint;
  checkpoint.add("first", first).add("second", second).add("optimizer", optimizer);
  const Value names = checkpoint.state_dict().at("optimizer").at("param_groups").at(0).at("params");
  CHECK(names.at(0).to_string() == "first.weight");
  CHECK(names.at(3).to_string() == "second.bias");
  CHECK(names.at(4).to_int() == 4);
  CHECK_NOTHROW(checkpoint.load_state_dict(checkpoint.state_dict()));
}

namespace {

// A training with four parts, one step on.
struct Training {
  nn::Sequential net = make_net();
  nn::Linear extra{2, 2};
  optim::Adam optimizer{net->parameters()};
  optim::StepLR scheduler{optimizer, 2};
  Checkpoint checkpoint;

  Training() {
    checkpoint.add("model", net).add("extra", extra).add("optimizer", optimizer);
    checkpoint.add("scheduler", scheduler);
    train_step(net, optimizer);
  }
};

}  // namespace

TEST_CASE("a checkpoint that does not fit changes nothing and says which part it is") {
  manual_seed(1);
  Training training;
  Checkpoint& checkpoint = training.checkpoint;
  checkpoint.step = 1;
  const auto text = [&] { return str(checkpoint.state_dict()); };
  const auto elements = [&] {
    const Value states = training.optimizer.state_dict().at("state");
    return std::pair(training.net->parameters()[0].clone(),
                     states.at(0).at("exp_avg").to_tensor().clone());
  };
  const std::string before = text();
  const auto old = elements();

  // A state of which every part is new, then spoilt in one place.
  manual_seed(7);
  Training donor;
  donor.checkpoint.step = 9;
  const Value good = donor.checkpoint.state_dict();

  const auto spoilt = [&](const char* part, Value value) {
    Value bad = good;
    return bad.set(part, std::move(value));
  };
  const auto refuses = [&](const Value& bad, const std::string& what) {
    const Tensor rng = get_rng_state();
    CHECK_THROWS_WITH_TEXT(checkpoint.load_state_dict(bad), what);
    CHECK(text() == before);
    CHECK(equal(elements().first, old.first));
    CHECK(equal(elements().second, old.second));
    CHECK(equal(get_rng_state(), rng));
  };
  refuses(spoilt("extra", nn::Linear(3, 2)->state_dict()), "'extra': [load_state_dict]");
  refuses(spoilt("model", nn::Linear(3, 2)->state_dict()), "Missing key(s)");
  refuses(spoilt("scheduler", Value::dict()), "'scheduler'");
  refuses(spoilt("rng", Value::dict({{"cpu", zeros({3})}})), "generator on cpu");
  refuses(spoilt("step", "nine"), "int");
  Value optimizer_state = good.at("optimizer"), group = optimizer_state.at("param_groups").at(0);
  group.set("params", Value::list({"0.weight", "0.bias", "3.weight", "other"}));
  optimizer_state.set("param_groups", Value::list({group}));
  refuses(spoilt("optimizer", optimizer_state), "parameter group 0 has no '3.bias'");
  Value lacking = Value::dict();
  for (const auto& [key, value] : good.entries()) {
    if (!(key.is_string() && key.to_string() == "scheduler")) lacking.set(key, value);
  }
  refuses(lacking,
          "'scheduler': the checkpoint has no such part; it has 'model', 'extra', 'optimizer'");

  checkpoint.load_state_dict(good);
  CHECK(checkpoint.step == 9);
  CHECK(same_parameters(training.net, donor.net));
}

TEST_CASE("parts of a checkpoint have names of their own") {
  nn::Linear layer(1, 1);
  Checkpoint checkpoint;
  checkpoint.add("model", layer);
  CHECK_THROWS_WITH_TEXT(checkpoint.add("model", layer), "there is a part of this name");
  CHECK_THROWS_WITH_TEXT(checkpoint.add("rng", layer), "reserved");
}
