// Training steps as CUDA graphs: each run twice, eagerly and captured, and equal to the last bit.
#include <algorithm>
#include <functional>
#include <memory>

#include "tarn/core/random.h"
#include "tarn/device/cuda_graph.h"
#include "tarn/nn/nn.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/devices.h"

using namespace tarn;
using testing::cuda_devices;

namespace {

// A net with dropout, its optimizer, and inputs that every step changes.
template <class Opt, class Options>
struct Training {
  Training(Device on, const Options& options) : device(on), seeded(on), optimizer(make(options)) {
    net->to(device);
  }
  Opt make(const Options& options) { return Opt(net->parameters(), options); }

  Tensor loss() { return nn::functional::cross_entropy(net(x), y); }
  // Work of the CPU between steps.
  void next_batch(int step) {
    x.copy_(randn({5, 6}));
    y.copy_(randint(0, 3, {5}, kLong));
    if (step == 15) manual_seed(7);
  }

  struct Seed {
    explicit Seed(Device) { manual_seed(2); }
  };
  Device device;
  Seed seeded;
  nn::Sequential net{nn::Linear(6, 8), nn::ReLU(), nn::Dropout(0.3), nn::Linear(8, 3)};
  Opt optimizer;
  bool keeps_gradients = true;  // and no step replaces those of a graph
  Tensor x = empty({5, 6}, device), y = empty({5}, TensorOptions(kLong).device(device));
};

// All that a training leaves behind, on the CPU.
template <class Opt, class Options>
std::vector<Tensor> outcome(Training<Opt, Options>& t, std::vector<Tensor> losses) {
  std::vector<Tensor> all = std::move(losses);
  for (const Tensor& p : t.net->parameters()) {
    all.push_back(p.detach().cpu());
    if (t.keeps_gradients) all.push_back(p.grad().cpu());
  }
  const Value states = t.optimizer.state_dict().at("state");
  for (const auto& [number, state] : states.entries()) {
    for (const auto& [name, value] : state.entries()) all.push_back(value.to_tensor().cpu());
  }
  all.push_back(get_rng_state(t.device));
  return all;
}

// Trains with `make_step(training)` called as it is or as a graph, `between(training, i)` after
// step i.
template <class Opt, class Options, class MakeStep, class Between>
void check_equal_to_eager(const Options& options, int steps, MakeStep make_step, Between between) {
  for (const Device device : cuda_devices()) {
    CAPTURE(device);
    const auto run = [&](bool captured) {
      Training<Opt, Options> training(device, options);
      std::function<Tensor()> step = make_step(training);
      if (captured) {
        const auto graph = std::make_shared<cuda::GraphStep<std::function<Tensor()>>>(
            cuda::graph_step(step, {.device = device.index()}));
        step = [graph] { return (*graph)(); };
      }
      std::vector<Tensor> losses;
      // Emulated steps take long; a second device differs from the first in its number only.
      for (int i = 0; i < (device.index() == 0 ? steps : std::min(steps, 20)); ++i) {
        training.next_batch(i);
        losses.push_back(step().detach().clone());
        between(training, i);
      }
      return outcome(training, {stack(losses).cpu()});
    };
    const std::vector<Tensor> wanted = run(false), actual = run(true);
    REQUIRE(actual.size() == wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i) {
      CAPTURE(i);
      CHECK(actual[i].equal(wanted[i]));
    }
    CHECK(wanted[0].isfinite().all().item<bool>());
  }
}

constexpr auto kNothing = [](auto&, int) {};

constexpr auto kPlainStep = [](auto& t) {
  return [&t] {
    t.optimizer.zero_grad();
    const Tensor loss = t.loss();
    loss.backward();
    t.optimizer.step();
    return loss;
  };
};

// 120 steps, whose learning rate changes all the time.
template <class Opt, class Options>
void check_optimizer(const Options& options) {
  check_equal_to_eager<Opt, Options>(options, 120, kPlainStep, [](auto& t, int i) {
    for (auto& group : t.optimizer.param_groups())
      group.options().set_lr(0.02 / (1 + 0.1 * (i % 20)));
  });
}

}  // namespace

