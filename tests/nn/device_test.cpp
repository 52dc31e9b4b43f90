// Modules, losses and optimizers on every device there is.
#include <cmath>

#include "tarn/core/autograd.h"
#include "tarn/core/functions.h"
#include "tarn/core/random.h"
#include "tarn/core/testing.h"
#include "tarn/nn/nn.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/devices.h"

using namespace tarn;
using testing::cuda_devices;
using testing::devices;

namespace {

nn::Sequential make_net() {
  return nn::Sequential(nn::Linear(4, 8), nn::ReLU(), nn::Dropout(0.0), nn::Linear(8, 3));
}

// Trains a net of a fixed start; returns its parameters on the CPU.
template <class Opt, class Options>
std::vector<Tensor> train(Device device, const Options& options) {
  manual_seed(2);
  nn::Sequential net = make_net();
  const Tensor x = randn({6, 4}).to(device), target = tensor({0, 1, 2, 2, 1, 0}, device);
  net->to(device);
  Opt optimizer(net->parameters(), options);
  for (int step = 0; step < 4; ++step) {
    optimizer.zero_grad();
    nn::functional::cross_entropy(net(x), target).backward();
    nn::utils::clip_grad_norm_(net->parameters(), 1.0);
    optimizer.step();
  }
  std::vector<Tensor> result;
  for (const Tensor& p : net->parameters()) result.push_back(p.detach().cpu());
  return result;
}

void check_all_close(const std::vector<Tensor>& actual, const std::vector<Tensor>& wanted) {
  REQUIRE(actual.size() == wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i)
    testing::assert_close(actual[i], wanted[i], 1e-4, 1e-5);
}

}  // namespace

TEST_CASE("a module moves to a device with all it has, and computes there") {
  for (const Device device : devices()) {
    CAPTURE(device);
    nn::Sequential net = make_net();
    const Tensor x = randn({2, 4});
    const Tensor wanted = net(x);
    const std::vector<Tensor> before = net->parameters();
    net->to(device);
    for (size_t i = 0; i < before.size(); ++i) {
      CHECK(net->parameters()[i].is_same(before[i]));  // optimizers keep their tensors
      CHECK(before[i].device() == device);
    }
    const Tensor y = net(x.to(device));
    CHECK(y.device() == device);
    testing::assert_close(y.cpu(), wanted, 1e-4, 1e-5);
    if (device.is_cuda()) CHECK_THROWS_AS(net(x), DeviceError);
    net->to(kCPU);
    CHECK(net->parameters()[0].is_cpu());
  }
}

TEST_CASE("optimizers take the same steps on every device") {
  const auto check = [](auto train_on) {
    const std::vector<Tensor> wanted = train_on(Device(kCPU));
    for (const Device device : cuda_devices()) check_all_close(train_on(device), wanted);
  };
  check([](Device d) { return train<optim::SGD>(d, optim::SGDOptions(0.1)); });
  check([](Device d) {
    return train<optim::SGD>(d, optim::SGDOptions(0.1).momentum(0.9).nesterov(true));
  });
  check([](Device d) { return train<optim::Adam>(d, optim::AdamOptions(0.01).amsgrad(true)); });
  check([](Device d) { return train<optim::AdamW>(d, optim::AdamWOptions(0.01)); });
}

TEST_CASE("cross entropy keeps to its definition on every device, with gradients of both orders") {
  namespace F = nn::functional;
  for (const Device device : devices()) {
    manual_seed(3);
    const TensorOptions doubles = TensorOptions(kDouble).device(device);
    const Tensor x = randn({4, 3}, kDouble).to(device).requires_grad_();
    const Tensor target = tensor({2, -100, 1, 2}, device), weight = tensor({1., 2., 0.5}, doubles);
    const Tensor counts = target.ne(-100), labels = where(counts, target, 0);
    for (const double smoothing : {0.0, 0.2}) {
      const Tensor expected = (one_hot(labels, 3).to(kDouble) * (1 - smoothing) + smoothing / 3) *
                              weight * counts.unsqueeze(1);
      for (const Reduction how : {kNone, kSum, kMean}) {
        CAPTURE(device, smoothing, static_cast<int>(how));
        const auto options =
            F::CrossEntropyFuncOptions().weight(weight).reduction(how).label_smoothing(smoothing);
        const auto loss = [&](const auto& in) { return F::cross_entropy(in[0], target, options); };
        const Tensor rows = -(x.log_softmax(1) * expected).sum(1);
        const Tensor wanted = how == kNone ? rows
                              : how == kSum
                                  ? rows.sum()
                                  : rows.sum() / (weight.index_select(0, labels) * counts).sum();
        const Tensor got = loss(std::vector{x});
        testing::assert_close(got, wanted);
        const Tensor ones = ones_like(got);
        const Tensor fused = autograd::grad({got}, {x}, {ones}, true)[0];
        testing::assert_close(fused, autograd::grad({wanted}, {x}, {ones}, true)[0]);
        testing::assert_close(fused, autograd::grad({got}, {x}, {ones}, true, true)[0]);
        CHECK(testing::gradcheck(testing::TensorFunction(loss), {x}));
        CHECK(testing::gradgradcheck(testing::TensorFunction(loss), {x}));
      }
    }
    // Images, whose classes are not next to one another, or whose images are not.
    const Tensor image = randn({2, 3, 2, 2}, kDouble).to(device).requires_grad_();
    const Tensor pixels = tensor({0, 1, 2, -100, 2, 2, 1, 0}, device).reshape({2, 2, 2});
    for (const bool turned : {false, true}) {
      const testing::TensorFunction loss = [&](const std::vector<Tensor>& in) {
        return F::cross_entropy(turned ? in[0].transpose(0, 2).transpose(2, 3) : in[0], pixels);
      };
      const Tensor log_probs =
          (turned ? image.transpose(0, 2).transpose(2, 3) : image).log_softmax(1);
      testing::assert_close(loss({image}), nll_loss(log_probs, pixels));
      CHECK(testing::gradcheck(loss, {image}));
      CHECK(testing::gradgradcheck(loss, {image}));
    }
  }
}

