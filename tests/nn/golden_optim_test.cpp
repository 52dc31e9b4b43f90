// Optimizers, learning-rate schedulers and gradient clipping against PyTorch's traces
// (tests/golden/optim.py).
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/golden.h"

namespace {

using namespace tarn;
using tarn::testing::difference;
using tarn::testing::Golden;
using tarn::testing::Tolerance;
using Parameters = std::vector<Tensor>;
using MakeOptimizer = std::function<std::unique_ptr<optim::Optimizer>(const Parameters&)>;

constexpr int64_t kSteps = 60, kEvery = 5;

const Golden& golden() {
  static const Golden file("optim.safetensors");
  return file;
}

template <typename Optimizer, typename Options>
MakeOptimizer with(Options options) {
  return [options](const Parameters& p) { return std::make_unique<Optimizer>(p, options); };
}

// Minimises the problem of the golden file in `dtype` and compares every kept state of w and b.
void compare_trace(const std::string& name, const MakeOptimizer& make_optimizer, ScalarType dtype) {
  INFO(name);
  const Tensor x = golden()["problem/x"].to(dtype), y = golden()["problem/y"].to(dtype);
  const Tensor w = golden()["problem/w"].to(dtype).clone().requires_grad_();
  const Tensor b = golden()["problem/b"].to(dtype).clone().requires_grad_();
  const auto optimizer = make_optimizer({w, b});
  // Rounding differences grow along the way: PyTorch's own code paths differ by 5e-5 in float32.
  const Tolerance allowed = dtype == kDouble ? Tolerance{1e-10, 1e-12} : Tolerance{2e-4, 1e-4};
  for (int64_t step = 1; step <= kSteps; ++step) {
    optimizer->zero_grad();
    ((x.mm(w) + b).tanh() - y).square().mean().backward();
    optimizer->step();
    if (step % kEvery != 0) continue;
    INFO("step " << step);
    const int64_t row = step / kEvery - 1;
    REQUIRE(difference(w, golden()[name + "/w"][row], allowed) == "");
    REQUIRE(difference(b, golden()[name + "/b"][row], allowed) == "");
  }
}

}  // namespace

TEST_CASE("optimizers follow PyTorch's for 60 steps") {
  using optim::Adam;
  using optim::AdamW;
  using optim::SGD;
  const auto sgd = [] { return optim::SGDOptions(0.1); };
  const auto adam = [] { return optim::AdamOptions(0.05); };
  const auto adamw = [] { return optim::AdamWOptions(0.05); };
  const std::pair<const char*, MakeOptimizer> optimizers[] = {
      {"sgd", with<SGD>(sgd())},
      {"sgd.momentum", with<SGD>(sgd().momentum(0.9))},
      {"sgd.dampening", with<SGD>(sgd().momentum(0.9).dampening(0.3))},
      {"sgd.nesterov", with<SGD>(sgd().momentum(0.9).nesterov(true))},
      {"sgd.decay", with<SGD>(sgd().weight_decay(0.05))},
      {"sgd.nesterov_decay", with<SGD>(sgd().momentum(0.8).nesterov(true).weight_decay(0.05))},
      {"adam", with<Adam>(adam())},
      {"adam.decay", with<Adam>(adam().weight_decay(0.1))},
      {"adam.amsgrad", with<Adam>(adam().amsgrad(true))},
      {"adam.betas", with<Adam>(adam().betas({0.7, 0.9}).eps(1e-3))},
      {"adamw", with<AdamW>(adamw())},
      {"adamw.decay", with<AdamW>(adamw().weight_decay(0.2))},
      {"adamw.amsgrad", with<AdamW>(adamw().weight_decay(0.2).amsgrad(true))},
  };
  for (const auto& [name, make_optimizer] : optimizers) {
    compare_trace(std::string(name) + ".f64", make_optimizer, kDouble);
    compare_trace(std::string(name) + ".f32", make_optimizer, kFloat);
  }
}

TEST_CASE("schedulers set PyTorch's learning rates") {
  using optim::CosineAnnealingLR;
  using optim::StepLR;
  using Scheduler = std::unique_ptr<optim::LRScheduler>;
  using Make = std::function<Scheduler(optim::Optimizer&)>;
  const std::pair<const char*, Make> schedulers[] = {
      {"step_lr", [](auto& o) -> Scheduler { return std::make_unique<StepLR>(o, 7, 0.5); }},
      {"step_lr.default", [](auto& o) -> Scheduler { return std::make_unique<StepLR>(o, 20); }},
      {"cosine", [](auto& o) -> Scheduler { return std::make_unique<CosineAnnealingLR>(o, 60); }},
      {"cosine.floor",
       [](auto& o) -> Scheduler { return std::make_unique<CosineAnnealingLR>(o, 25, 0.01); }},
  };
  for (const auto& [name, make_scheduler] : schedulers) {
    INFO(name);
    optim::SGD optimizer({tarn::zeros({1}).requires_grad_()}, optim::SGDOptions(0.4));
    const auto scheduler = make_scheduler(optimizer);
    const Tensor wanted = golden()[std::string(name) + "/lr"];
    for (int64_t step = 0; step < kSteps; ++step) {
      INFO("step " << step);
      const double rate = optimizer.param_groups()[0].options().get_lr();
      REQUIRE(rate == Approx(wanted.data_ptr<double>()[step]).epsilon(1e-12).margin(1e-15));
      optimizer.step();
      scheduler->step();
    }
  }
}

TEST_CASE("clip_grad_norm_ scales gradients as PyTorch's does") {
  struct Case {
    std::string name;
    double limit, kind;
  };
  const Case cases[] = {{"clip.l2", 1.5, 2},
                        {"clip.l1", 4, 1},
                        {"clip.max", 0.5, std::numeric_limits<double>::infinity()},
                        {"clip.loose", 100, 2}};
  for (const Case& c : cases) {
    INFO(c.name);
    Parameters parameters;
    for (const char* grad : {"clip/grad0", "clip/grad1"}) {
      const Tensor parameter = tarn::zeros_like(golden()[grad]).requires_grad_();
      parameter.mutable_grad() = golden()[grad].clone();
      parameters.push_back(parameter);
    }
    const double total = nn::utils::clip_grad_norm_(parameters, c.limit, c.kind);
    CHECK(total == Approx(golden()[c.name + "/total"].item<double>()).epsilon(1e-12));
    CHECK(difference(parameters[0].grad(), golden()[c.name + "/grad0"]) == "");
    CHECK(difference(parameters[1].grad(), golden()[c.name + "/grad1"]) == "");
  }
}