TEST_CASE("SGD in a graph trains as without one") {
  check_optimizer<optim::SGD>(optim::SGDOptions(0.1));
  check_optimizer<optim::SGD>(
      optim::SGDOptions(0.1).momentum(0.9).nesterov(true).weight_decay(0.01));
}

TEST_CASE("Adam in a graph trains as without one") {
  check_optimizer<optim::Adam>(optim::AdamOptions(0.01).weight_decay(0.01));
  check_optimizer<optim::Adam>(optim::AdamOptions(0.01).amsgrad(true));
}

TEST_CASE("AdamW in a graph trains as without one") {
  check_optimizer<optim::AdamW>(optim::AdamWOptions(0.01));
}

TEST_CASE("a scheduler, and steps without the graph in between, count as they do eagerly") {
  std::unique_ptr<optim::StepLR> scheduler;
  check_equal_to_eager<optim::AdamW>(
      optim::AdamWOptions(0.05), 20,
      [&](auto& t) {
        t.keeps_gradients = false;
        scheduler = std::make_unique<optim::StepLR>(t.optimizer, 3, 0.7);
        return kPlainStep(t);
      },
      [&](auto& t, int i) {
        scheduler->step();
        if (i == 10) kPlainStep(t)();
      });
}

TEST_CASE("gradients are clipped in a graph, without waiting") {
  check_equal_to_eager<optim::SGD>(
      optim::SGDOptions(0.1).momentum(0.9), 20,
      [](auto& t) {
        return [&t] {
          t.optimizer.zero_grad();
          t.loss().backward();
          const auto norm = nn::utils::clip_grad_norm_(t.net->parameters(), 0.1);
          t.optimizer.step();
          return norm.tensor();
        };
      },
      kNothing);
}

TEST_CASE("gradients accumulate in a graph, within a step and over several") {
  check_equal_to_eager<optim::Adam>(
      optim::AdamOptions(0.01), 12,
      [](auto& t) {
        return [&t] {
          t.optimizer.zero_grad();
          for (int i = 0; i < 3; ++i) t.loss().div(3).backward();
          t.optimizer.step();
          return t.loss();
        };
      },
      kNothing);
  check_equal_to_eager<optim::Adam>(
      optim::AdamOptions(0.01), 12,
      [](auto& t) {
        return [&t] {
          const Tensor loss = t.loss();
          loss.backward();
          return loss;
        };
      },
      [](auto& t, int i) {
        if (i % 3 != 2) return;
        t.optimizer.step();
        t.optimizer.zero_grad(/*set_to_none=*/false);
      });
}

TEST_CASE("parameter groups and several optimizers keep their own settings in a graph") {
  for (const Device device : cuda_devices()) {
    const auto run = [&](bool captured) {
      const Tensor a = ones({3}, device).requires_grad_(), b = ones({2}, device).requires_grad_();
      const Tensor c = ones({2, 3}, device).requires_grad_();
      optim::Adam adam({{{a}}, {{b}, std::make_unique<optim::AdamOptions>(0.3)}},
                       optim::AdamOptions(0.1));
      // A parameter that is not contiguous, in double's company.
      const Tensor d = ones({3, 2}, TensorOptions(kDouble).device(device)).t().requires_grad_();
      optim::SGD sgd({c, d}, optim::SGDOptions(0.1).momentum(0.5));
      const std::function<Tensor()> eager = [&] {
        adam.zero_grad();
        sgd.zero_grad();
        const Tensor loss = (a * a).sum() + (b * c.sum(1)).sum() + (d * d * a).sum();
        loss.backward();
        adam.step();
        sgd.step();
        return loss;
      };
      auto graph = cuda::graph_step(eager, {.device = device.index(), .warmup = 1});
      std::vector<Tensor> results;
      for (int i = 0; i < 6; ++i) {
        results.push_back((captured ? graph() : eager()).detach().cpu());
        adam.param_groups()[1].options().set_lr(0.3 + i);
        sgd.param_groups()[0].options().set_lr(0.1 / (i + 1));
      }
      for (const Tensor& p : {a, b, c, d}) results.push_back(p.detach().cpu());
      return results;
    };
    const std::vector<Tensor> wanted = run(false), actual = run(true);
    for (size_t i = 0; i < wanted.size(); ++i) CHECK(actual[i].equal(wanted[i]));
  }
}

