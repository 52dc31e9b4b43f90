#include "tarn/nn/optim/optimizer.h"

#include <cmath>

#include "tarn/core/autograd.h"
#include "tarn/core/random.h"
#include "tarn/nn/nn.h"
#include "tarn/tests/support/catch.h"

using namespace tarn;
using optim::Adam;
using optim::AdamOptions;
using optim::AdamW;
using optim::AdamWOptions;
using optim::OptimizerParamGroup;
using optim::SGD;
using optim::SGDOptions;

namespace {

Tensor param(std::vector<double> values, ScalarType dtype = kDouble) {
  return tensor(values, dtype).requires_grad_();
}

void set_grad(const Tensor& p, const Tensor& grad) { p.mutable_grad() = grad; }

// Formulas of the papers, one number at a time.
struct ByHand {
  double m = 0, v = 0, max_v = 0, buffer = 0;
  int t = 0;
  double adam(double p, double g, const AdamStep& o) {
    ++t;
    if (o.decoupled)
      p -= o.lr * o.weight_decay * p;
    else
      g += o.weight_decay * p;
    m = o.beta1 * m + (1 - o.beta1) * g;
    v = o.beta2 * v + (1 - o.beta2) * g * g;
    max_v = std::max(max_v, v);
    const double v_hat = (o.amsgrad ? max_v : v) / (1 - std::pow(o.beta2, t));
    return p - o.lr * (m / (1 - std::pow(o.beta1, t))) / (std::sqrt(v_hat) + o.eps);
  }
  double sgd(double p, double g, const SGDOptions& o) {
    g += o.weight_decay() * p;
    if (o.momentum() != 0) {
      buffer = ++t == 1 ? g : o.momentum() * buffer + (1 - o.dampening()) * g;
      g = o.nesterov() ? g + o.momentum() * buffer : buffer;
    }
    return p - o.lr() * g;
  }
};

template <class Opt, class Options, class Update>
void compare_with_formula(const Options& options, Update update) {
  const Tensor p = param({1.5, -0.75});
  Opt optimizer({p}, options);
  ByHand hand[2];
  double expected[2] = {1.5, -0.75};
  for (int i = 0; i < 20; ++i) {
    const double g[2] = {expected[0] * 0.3 + std::sin(i), std::cos(3.0 * i)};
    set_grad(p, tensor({g[0], g[1]}, kDouble));
    optimizer.step();
    for (int k = 0; k < 2; ++k) expected[k] = update(hand[k], expected[k], g[k]);
  }
  CHECK(p.allclose(tensor({expected[0], expected[1]}, kDouble), 1e-10, 1e-12));
}

}  // namespace

TEST_CASE("SGD follows its formula with every setting") {
  for (const SGDOptions& options :
       {SGDOptions(0.1), SGDOptions(0.1).momentum(0.9),
        SGDOptions(0.1).momentum(0.9).dampening(0.3),
        SGDOptions(0.1).momentum(0.8).nesterov(true).weight_decay(0.05)}) {
    compare_with_formula<SGD>(options,
                              [&](ByHand& h, double p, double g) { return h.sgd(p, g, options); });
  }
}

TEST_CASE("Adam and AdamW follow their formulas with every setting") {
  for (const AdamOptions& options :
       {AdamOptions(0.1), AdamOptions(0.1).weight_decay(0.1), AdamOptions(0.1).amsgrad(true),
        AdamOptions(0.1).betas({0.4, 0.6}).eps(1e-3)}) {
    compare_with_formula<Adam>(options, [&](ByHand& h, double p, double g) {
      return h.adam(p, g, options.kernel_settings());
    });
  }
  for (const AdamWOptions& options :
       {AdamWOptions(0.1), AdamWOptions(0.1).weight_decay(0.5).amsgrad(true)}) {
    compare_with_formula<AdamW>(options, [&](ByHand& h, double p, double g) {
      return h.adam(p, g, options.kernel_settings());
    });
  }
}

TEST_CASE("maximize climbs by as much as minimizing descends") {
  const auto moved = [](auto make) {
    const Tensor p = param({0});
    auto optimizer = make(p);
    set_grad(p, tensor({2.0}, kDouble));
    optimizer->step();
    return p.item<double>();
  };
  CHECK(moved([](const Tensor& p) {
          return std::make_unique<SGD>(std::vector<Tensor>{p}, SGDOptions(0.1).maximize(true));
        }) == Approx(0.2));
  CHECK(moved([](const Tensor& p) {
          return std::make_unique<Adam>(std::vector<Tensor>{p}, AdamOptions(0.1).maximize(true));
        }) == Approx(0.1));
}

TEST_CASE("parameters without a gradient stay, others are stepped on their own count") {
  const Tensor a = param({1}), b = param({1});
  Adam optimizer({a, b}, AdamOptions(0.1));
  set_grad(a, ones({1}, kDouble));
  optimizer.step();
  CHECK(b.item<double>() == 1);
  CHECK(optimizer.state().size() == 1);
  set_grad(b, ones({1}, kDouble));
  optimizer.step();
  const auto count = [&](const Tensor& p) {
    return static_cast<optim::AdamParamState&>(*optimizer.state().at(p.unsafeGetTensorImpl()))
        .step();
  };
  CHECK(count(a) == 2);
  CHECK(count(b) == 1);
  CHECK(b.item<double>() == Approx(0.9));
}

