#include "tarn/nn/normalization.h"

#include "tarn/core/autograd.h"
#include "tarn/core/random.h"
#include "tarn/core/testing.h"
#include "tarn/nn/nn.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/devices.h"

using namespace tarn;

TEST_CASE("a LayerNorm begins with weights of 1 and a bias of 0, and has PyTorch's names") {
  nn::LayerNorm layer(nn::LayerNormOptions({2, 3}));
  CHECK(layer->state_dict().keys() == std::vector<std::string>{"weight", "bias"});
  CHECK(layer->weight.equal(ones({2, 3})));
  CHECK(layer->bias.equal(zeros({2, 3})));
  CHECK(layer->weight.requires_grad());
  {
    NoGradGuard no_grad;
    layer->weight.fill_(3);
    layer->bias.fill_(3);
  }
  layer->reset_parameters();
  CHECK(layer->weight.equal(ones({2, 3})));
  CHECK(layer->bias.equal(zeros({2, 3})));
}

TEST_CASE("a LayerNorm normalizes, scales and shifts on every device") {
  for (const Device device : testing::devices()) {
    CAPTURE(device);
    nn::LayerNorm layer(nn::LayerNormOptions({2}).eps(0));
    {
      NoGradGuard no_grad;
      layer->weight.copy_(tensor({2., 10.}));
      layer->bias.copy_(tensor({1., 0.}));
    }
    layer->to(device);
    const Tensor y = layer(tensor({{3., 5.}, {8., 2.}}, device));
    testing::assert_close(y.cpu(), tensor({{-1., 10.}, {3., -10.}}));
    y.sum().backward();
    testing::assert_close(layer->weight.grad().cpu(), tensor({0., 0.}));
    testing::assert_close(layer->bias.grad().cpu(), tensor({2., 2.}));
  }
}

TEST_CASE("a LayerNorm without elementwise_affine has no parameters") {
  nn::LayerNorm layer(nn::LayerNormOptions({4}).elementwise_affine(false));
  CHECK(layer->parameters().empty());
  CHECK(layer->state_dict().empty());
  layer->reset_parameters();
  CHECK_FALSE(layer->weight.defined());
  CHECK(layer(ones({3, 4})).equal(zeros({3, 4})));
}

TEST_CASE("a LayerNorm's clone is its own, and a net with one trains") {
  manual_seed(1);
  nn::Sequential net(nn::Linear(4, 6), nn::LayerNorm(std::vector<int64_t>{6}), nn::Linear(6, 1));
  CHECK(net->named_parameters().keys()[2] == "1.weight");
  const auto copy = std::dynamic_pointer_cast<nn::SequentialImpl>(net->clone());
  optim::SGD sgd(net->parameters(), 0.1);
  const Tensor x = randn({32, 4}), y = x.sum(1, true);
  const auto loss = [&] { return nn::functional::mse_loss(net(x), y); };
  const double before = loss().item<double>();
  for (int step = 0; step < 50; ++step) {
    sgd.zero_grad();
    loss().backward();
    sgd.step();
  }
  CHECK(loss().item<double>() < 0.2 * before);
  CHECK(copy->named_parameters()["1.weight"].equal(ones({6})));
}