TEST_CASE(
    "a linear layer's gradients are those of its formula on every device, as far as asked for") {
  for (const Device device : devices()) {
    for (const ScalarType dtype : {kDouble, kFloat, kBFloat16}) {
      for (const int wanted : {1, 2, 3, 4, 5, 6, 7}) {
        CAPTURE(device, dtype, wanted);
        manual_seed(6);
        std::vector<Tensor> in = {randn({5, 3}), randn({4, 3}), randn({4})};
        std::vector<Tensor> asked;
        for (size_t i = 0; i < in.size(); ++i) {
          in[i] = in[i].to(device).to(dtype);
          if (wanted >> i & 1) asked.push_back(in[i].requires_grad_());
        }
        // Gradients that arrive expanded, and that do not.
        for (const bool scaled : {false, true}) {
          const Tensor factor = scaled ? randn({5, 4}).to(device).to(dtype) : Tensor();
          const auto gradients = [&](const Tensor& y) {
            return autograd::grad({(scaled ? y * factor : y).sum()}, asked);
          };
          const auto got = gradients(linear(in[0], in[1], in[2]));
          const auto by_formula = gradients(in[0].mm(in[1].t()) + in[2]);
          const double close = dtype == kBFloat16 ? 2e-2 : dtype == kFloat ? 1e-5 : 1e-12;
          for (size_t i = 0; i < got.size(); ++i)
            testing::assert_close(got[i], by_formula[i], close, close);
        }
      }
    }
  }
}

TEST_CASE("one optimizer steps parameters on several devices, and its state follows them") {
  const auto all = devices();
  std::vector<Tensor> parameters;
  for (const Device device : all)
    parameters.push_back(ones({3}, TensorOptions(device).requires_grad(true)));
  optim::Adam optimizer(parameters, optim::AdamOptions(0.1));
  for (int step = 0; step < 3; ++step) {
    for (const Tensor& p : parameters) p.mutable_grad() = full({3}, step + 1.0, p.options());
    optimizer.step();
  }
  for (const Tensor& p : parameters)
    testing::assert_close(p.detach().cpu(), parameters[0].detach());
  // A saved state is loaded to where the parameter is.
  const Value saved = optimizer.state_dict();
  std::vector<Tensor> moved;
  for (size_t i = 0; i < all.size(); ++i) {
    moved.push_back(
        parameters[i].detach().to(all[(i + 1) % all.size()], kFloat, false, true).requires_grad_());
  }
  optim::Adam second(moved, optim::AdamOptions(0.1));
  second.load_state_dict(saved);
  for (size_t i = 0; i < all.size(); ++i) {
    moved[i].mutable_grad() = ones({3}, moved[i].options());
    parameters[i].mutable_grad() = ones({3}, parameters[i].options());
  }
  second.step();
  optimizer.step();
  for (size_t i = 0; i < all.size(); ++i)
    testing::assert_close(moved[i].detach().cpu(), parameters[i].detach().cpu());
}

TEST_CASE("parameters load from a state on another device") {
  for (const Device from : devices()) {
    for (const Device to : devices()) {
      nn::Linear source(3, 2), target(3, 2);
      source->to(from);
      target->to(to);
      target->load_state_dict(source->state_dict());
      CHECK(target->weight.device() == to);
      CHECK(target->weight.detach().cpu().equal(source->weight.detach().cpu()));
    }
  }
}

TEST_CASE("initialisers fill parameters on every device") {
  for (const Device device : devices()) {
    CAPTURE(device);
    manual_seed(4);
    const Tensor w = empty({4, 3}, device);
    nn::init::xavier_uniform_(w);
    CHECK(w.abs().max().item<float>() <= std::sqrt(6.0F / 7));
    nn::init::orthogonal_(w);
    testing::assert_close(w.t().mm(w).cpu(), eye(3), 1e-4, 1e-5);
    nn::init::sparse_(w, 0.5);
    CHECK(w.eq(0).sum().item<int64_t>() >= 6);
  }
}

TEST_CASE("dropout draws from the generator of its device") {
  for (const Device device : devices()) {
    manual_seed(9);
    const Tensor x = ones({1000}, device);
    const Tensor first = nn::functional::dropout(x, 0.3, /*training=*/true);
    manual_seed(9);
    const Tensor again = nn::functional::dropout(x, 0.3, /*training=*/true);
    CHECK(first.equal(again));
    const double kept = first.gt(0).to(kDouble).mean().item<double>();
    CHECK(kept == Approx(0.7).margin(0.06));
  }
}
