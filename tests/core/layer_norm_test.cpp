#include "tarn/core/autograd.h"
#include "tarn/core/factories.h"
#include "tarn/core/functions.h"
#include "tarn/core/random.h"
#include "tarn/core/testing.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/devices.h"

using namespace tarn;
using testing::assert_close;
using testing::devices;
using Tensors = std::vector<Tensor>;

namespace {

Tensor composed(const Tensor& x, IntArrayRef dims, const Tensor& weight, const Tensor& bias,
                double eps) {
  const Tensor centred = x - x.mean(dims, true);
  return centred / (centred.square().mean(dims, true) + eps).sqrt() * weight + bias;
}

}  // namespace

TEST_CASE("layer_norm keeps to its definition on every device, with gradients of both orders") {
  for (const Device device : devices()) {
    CAPTURE(device);
    manual_seed(3);
    const auto leaf = [&](IntArrayRef sizes) {
      return randn(sizes, kDouble).to(device).requires_grad_();
    };
    const Tensor x = leaf({2, 2, 3}), weight = leaf({2, 3}), bias = leaf({2, 3});
    const auto f = [](const Tensors& in) {
      return layer_norm(in[0], {2, 3}, in[1], in[2], 0.1).tanh();
    };
    const Tensors leaves{x, weight, bias};
    const Tensor got = f(leaves), wanted = composed(x, {1, 2}, weight, bias, 0.1).tanh();
    assert_close(got, wanted);
    const Tensors ones{ones_like(got)}, right = autograd::grad({wanted}, leaves, ones);
    const Tensors fused = autograd::grad({got}, leaves, ones, /*retain_graph=*/true);
    const Tensors in_steps = autograd::grad({got}, leaves, ones, true, /*create_graph=*/true);
    for (size_t i = 0; i < leaves.size(); ++i) {
      assert_close(fused[i], right[i]);
      assert_close(in_steps[i].detach(), right[i]);
    }
    CHECK(testing::gradcheck(testing::TensorFunction(f), leaves));
    CHECK(testing::gradgradcheck(testing::TensorFunction(f), leaves));
    const auto plain = [](const Tensors& in) { return layer_norm(in[0], {3}); };
    CHECK(testing::gradcheck(testing::TensorFunction(plain), {x}));
    CHECK(testing::gradgradcheck(testing::TensorFunction(plain), {x}));
    const auto of_bias = [&](const Tensors& in) {
      return layer_norm(x.detach(), {2, 3}, weight.detach(), in[0]);
    };
    CHECK(testing::gradcheck(testing::TensorFunction(of_bias), {bias}));
  }
}

TEST_CASE("layer_norm takes inputs, parameters and gradients of any layout") {
  for (const Device device : devices()) {
    CAPTURE(device);
    manual_seed(4);
    const Tensor x = randn({4, 6, 5}, kDouble).to(device).transpose(0, 2).requires_grad_();
    const Tensor weight = randn({8}, kDouble).to(device).slice(0, 0, 8, 2).requires_grad_();
    const Tensor bias = zeros({1}, kDouble).to(device).expand({4}).requires_grad_();
    const Tensor y = layer_norm(x, {4}, weight, bias);
    CHECK(y.is_contiguous());
    assert_close(y, composed(x, {-1}, weight, bias, 1e-5));
    const Tensors leaves{x, weight, bias};
    const auto sum_of = [&](const Tensor& out) {
      return autograd::grad({(out.square().transpose(0, 1) * 3).sum()}, leaves);
    };
    const Tensors got = sum_of(y), wanted = sum_of(composed(x, {-1}, weight, bias, 1e-5));
    for (size_t i = 0; i < leaves.size(); ++i) assert_close(got[i], wanted[i]);
  }
}

TEST_CASE("layer_norm of nothing is nothing, and parameters get gradients of 0 from it") {
  for (const Device device : devices()) {
    CAPTURE(device);
    const Tensor weight = ones({3}, device).requires_grad_();
    const Tensor bias = ones({3}, device).requires_grad_();
    const Tensor x = zeros({2, 0, 3}, device).requires_grad_();
    const Tensor y = layer_norm(x, {3}, weight, bias);
    CHECK(y.sizes() == std::vector<int64_t>{2, 0, 3});
    y.sum().backward();
    CHECK(x.grad().sizes() == x.sizes());
    CHECK(weight.grad().cpu().equal(zeros({3})));
    CHECK(bias.grad().cpu().equal(zeros({3})));
    CHECK(layer_norm(zeros({4, 0}, device), {0}).sizes() == std::vector<int64_t>{4, 0});
    CHECK(layer_norm(ones({2, 1}, device), {1}).cpu().equal(zeros({2, 1})));
  }
}

TEST_CASE("layer_norm of 16-bit floats computes in float, its second derivatives too") {
  for (const Device device : devices()) {
    for (const ScalarType dtype : {kHalf, kBFloat16}) {
      CAPTURE(device, dtype);
      manual_seed(5);
      const Tensor x = randn({5, 16}).to(device, dtype).requires_grad_();
      const Tensor weight = rand({16}).to(device, dtype).requires_grad_();
      const Tensor y = layer_norm(x, {16}, weight);
      CHECK(y.dtype() == dtype);
      const Tensor wide = layer_norm(x.to(kFloat), {16}, weight.to(kFloat));
      CHECK(y.equal(wide.to(dtype)));
      const auto twice = [&](const Tensor& out) {
        const Tensor g = autograd::grad({out.square().sum()}, {x}, {}, true, true)[0];
        CHECK(g.dtype() == dtype);
        return autograd::grad({g.to(kFloat).square().sum()}, {weight})[0];
      };
      assert_close(twice(y), twice(wide), 0.05, 0.05);
    }
  }
}

TEST_CASE("layer_norm says what does not fit") {
  const Tensor x = ones({2, 4});
  CHECK_THROWS_WITH_TEXT(layer_norm(x, {3}),
                         "[layer_norm] Given normalized_shape=[3], expected input with shape "
                         "[*, 3], but got input of size [2, 4]");
  CHECK_THROWS_AS(layer_norm(x, {1, 2, 4}), ShapeError);
  CHECK_THROWS_WITH_TEXT(layer_norm(x, {}), "at least 1-dimensional");
  CHECK_THROWS_WITH_TEXT(layer_norm(x, {4}, ones({2})),
                         "Expected weight to be of same shape as normalized_shape, but got weight "
                         "of shape [2] and normalized_shape = [4]");
  CHECK_THROWS_AS(layer_norm(x, {4}, {}, ones({1, 4})), ShapeError);
  CHECK_THROWS_WITH_TEXT(layer_norm(x.to(kLong), {4}), "not implemented for 'Long'");
  CHECK_THROWS_WITH_TEXT(layer_norm(x, {4}, ones({4}, kDouble)),
                         "expected weight to have the input's dtype Float, but got Double");
  for (const Device device : testing::cuda_devices())
    CHECK_THROWS_AS(layer_norm(x, {4}, {}, ones({4}, device)), DeviceError);
}