TEST_CASE("parameters of any layout and gradients of any form are updated") {
  const Tensor p = arange(6., kDouble).reshape({2, 3}).t().requires_grad_();  // not contiguous
  const Tensor q = param({1, 2, 3}, kFloat), half = param({1, 2}, kHalf);
  set_grad(p, ones({2, 3}, kDouble).t());
  set_grad(q, arange(6.).slice(0, 0, 6, 2));  // strided
  set_grad(half, ones({2}, kHalf));
  const Tensor expected = p.detach() - 0.5;
  SGD optimizer({p, q, half}, 0.5);
  optimizer.step();
  CHECK(p.equal(expected));
  CHECK(q.equal(tensor({1., 1., 1.})));
  CHECK(half.equal(tensor({0.5, 1.5}).to(kHalf)));
}

TEST_CASE("an update counts as a write") {
  const Tensor p = param({1, 2});
  const Tensor loss = (p * p).sum();
  set_grad(p, ones({2}, kDouble));
  const int64_t before = p._version();
  SGD optimizer({p}, 0.1);
  optimizer.step();
  CHECK(p._version() > before);
  CHECK_THROWS_AS(loss.backward(), Error);
}

TEST_CASE("parameters may be replaced or change their dtype between steps") {
  const Tensor a = param({1}, kFloat), b = param({5}, kFloat);
  SGD optimizer({a}, SGDOptions(1).momentum(0.5));
  set_grad(a, ones({1}));
  optimizer.step();
  a.set_data(a.detach().to(kDouble));
  set_grad(a, ones({1}, kDouble));
  optimizer.step();
  CHECK(a.dtype() == kDouble);
  CHECK(a.item<double>() == -1.5);
  optimizer.param_groups()[0].params()[0] = b;
  set_grad(b, ones({1}));
  optimizer.step();
  CHECK(b.item<float>() == 4);
  CHECK(a.item<double>() == -1.5);
  CHECK(optimizer.state().size() == 1);
  a.set_data(zeros({2}, kDouble));
  optimizer.param_groups()[0].params()[0] = a;
  CHECK_THROWS_AS(optimizer.step(), ShapeError);
}

TEST_CASE("what a group's options leave unset follows the optimizer's defaults") {
  const auto parameter = [] { return ones({2}).requires_grad_(); };
  std::vector<OptimizerParamGroup> groups;
  groups.emplace_back(std::vector{parameter()},
                      std::make_unique<AdamWOptions>(AdamWOptions().weight_decay(0.1)));
  groups.emplace_back(std::vector{parameter()},
                      std::make_unique<AdamWOptions>(AdamWOptions(5e-3).betas({0.5, 0.6})));
  AdamW adamw(groups, AdamWOptions(0.02).betas({0.8, 0.9}).amsgrad(true).weight_decay(0.3));
  const auto options = [&](size_t i) {
    return static_cast<const AdamWOptions&>(adamw.param_groups()[i].options());
  };
  CHECK(options(0).lr() == 0.02);
  CHECK(options(0).betas() == std::tuple(0.8, 0.9));
  CHECK(options(0).weight_decay() == 0.1);
  CHECK(options(0).amsgrad());
  CHECK(options(0).eps() == 1e-8);
  CHECK(options(1).lr() == 5e-3);
  CHECK(options(1).betas() == std::tuple(0.5, 0.6));
  CHECK(options(1).weight_decay() == 0.3);

  SGD sgd({parameter()}, SGDOptions(0.1).momentum(0.9).nesterov(true));
  sgd.add_param_group({{parameter()}, std::make_unique<SGDOptions>(SGDOptions().lr(0.2))});
  const auto& added = static_cast<const SGDOptions&>(sgd.param_groups()[1].options());
  CHECK(added.lr() == 0.2);
  CHECK(added.momentum() == 0.9);
  CHECK(added.nesterov());
}

TEST_CASE("groups have settings of their own or the defaults") {
  const Tensor a = param({1}), b = param({1}), c = param({1});
  SGD optimizer(
      {OptimizerParamGroup({a}), OptimizerParamGroup({b}, std::make_unique<SGDOptions>(0.5))},
      SGDOptions(0.1));
  optimizer.add_param_group(OptimizerParamGroup({c}));
  for (const Tensor& p : {a, b, c}) set_grad(p, ones({1}, kDouble));
  optimizer.step();
  CHECK(a.item<double>() == Approx(0.9));
  CHECK(b.item<double>() == Approx(0.5));
  CHECK(c.item<double>() == Approx(0.9));
  static_cast<SGDOptions&>(optimizer.param_groups()[0].options()).lr() = 0.2;
  optimizer.param_groups()[1].options().set_lr(0);
  optimizer.step();
  CHECK(a.item<double>() == Approx(0.7));
  CHECK(b.item<double>() == Approx(0.5));
  CHECK(optimizer.defaults().get_lr() == 0.1);
}

