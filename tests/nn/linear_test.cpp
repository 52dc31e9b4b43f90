#include "tarn/nn/linear.h"

#include <cmath>

#include "tarn/core/autograd.h"
#include "tarn/core/random.h"
#include "tarn/core/testing.h"
#include "tarn/nn/nn.h"
#include "tarn/tests/support/catch.h"

using namespace tarn;

TEST_CASE("Linear computes x weight^T + bias over the last dimension") {
  nn::Linear layer(3, 2);
  {
    NoGradGuard no_grad;
    layer->weight.copy_(tensor({{1., 2., 3.}, {4., 5., 6.}}));
    layer->bias.copy_(tensor({10., 20.}));
  }
  CHECK(layer(tensor({1., 1., 1.})).equal(tensor({16., 35.})));
  CHECK(layer(ones({4, 5, 3})).sizes() == std::vector<int64_t>{4, 5, 2});
  CHECK(layer(zeros({0, 3})).sizes() == std::vector<int64_t>{0, 2});
  CHECK_THROWS_AS(layer(ones({2, 4})), ShapeError);
  CHECK_THROWS_AS(layer(ones({2, 3}, kDouble)), Error);
}

TEST_CASE("Linear without bias has one parameter and an absent one") {
  nn::Linear layer(nn::LinearOptions(3, 2).bias(false));
  CHECK(layer->parameters().size() == 1);
  CHECK_FALSE(layer->bias.defined());
  CHECK(layer(zeros({1, 3})).equal(zeros({1, 2})));
  CHECK(layer->state_dict().keys() == std::vector<std::string>{"weight"});
}

TEST_CASE("Linear's initial values are PyTorch's under a seed") {
  // torch.manual_seed(0); l = torch.nn.Linear(4, 2)
  manual_seed(0);
  nn::Linear layer(4, 2);
  const Tensor weight = tensor(
      {{-0.003743410110473633, 0.26822179555892944, -0.4115225672721863, -0.3679695129394531},
       {-0.19257718324661255, 0.13407868146896362, -0.009906589984893799, 0.39644473791122437}});
  CHECK(layer->weight.equal(weight));
  CHECK(layer->bias.equal(tensor({-0.04437202215194702, 0.1323062777519226})));
  CHECK(layer->weight.is_leaf());
  manual_seed(0);
  layer->reset_parameters();
  CHECK(layer->weight.equal(weight));
}

TEST_CASE("Linear's gradients are right, of first and second order") {
  nn::Linear layer(3, 2);
  layer->to(kDouble);
  const Tensor x = randn({4, 3}, dtype(kDouble).requires_grad(true));
  const auto f = [](const std::vector<Tensor>& in) {
    return tarn::linear(in[0], in[1], in[2]).tanh();
  };
  CHECK(testing::gradcheck(testing::TensorFunction(f), {x, layer->weight, layer->bias}));
  CHECK(testing::gradgradcheck(testing::TensorFunction(f), {x, layer->weight, layer->bias}));
}

TEST_CASE("a LazyLinear becomes the Linear its first input asks for") {
  manual_seed(7);
  nn::LazyLinear lazy(5);
  CHECK(str(lazy) == "tarn::nn::LazyLinear(in_features=0, out_features=5, bias=true)");
  const Tensor weight = lazy->weight;
  optim::SGD optimizer(lazy->parameters(), 0.5);
  const Tensor x = ones({2, 3});
  manual_seed(7);
  const Tensor y = lazy(x);
  manual_seed(7);
  CHECK(y.equal(nn::Linear(3, 5)(x)));
  CHECK(weight.is_same(lazy->weight));
  CHECK(weight.sizes() == std::vector<int64_t>{5, 3});
  CHECK(lazy->options.in_features() == 3);
  CHECK(str(lazy) == "tarn::nn::Linear(in_features=3, out_features=5, bias=true)");
  // An optimizer made before trains it all the same.
  const Tensor before = weight.detach().clone();
  y.sum().backward();
  optimizer.step();
  CHECK(weight.allclose(before - 0.5 * weight.grad()));
  CHECK_THROWS_AS(lazy(ones({2, 4})), ShapeError);
  CHECK_THROWS_WITH_TEXT(nn::LazyLinear(2)(tensor(1.0)),
                         "the input must have at least one dimension");
}

TEST_CASE("a LazyLinear follows to() and clone() before it knows its size") {
  nn::LazyLinear lazy(2);
  lazy->to(kDouble);
  const auto copy = std::dynamic_pointer_cast<nn::LazyLinearImpl>(lazy->clone());
  CHECK(copy->forward(ones({1, 3}, kDouble)).dtype() == kDouble);
  CHECK(copy->weight.is_same(copy->named_parameters()["weight"]));
  CHECK(lazy->weight.numel() == 0);
}

TEST_CASE("a LazyLinear learns its size from a state dict") {
  nn::Linear trained(3, 2);
  nn::Sequential lazy(nn::LazyLinear(2)), wrong(nn::LazyLinear(4));
  const StateDict state = nn::Sequential(trained)->state_dict();
  CHECK_THROWS_WITH_TEXT(
      wrong->load_state_dict(state),
      "size mismatch for 0.weight: the state_dict has [2, 3], the module has [0].");
  lazy->load_state_dict(state);
  CHECK(lazy(ones({1, 3})).equal(trained(ones({1, 3}))));
  CHECK(str(lazy).find("Linear(in_features=3, out_features=2, bias=true)") != std::string::npos);
  CHECK_THROWS_AS(lazy->load_state_dict(nn::Sequential(nn::Linear(4, 2))->state_dict()),
                  ValueError);
}

TEST_CASE("Identity, Flatten and Unflatten change shapes only") {
  const Tensor x = arange(24).reshape({2, 3, 4});
  CHECK(nn::Identity()(x).is_same(x));
  CHECK(nn::Flatten()(x).sizes() == std::vector<int64_t>{2, 12});
  CHECK(nn::Flatten(nn::FlattenOptions().start_dim(0).end_dim(1))(x).sizes() ==
        std::vector<int64_t>{6, 4});
  CHECK(nn::Unflatten(2, std::vector<int64_t>{2, 2})(x).sizes() ==
        std::vector<int64_t>{2, 3, 2, 2});
  CHECK(nn::Unflatten(nn::UnflattenOptions(-1, {2, -1}))(x).sizes() ==
        std::vector<int64_t>{2, 3, 2, 2});
  CHECK(str(nn::Identity()) == "tarn::nn::Identity()");
  CHECK(str(nn::Flatten()) == "tarn::nn::Flatten(start_dim=1, end_dim=-1)");
  CHECK(str(nn::Unflatten(1, std::vector<int64_t>{2, 2})) ==
        "tarn::nn::Unflatten(dim=1, unflattened_size={2, 2})");
}
