// Golden traces: 60 steps of PyTorch 2.13's single-tensor optimizers (foreach=False) in float64 on
//   param_i = sin(i + 1), grad_i at step t = cos(0.3 i + 0.17 t) (1 + 0.1 i), i in 0..4, t from 1.
#include <cmath>
#include <limits>

#include "tarn/tests/kernels/array.h"

namespace tarn::testing {
namespace {

constexpr int64_t kParams = 5;
constexpr int kSteps = 60;

double gradient(int64_t i, int t) {
  const double x = static_cast<double>(i);
  return std::cos(0.3 * x + 0.17 * t) * (1 + 0.1 * x);
}

// Arrays of one parameter; the first kParams elements are the golden problem, the rest repeat it.
struct Parameter {
  Array param, grad, state0, state1, state2;
  Parameter(ScalarType type, int64_t n)
      : param(type, {n}), grad(type, {n}), state0(type, {n}), state1(type, {n}), state2(type, {n}) {
    param.fill_with([](int64_t i) { return std::sin(static_cast<double>(i % kParams + 1)); });
    for (Array* state : {&state0, &state1, &state2}) state->fill_with([](int64_t) { return 0; });
  }
  void set_gradient(int t) {
    grad.fill_with([&](int64_t i) { return gradient(i % kParams, t); });
  }
  OptimTensor tensor(int t) const {
    return OptimTensor{param.view().data,
                       grad.view().data,
                       {state0.view().data, state1.view().data, state2.view().data},
                       param.numel(),
                       param.dtype(),
                       t == 1,
                       static_cast<double>(t)};
  }
};

// Runs the steps on parameters of several sizes at once; returns the first of them after checking
// that all others agree with it element for element.
template <class Run>
std::vector<double> trace(ScalarType type, Run run) {
  std::vector<Parameter> all;
  for (const int64_t n :
       {int64_t{kParams}, int64_t{1}, int64_t{0}, int64_t{35}, int64_t{64}, int64_t{1030}}) {
    all.emplace_back(type, n);
  }
  for (int t = 1; t <= kSteps; ++t) {
    std::vector<OptimTensor> tensors;
    for (Parameter& parameter : all) {
      parameter.set_gradient(t);
      tensors.push_back(parameter.tensor(t));
    }
    run(tensors.data(), static_cast<int64_t>(tensors.size()));
  }
  const std::vector<double> first = all[0].param.values();
  const double close = type == kDouble ? 1e-14 : type == kFloat ? 1e-6 : 0.1;
  for (const Parameter& parameter : all) {
    REQUIRE(parameter.param.guards_intact());
    bool same = true;
    for (int64_t i = 0; i < parameter.param.numel(); ++i) {
      same &= std::fabs(parameter.param.get(i) - first[static_cast<size_t>(i % kParams)]) < close;
    }
    REQUIRE(same);
  }
  return first;
}

template <class Run>
void check_trace(const std::vector<double>& golden, Run run) {
  for_each_isa_and_device([&] {
    const std::vector<double> doubles = trace(kDouble, run), floats = trace(kFloat, run);
    const std::vector<double> bfloats = trace(kBFloat16, run), halves = trace(kHalf, run);
    for (size_t i = 0; i < golden.size(); ++i) {
      CHECK(doubles[i] == Approx(golden[i]).epsilon(1e-12).margin(1e-13));
      CHECK(floats[i] == Approx(golden[i]).epsilon(1e-6).margin(1e-6));
      CHECK(halves[i] == Approx(golden[i]).epsilon(0.02).margin(0.02));
      CHECK(bfloats[i] == Approx(golden[i]).epsilon(0.1).margin(0.2));
    }
  });
}
void check_sgd(const SgdStep& step, const std::vector<double>& golden) {
  check_trace(golden,
              [&](const OptimTensor* tensors, int64_t n) { tested().sgd_step(step, tensors, n); });
}
void check_adam(const AdamStep& step, const std::vector<double>& golden) {
  check_trace(golden,
              [&](const OptimTensor* tensors, int64_t n) { tested().adam_step(step, tensors, n); });
}

TEST_CASE("SGD follows PyTorch's trace") {
  check_sgd({.lr = 0.1,
             .momentum = 0,
             .dampening = 0,
             .weight_decay = 0,
             .nesterov = false,
             .maximize = false},
            {1.3378832930744637, 1.7465970645939786, 1.2906679209582534, 0.63310588139274759,
             0.55987843873729659});
  check_sgd({.lr = 0.1,
             .momentum = 0,
             .dampening = 0,
             .weight_decay = 0.05,
             .nesterov = false,
             .maximize = false},
            {1.131242736350518, 1.469204749945586, 1.1538051274715824, 0.67096147326620748,
             0.59927759857137441});
}

TEST_CASE("SGD with momentum follows PyTorch's trace") {
  check_sgd({.lr = 0.1,
             .momentum = 0.9,
             .dampening = 0.3,
             .weight_decay = 0.05,
             .nesterov = false,
             .maximize = false},
            {0.22164072390659151, 1.1767756766167425, 2.1445006935366857, 3.0496215988558957,
             3.8165508160814503});
  check_sgd({.lr = 0.1,
             .momentum = 0.8,
             .dampening = 0,
             .weight_decay = 0,
             .nesterov = true,
             .maximize = true},
            {-0.39327760184470645, -2.0511751490559504, -4.5479034555106033, -6.9638518067727437,
             -8.2603184018237972});
}

TEST_CASE("Adam follows PyTorch's trace") {
  AdamStep step{.lr = 0.05,
                .beta1 = 0.9,
                .beta2 = 0.999,
                .eps = 1e-8,
                .weight_decay = 0,
                .amsgrad = false,
                .maximize = false,
                .decoupled = false};
  check_adam(step, {0.62968491600786725, 0.92573517343403988, 0.40511180593933749,
                    -0.23371834688213744, -0.17125440789690932});
  step.beta1 = 0.3;  // below one half the interpolation takes its other form
  step.beta2 = 0.95;
  check_adam(step, {1.2395883176877722, 1.4821100852724265, 0.86305138728915209,
                    0.076884937366232906, -0.069434719238273435});
  step.beta1 = 0.7;
  step.beta2 = 0.9;
  step.eps = 1e-3;
  step.weight_decay = 0.1;
  check_adam(step, {0.80580003237094755, 1.0294992943408903, 0.57817721395482657,
                    -0.010181845040398881, -0.058054508313579244});
}

TEST_CASE("Adam with amsgrad and maximize, and AdamW, follow PyTorch's traces") {
  check_adam({.lr = 0.05,
              .beta1 = 0.9,
              .beta2 = 0.999,
              .eps = 1e-8,
              .weight_decay = 0,
              .amsgrad = true,
              .maximize = true,
              .decoupled = false},
             {1.0532293222853966, 0.89284718778463568, -0.12287595908832873, -1.2798655017999097,
              -1.7465717120360318});
  check_adam({.lr = 0.05,
              .beta1 = 0.9,
              .beta2 = 0.999,
              .eps = 1e-8,
              .weight_decay = 0.2,
              .amsgrad = false,
              .maximize = false,
              .decoupled = true},
             {0.36352706763732234, 0.56464639958318141, 0.31560171169272322, -0.0060322129671402137,
              0.043760145030531841});
}

TEST_CASE(
    "unused optimizer state may be null, and the first momentum step ignores what is stored") {
  for_each_device([] {
    Parameter parameter(kFloat, 3);
    parameter.set_gradient(1);
    OptimTensor tensor = parameter.tensor(1);
    tensor.state[0] = tensor.state[1] = tensor.state[2] = nullptr;
    const double before = parameter.param.get(0);
    tested().sgd_step({.lr = 1,
                       .momentum = 0,
                       .dampening = 0,
                       .weight_decay = 0,
                       .nesterov = false,
                       .maximize = false},
                      &tensor, 1);
    CHECK(parameter.param.get(0) == Approx(before - parameter.grad.get(0)));
    for (const ScalarType type : kFloatTypes) {
      Parameter fresh(type, 3);
      fresh.set_gradient(1);
      fresh.state0.fill_with([](int64_t) { return std::numeric_limits<double>::quiet_NaN(); });
      const OptimTensor first = fresh.tensor(1);
      tested().sgd_step({.lr = 1,
                         .momentum = 0.9,
                         .dampening = 0.5,
                         .weight_decay = 0,
                         .nesterov = false,
                         .maximize = false},
                        &first, 1);
      CHECK(fresh.state0.get(2) == fresh.grad.get(2));
    }
  });
}

TEST_CASE("without weight decay an infinite parameter with gradient 0 stays as it is") {
  for_each_device([] {
    Parameter parameter(kFloat, 4);
    parameter.param.fill_with([](int64_t) { return -std::numeric_limits<double>::infinity(); });
    parameter.grad.fill_with([](int64_t) { return 0; });
    const OptimTensor tensor = parameter.tensor(1);
    tested().sgd_step({.lr = 0.1,
                       .momentum = 0.9,
                       .dampening = 0,
                       .weight_decay = 0,
                       .nesterov = false,
                       .maximize = false},
                      &tensor, 1);
    tested().adam_step({.lr = 0.1,
                        .beta1 = 0.9,
                        .beta2 = 0.999,
                        .eps = 1e-8,
                        .weight_decay = 0,
                        .amsgrad = false,
                        .maximize = false,
                        .decoupled = false},
                       &tensor, 1);
    CHECK(parameter.param.values() ==
          std::vector<double>(4, -std::numeric_limits<double>::infinity()));
  });
}

TEST_CASE("tensors split among threads are each updated once") {
  for_each_device([] {
    const WithThreads threads(3);
    std::vector<Parameter> all;
    // Several pieces each on a GPU as well.
    const int64_t large = on_cpu_or_gpu(50001, 9001);
    for (const int64_t n : {large * 3 / 5, int64_t{7}, large, int64_t{1}, large * 2 / 5})
      all.emplace_back(kFloat, n);
    std::vector<OptimTensor> tensors;
    for (Parameter& parameter : all) {
      parameter.param.fill_with([](int64_t) { return 1; });
      parameter.grad.fill_with([](int64_t) { return 2; });
      tensors.push_back(parameter.tensor(1));
    }
    tested().sgd_step({.lr = 0.25,
                       .momentum = 0,
                       .dampening = 0,
                       .weight_decay = 0,
                       .nesterov = false,
                       .maximize = false},
                      tensors.data(), static_cast<int64_t>(tensors.size()));
    for (const Parameter& parameter : all) {
      const std::vector<double> values = parameter.param.values();
      CHECK(values == std::vector<double>(values.size(), 0.5));
    }
  });
}

}  // namespace
}  // namespace tarn::testing