TEST_CASE("a graph whose optimizer has changed refuses to be replayed, and changes nothing") {
  for (const Device device : cuda_devices()) {
    const auto refuses = [&](auto change) {
      Training<optim::Adam, optim::AdamOptions> t(device, optim::AdamOptions(0.1));
      t.next_batch(0);
      auto step = cuda::graph_step(kPlainStep(t), {.device = device.index(), .warmup = 1});
      step();
      step();
      change(t);
      const auto state = outcome(t, {});
      CHECK_THROWS_WITH_TEXT(step(), "HINT: make a new graph_step after load_state_dict()");
      const auto after = outcome(t, {});
      for (size_t i = 0; i < state.size(); ++i) CHECK(after[i].equal(state[i]));
      auto again = cuda::graph_step(kPlainStep(t), {.device = device.index(), .warmup = 1});
      again();
      CHECK(again().isfinite().item<bool>());
    };
    refuses([](auto& t) { t.optimizer.load_state_dict(t.optimizer.state_dict()); });
    refuses([&](auto& t) {
      t.optimizer.add_param_group(std::vector<Tensor>{ones({2}, device).requires_grad_()});
    });
    refuses([](auto& t) {
      static_cast<optim::AdamOptions&>(t.optimizer.param_groups()[0].options()).amsgrad(true);
    });
    refuses([&](auto& t) {
      t.net->to(kCPU);
      const std::vector<Tensor> elsewhere = {ones({2}, device), ones({2}, device)};
      t.net->to(device);
    });
  }
}

TEST_CASE("an optimizer that cannot be captured says so, and counts no step") {
  for (const Device device : cuda_devices()) {
    Training<optim::Adam, optim::AdamOptions> t(device, optim::AdamOptions(0.1));
    t.next_batch(0);
    auto cold = cuda::graph_step(kPlainStep(t), {.device = device.index(), .warmup = 0});
    CHECK_THROWS_WITH_TEXT(cold(), "HINT: more warm-up");
    CHECK(t.optimizer.state().empty());
    const Tensor on_cpu = ones({2}).requires_grad_();
    optim::SGD other({on_cpu}, optim::SGDOptions(0.1));
    on_cpu.mutable_grad() = zeros({2});
    other.step();
    auto mixed = cuda::graph_step([&] { other.step(); }, {.device = device.index(), .warmup = 0});
    CHECK_THROWS_WITH_TEXT(mixed(), "parameters are on the CPU");
    CHECK(on_cpu.detach().equal(ones({2})));
    // A step that fails behind the optimizer's.
    bool fails = true;
    auto step = cuda::graph_step(
        [&] {
          const Tensor loss = kPlainStep(t)();
          if (cuda::is_current_stream_capturing() && fails) loss.item<float>();
          return loss;
        },
        {.device = device.index(), .warmup = 2});
    const auto steps = [&] {
      const Value state = t.optimizer.state_dict().at("state");
      return state.entries()[0].second.at("step").to_tensor().template item<float>();
    };
    step();
    step();
    CHECK(steps() == 2);
    CHECK_THROWS_WITH_TEXT(step(), "[item]");
    CHECK(steps() == 2);
    fails = false;
    step();
    CHECK(steps() == 3);
  }
}
