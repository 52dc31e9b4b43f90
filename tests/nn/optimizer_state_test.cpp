// What an optimizer saves and loads.
#include <cmath>

#include "tarn/core/autograd.h"
#include "tarn/nn/nn.h"
#include "tarn/tests/support/catch.h"

using namespace tarn;
using optim::Adam;
using optim::AdamOptions;
using optim::AdamW;
using optim::OptimizerParamGroup;
using optim::SGD;
using optim::SGDOptions;

namespace {

using Names = std::vector<std::string>;

Tensor param(std::vector<double> values, ScalarType dtype = kDouble) {
  return tensor(values, dtype).requires_grad_();
}

void set_grad(const Tensor& p, const Tensor& grad) { p.mutable_grad() = grad; }

// `steps` updates of one optimizer, with gradients that change.
template <class Opt>
void run(Opt& optimizer, const std::vector<Tensor>& params, int steps) {
  for (int i = 0; i < steps; ++i) {
    for (const Tensor& p : params) set_grad(p, p.detach() * 0.3 + std::sin(i + 1.0));
    optimizer.step();
  }
}

Names keys(const Value& dict) {
  Names names;
  for (const auto& [key, value] : dict.entries()) names.push_back(str(key));
  return names;
}

}  // namespace

TEST_CASE("state_dict has PyTorch's layout") {
  const Tensor a = param({1, 2}), b = param({3});
  SGD sgd({OptimizerParamGroup({a}), OptimizerParamGroup({b})}, SGDOptions(0.1).momentum(0.9));
  CHECK(str(sgd.state_dict().at("state")) == "{}");
  run(sgd, {a, b}, 1);
  const Value state = sgd.state_dict();
  CHECK(keys(state) == Names{"'state'", "'param_groups'"});
  CHECK(keys(state.at("state")) == Names{"0", "1"});
  CHECK(keys(state.at("state").at(1)) == Names{"'momentum_buffer'"});
  CHECK(state.at("param_groups").is_list());
  CHECK(str(state.at("param_groups").at(1)) ==
        "{'lr': 0.1, 'momentum': 0.9, 'dampening': 0.0, 'weight_decay': 0.0, 'nesterov': False, "
        "'maximize': False, 'foreach': None, "
        "'differentiable': False, 'fused': None, 'params': [1]}");

  Adam adam({a, b}, AdamOptions(0.1).amsgrad(true));
  run(adam, {a, b}, 3);
  const Value adam_state = adam.state_dict();
  CHECK(keys(adam_state.at("state").at(0)) ==
        Names{"'step'", "'exp_avg'", "'exp_avg_sq'", "'max_exp_avg_sq'"});
  const Tensor step = adam_state.at("state").at(0).at("step").to_tensor();
  CHECK(step.dim() == 0);
  CHECK(step.dtype() == kFloat);
  CHECK(step.item<float>() == 3);
  CHECK(str(adam_state.at("param_groups").at(0)) ==
        "{'lr': 0.1, 'betas': (0.9, 0.999), 'eps': 1e-08, 'weight_decay': 0.0, 'amsgrad': True, "
        "'maximize': False, 'foreach': None, "
        "'capturable': False, 'differentiable': False, 'fused': None, 'decoupled_weight_decay': "
        "False, 'params': [0, 1]}");
  CHECK(AdamW({a}).state_dict().at("param_groups").at(0).at("decoupled_weight_decay").to_bool());
  SGD plain({a}, 0.1);
  run(plain, {a}, 1);
  CHECK(plain.state_dict().at("state").size() == 0);
}

