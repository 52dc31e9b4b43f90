#include "tarn/nn/optim/lr_scheduler.h"

#include <cmath>

#include "tarn/nn/nn.h"
#include "tarn/tests/support/catch.h"

using namespace tarn;
using optim::CosineAnnealingLR;
using optim::OptimizerParamGroup;
using optim::SGD;
using optim::SGDOptions;
using optim::StepLR;

namespace {

constexpr double kPi = 3.14159265358979323846;

double rate(const optim::Optimizer& optimizer, size_t group = 0) {
  return optimizer.param_groups()[group].options().get_lr();
}

}  // namespace

TEST_CASE("StepLR multiplies every step_size steps") {
  SGD optimizer({zeros({1}, requires_grad())}, 1.0);
  StepLR schedule(optimizer, 3, 0.5);
  std::vector<double> rates;
  for (int i = 0; i < 7; ++i) {
    rates.push_back(rate(optimizer));
    schedule.step();
  }
  CHECK(rates == std::vector<double>{1, 1, 1, 0.5, 0.5, 0.5, 0.25});
  CHECK(schedule.get_last_lr() == std::vector<double>{0.25});
}

TEST_CASE("CosineAnnealingLR follows half a cosine down and back up") {
  SGD optimizer({zeros({1}, requires_grad())}, 0.8);
  CosineAnnealingLR schedule(optimizer, 10, 0.2);
  for (int i = 0; i <= 45; ++i) {
    INFO("step " << i);
    CHECK(rate(optimizer) == Approx(0.2 + 0.6 * (1 + std::cos(kPi * i / 10)) / 2).epsilon(1e-10));
    schedule.step();
  }
}

TEST_CASE("every group is scheduled from its own rate") {
  const Tensor a = zeros({1}, requires_grad()), b = zeros({1}, requires_grad());
  SGD optimizer(
      {OptimizerParamGroup({a}), OptimizerParamGroup({b}, std::make_unique<SGDOptions>(10.0))},
      SGDOptions(1.0));
  StepLR schedule(optimizer, 1, 0.1);
  schedule.step();
  CHECK(rate(optimizer, 0) == Approx(0.1));
  CHECK(rate(optimizer, 1) == Approx(1));
  optimizer.add_param_group(OptimizerParamGroup({zeros({1}, requires_grad())}));
  CHECK_THROWS_WITH_TEXT(
      schedule.step(),
      "the optimizer has 3 parameter groups, and had 2 when the scheduler was made");
}

TEST_CASE("a scheduler records the initial rate as PyTorch does") {
  SGD optimizer({zeros({1}, requires_grad())}, 0.4);
  CHECK_FALSE(optimizer.param_groups()[0].initial_lr());
  StepLR schedule(optimizer, 1);
  schedule.step();
  CHECK(optimizer.param_groups()[0].initial_lr() == 0.4);
  const Value group = optimizer.state_dict().at("param_groups").at(0);
  CHECK(group.at("initial_lr").to_double() == 0.4);
  CHECK(group.entries().back().first.to_string() == "params");
  CHECK(group.entries()[group.size() - 2].first.to_string() == "initial_lr");
}

TEST_CASE("a scheduler that loads a state goes on like the one that saved it") {
  SGD first({zeros({1}, requires_grad())}, 0.4), second({zeros({1}, requires_grad())}, 0.9);
  CosineAnnealingLR a(first, 7, 0.1), b(second, 3);
  for (int i = 0; i < 5; ++i) a.step();
  second.load_state_dict(first.state_dict());
  b.load_state_dict(a.state_dict());
  CHECK(b.get_last_lr() == a.get_last_lr());
  for (int i = 0; i < 10; ++i) {
    a.step();
    b.step();
    CHECK(rate(first) == rate(second));
  }
  const Value state = a.state_dict();
  CHECK(state.at("T_max").to_int() == 7);
  CHECK(state.at("last_epoch").to_int() == 15);
  CHECK(state.at("_step_count").to_int() == 16);
  CHECK(state.at("base_lrs").at(0).to_double() == 0.4);
}

TEST_CASE("bad schedules and states are errors") {
  SGD optimizer({zeros({1}, requires_grad())}, 0.4);
  CHECK_THROWS_AS(StepLR(optimizer, 0), ValueError);
  CHECK_THROWS_AS(CosineAnnealingLR(optimizer, 0), ValueError);
  StepLR schedule(optimizer, 2);
  Value state = schedule.state_dict();
  state.set("base_lrs", std::vector<double>{1, 2});
  CHECK_THROWS_WITH_TEXT(schedule.load_state_dict(state),
                         "the schedule is for 2 parameter groups, the optimizer has 1");
  CHECK_THROWS_AS(schedule.load_state_dict(Value::dict()), IndexError);
}