TEST_CASE("a closure computes the loss with gradients enabled") {
  const Tensor p = param({3});
  SGD optimizer({p}, 0.1);
  NoGradGuard no_grad;
  const Tensor loss = optimizer.step([&] {
    optimizer.zero_grad();
    const Tensor l = (p * p).sum();
    l.backward();
    return l;
  });
  CHECK(loss.item<double>() == 9);
  CHECK(p.item<double>() == Approx(2.4));
  CHECK_FALSE(optimizer.step().defined());
}

TEST_CASE("an optimizer's zero_grad drops gradients or fills them with zeros") {
  const Tensor p = param({3});
  SGD optimizer({p}, 0.1);
  set_grad(p, ones({1}, kDouble));
  optimizer.zero_grad(false);
  CHECK(p.grad().item<double>() == 0);
  optimizer.zero_grad();
  CHECK_FALSE(p.grad().defined());
}

TEST_CASE("settings and parameters that make no sense are errors") {
  const Tensor p = param({1});
  CHECK_THROWS_WITH_TEXT(SGD({p}, -1), "Invalid learning rate: -1");
  CHECK_THROWS_WITH_TEXT(SGD({p}, SGDOptions(1).momentum(-0.5)), "Invalid momentum value: -0.5");
  CHECK_THROWS_WITH_TEXT(SGD({p}, SGDOptions(1).weight_decay(-0.5)),
                         "Invalid weight_decay value: -0.5");
  CHECK_THROWS_WITH_TEXT(SGD({p}, SGDOptions(1).nesterov(true)),
                         "Nesterov momentum requires a momentum and zero dampening");
  CHECK_THROWS_WITH_TEXT(SGD({p}, SGDOptions(1).nesterov(true).momentum(0.9).dampening(0.1)),
                         "Nesterov momentum requires a momentum and zero dampening");
  CHECK_THROWS_WITH_TEXT(Adam({p}, -1), "Invalid learning rate: -1");
  CHECK_THROWS_WITH_TEXT(Adam({p}, AdamOptions().eps(-1)), "Invalid epsilon value: -1");
  CHECK_THROWS_WITH_TEXT(Adam({p}, AdamOptions().betas({1.0, 0.9})),
                         "Invalid beta parameter at index 0: 1");
  CHECK_THROWS_WITH_TEXT(Adam({p}, AdamOptions().betas({0.9, -0.1})),
                         "Invalid beta parameter at index 1: -0.1");
  CHECK_THROWS_WITH_TEXT(AdamW({p}, AdamWOptions().weight_decay(-1)),
                         "Invalid weight_decay value: -1");
  CHECK_THROWS_AS(SGD({p}, std::nan("")), ValueError);

  SGD optimizer({p}, 0.1);
  CHECK_THROWS_WITH_TEXT(optimizer.add_param_group(OptimizerParamGroup({p})),
                         "some parameters appear in more than one parameter group");
  CHECK_THROWS_WITH_TEXT(SGD({p, p}, 0.1), "a parameter group contains duplicate parameters");
  CHECK_THROWS_WITH_TEXT(SGD({p * 2}, 0.1), "can't optimize a non-leaf Tensor");
  CHECK_THROWS_WITH_TEXT(SGD({Tensor()}, 0.1), "can't optimize an undefined Tensor");
  CHECK_THROWS_AS(
      optimizer.add_param_group(OptimizerParamGroup({param({2})}, std::make_unique<AdamOptions>())),
      TypeError);
  CHECK(optimizer.param_groups().size() == 1);
  CHECK_THROWS_AS(OptimizerParamGroup({p}).options(), Error);
}

TEST_CASE("training fits a small network") {
  manual_seed(0);
  nn::Sequential net(nn::Linear(2, 16), nn::Tanh(), nn::Linear(16, 1));
  const Tensor x = randn({64, 2}), y = (x.select(1, 0) * x.select(1, 1)).unsqueeze(1);
  Adam optimizer(net->parameters(), 0.02);
  float loss = 0;
  for (int i = 0; i < 400; ++i) {
    optimizer.zero_grad();
    const Tensor l = nn::functional::mse_loss(net(x), y);
    l.backward();
    optimizer.step();
    loss = l.item<float>();
  }
  CHECK(loss < 0.01);
}

TEST_CASE("an optimizer of one's own only needs step()") {
  struct Shrink : optim::Optimizer {
    explicit Shrink(const std::vector<Tensor>& params)
        : Optimizer({OptimizerParamGroup(params)}, std::make_unique<SGDOptions>(0.5)) {}
    Tensor step(LossClosure = nullptr) override {
      NoGradGuard no_grad;
      for (const Tensor& p : param_groups()[0].params())
        p.mul_(param_groups()[0].options().get_lr());
      return {};
    }
  };
  const Tensor p = param({4});
  Shrink optimizer({p});
  optimizer.step();
  CHECK(p.item<double>() == 2);
  CHECK(optimizer.state_dict().at("param_groups").at(0).at("lr").to_double() == 0.5);
}