TEST_CASE("an optimizer that loads a state goes on like the one that saved it") {
  const auto check = [](auto make) {
    const std::vector<Tensor> first = {param({1, 2}), param({3})};
    auto original = make(first);
    run(*original, first, 5);
    std::vector<Tensor> second;
    for (const Tensor& p : first) second.push_back(p.detach().clone().requires_grad_());
    auto restored = make(second);
    restored->load_state_dict(original->state_dict());
    original->param_groups()[0].options().set_lr(0.01);
    restored->param_groups()[0].options().set_lr(0.01);
    run(*original, first, 5);
    run(*restored, second, 5);
    CHECK(first[0].equal(second[0]));
    CHECK(first[1].equal(second[1]));
  };
  check([](const std::vector<Tensor>& p) {
    return std::make_unique<SGD>(p, SGDOptions(0.1).momentum(0.9));
  });
  check([](const std::vector<Tensor>& p) {
    return std::make_unique<Adam>(p, AdamOptions(0.1).amsgrad(true));
  });
  check([](const std::vector<Tensor>& p) { return std::make_unique<AdamW>(p); });
}

TEST_CASE("loading takes over the settings and converts the state") {
  const Tensor a = param({1, 2}), b = param({1, 2}, kFloat);
  Adam from({a}, AdamOptions(0.25).betas({0.5, 0.75}).weight_decay(0.125)), to({b});
  run(from, {a}, 2);
  const Value state = from.state_dict();
  to.load_state_dict(state);
  const auto& options = static_cast<const AdamOptions&>(to.param_groups()[0].options());
  CHECK(options.lr() == 0.25);
  CHECK(options.betas() == std::tuple<double, double>(0.5, 0.75));
  CHECK(options.weight_decay() == 0.125);
  auto& loaded = static_cast<optim::AdamParamState&>(*to.state().at(b.unsafeGetTensorImpl()));
  CHECK(loaded.exp_avg().dtype() == kFloat);
  CHECK(loaded.step() == 2);
  // A copy: the first optimizer's steps do not reach it.
  const Tensor before = loaded.exp_avg().clone();
  run(from, {a}, 1);
  CHECK(loaded.exp_avg().equal(before));
}

TEST_CASE("a state that does not fit is refused and changes nothing") {
  const Tensor a = param({1, 2}), b = param({3});
  Adam optimizer({a, b}, AdamOptions(0.1));
  run(optimizer, {a, b}, 1);
  const Value good = optimizer.state_dict();
  const Tensor average =
      static_cast<optim::AdamParamState&>(*optimizer.state().at(a.unsafeGetTensorImpl())).exp_avg();

  Adam two_groups({OptimizerParamGroup({a}), OptimizerParamGroup({b})});
  CHECK_THROWS_WITH_TEXT(two_groups.load_state_dict(good),
                         "loaded state dict has a different number of parameter groups");
  Adam one({a});
  CHECK_THROWS_WITH_TEXT(one.load_state_dict(good),
                         "loaded state dict contains a parameter group that doesn't match the size "
                         "of optimizer's group");
  Adam exchanged({b, a});
  CHECK_THROWS_WITH_TEXT(exchanged.load_state_dict(good),
                         "'exp_avg' has sizes [2], its parameter [1]");
  SGD other({a, b}, SGDOptions(0.7).momentum(0.9));
  CHECK_THROWS_WITH_TEXT(other.load_state_dict(good),
                         "is this the state of another kind of optimizer?");
  CHECK(other.param_groups()[0].options().get_lr() == 0.7);
  run(other, {a, b}, 1);
  CHECK_THROWS_WITH_TEXT(optimizer.load_state_dict(other.state_dict()),
                         "unknown state 'momentum_buffer'");

  Value bad =
      Value::dict({{"state", Value::dict()},
                   {"param_groups",
                    Value::list({Value::dict({{"lr", -1.0}, {"params", Value::list({0, 1})}})})}});
  CHECK_THROWS_WITH_TEXT(optimizer.load_state_dict(bad), "Invalid learning rate: -1");
  CHECK_THROWS_AS(optimizer.load_state_dict(Value::dict()), IndexError);
  CHECK_THROWS_AS(optimizer.load_state_dict(Value(3)), TypeError);
  CHECK(optimizer.param_groups()[0].options().get_lr() == 0.1);
  CHECK(static_cast<optim::AdamParamState&>(*optimizer.state().at(a.unsafeGetTensorImpl()))
            .exp_avg()
            .is_same(average));
}
