// Matrix products, linear layers, softmax and the negative log likelihood: values and gradients.
#include <limits>

#include "tarn/core/autograd.h"
#include "tarn/core/random.h"
#include "tarn/core/tensor.h"
#include "tarn/core/testing.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/devices.h"

namespace tarn {
namespace {

// By definition, elementwise.
Tensor product_by_sums(const Tensor& a, const Tensor& b) {
  return (a.unsqueeze(-1) * b.unsqueeze(-3)).sum(-2);
}

TEST_CASE("matmul agrees with its definition for every combination of dimensions") {
  manual_seed(1);
  const auto check = [](const Tensor& a, const Tensor& b) {
    const Tensor left = a.dim() == 1 ? a.unsqueeze(0) : a,
                 right = b.dim() == 1 ? b.unsqueeze(1) : b;
    Tensor expected = product_by_sums(left.to(kDouble), right.to(kDouble));
    if (a.dim() == 1) expected = expected.squeeze(-2);
    if (b.dim() == 1) expected = expected.squeeze(-1);
    const double tolerance = a.dtype() == kDouble ? 1e-12 : a.dtype() == kFloat ? 1e-5 : 2e-2;
    testing::assert_close(a.matmul(b).to(kDouble), expected, tolerance, tolerance);
  };
  for (ScalarType t : {kFloat, kDouble, kHalf, kBFloat16}) {
    const auto r = [t](IntArrayRef sizes) { return (rand(sizes) - 0.5).to(t); };
    check(r({3, 4}), r({4, 5}));
    check(r({4, 3}).t(), r({5, 4}).t());
    check(r({4}), r({4}));
    check(r({4}), r({4, 5}));
    check(r({3, 4}), r({4}));
    check(r({2, 3, 4}), r({4, 5}));
    check(r({2, 3, 4}), r({2, 4, 5}));
    check(r({2, 1, 3, 4}), r({3, 4, 5}));
    check(r({4, 3, 2}).transpose(0, 2), r({2, 4, 5}).narrow(2, 1, 3));
    check(r({7, 64}), r({64, 33}));
    check(r({2, 4}).expand({3, 2, 4}), r({4, 1}).expand({4, 6}));
  }
  CHECK(equal(tensor({{1, 2}, {3, 4}}).mm(tensor({{5, 6}, {7, 8}})), tensor({{19, 22}, {43, 50}})));
  CHECK(equal(ones({2, 0}).mm(ones({0, 3})), zeros({2, 3})));
  CHECK(ones({0, 2}).mm(ones({2, 3})).sizes() == IntArrayRef({0, 3}));
  CHECK(equal(outer(tensor({1., 2.}), tensor({3., 4.})), tensor({{3., 4.}, {6., 8.}})));
  testing::assert_close(ones({2, 2}).addmm(ones({2, 3}), ones({3, 2}), 2, 0.5), full({2, 2}, 3.5));
}

TEST_CASE("products have right first and second derivatives") {
  manual_seed(2);
  const auto r = [](IntArrayRef sizes) { return rand(sizes, kDouble).requires_grad_(); };
  const auto check = [](const Tensor& a, const Tensor& b) {
    const testing::TensorFunction f = [](const std::vector<Tensor>& in) {
      return in[0].matmul(in[1]);
    };
    CHECK(testing::gradcheck(f, {a, b}));
    CHECK(testing::gradgradcheck(f, {a, b}));
  };
  check(r({2, 3}), r({3, 2}));
  check(r({3}), r({3}));
  check(r({2, 3}), r({3}));
  check(r({3}), r({3, 2}));
  check(r({2, 2, 3}), r({3, 2}));
  check(r({2, 1, 2, 3}), r({2, 3, 1}));
  const testing::TensorFunction affine = [](const std::vector<Tensor>& in) {
    return linear(in[0], in[1], in[2]);
  };
  CHECK(testing::gradcheck(affine, {r({2, 3}), r({4, 3}), r({4})}));
  CHECK(testing::gradgradcheck(affine, {r({2, 3}), r({4, 3}), r({4})}));
  CHECK(testing::gradcheck(affine, {r({2, 2, 3}), r({4, 3}), r({4})}));
}

TEST_CASE("linear is x @ weight^T + bias") {
  manual_seed(3);
  const Tensor x = rand({5, 7}), weight = rand({3, 7}), bias = rand({3});
  testing::assert_close(linear(x, weight, bias), x.mm(weight.t()) + bias);
  testing::assert_close(linear(x, weight), x.mm(weight.t()));
  testing::assert_close(linear(x[0], weight, bias), linear(x, weight, bias)[0]);
}

TEST_CASE("linear_relu is relu(linear), with its graph and its gradients") {
  manual_seed(9);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Device device : testing::devices()) {
    for (const ScalarType type : {kFloat, kDouble, kHalf, kBFloat16}) {
      for (const std::vector<int64_t>& sizes :
           {std::vector<int64_t>{33, 20}, {1, 1}, {20}, {2, 3, 20}, {0, 4}, {3, 0}}) {
        const auto leaf = [&](IntArrayRef shape) {
          return randn(shape).to(type).to(device).requires_grad_();
        };
        const Tensor x = leaf(sizes), weight = leaf({17, sizes.back()}), bias = leaf({17});
        const auto gradients = [&](const Tensor& y) {
          return autograd::grad({(y * y).sum()}, {x, weight, bias});
        };
        const Tensor y = linear_relu(x, weight, bias), apart = relu(linear(x, weight, bias));
        CAPTURE(device, type, sizes);
        testing::assert_close(y, apart);
        if (device.is_cpu()) CHECK(y.equal(apart));
        const auto got = gradients(y), wanted = gradients(apart);
        for (size_t i = 0; i < got.size(); ++i) testing::assert_close(got[i], wanted[i]);
        testing::assert_close(linear_relu(x, weight), relu(linear(x, weight)));
      }
    }
    const Tensor x = tensor({{nan, 1.f}, {-2.f, 0.f}}).to(device), weight = eye(2).to(device);
    const Tensor y = linear_relu(x, weight).cpu();
    CHECK(y.isnan().equal(tensor({{true, true}, {false, false}})));
    CHECK(y[1].equal(tensor({0.f, 0.f})));
  }
  const auto leaf = [](IntArrayRef shape) { return randn(shape, kDouble).requires_grad_(); };
  const std::vector<Tensor> in{leaf({3, 4}), leaf({2, 4}), leaf({2})};
  CHECK(testing::gradgradcheck(
      [](const std::vector<Tensor>& t) { return linear_relu(t[0], t[1], t[2]); }, in));
  Tensor y = linear_relu(in[0], in[1], in[2]);
  CHECK(y.grad_fn()->name() == "ReluBackward0");
  CHECK(y.grad_fn()->next_edge(0).node->name() == "AddmmBackward0");
  y.add_(1);  // relu's gradient reads its result
  CHECK_THROWS_WITH_TEXT(y.sum().backward(), "modified by an inplace operation");
}

TEST_CASE("mistakes in products show both shapes") {
  CHECK_THROWS_WITH_TEXT(ones({2, 3}).matmul(ones({4, 5})),
                         "[matmul] inner dimensions differ: [2, 3] x [4, 5]");
  CHECK_THROWS_WITH_TEXT(ones({2, 3}).mm(ones({4, 5})),
                         "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)");
  CHECK_THROWS_WITH_TEXT(ones({2, 3}).mm(ones({3})), "must be a 2-dimensional tensor");
  CHECK_THROWS_WITH_TEXT(ones({2, 3}).mm(ones({3, 2}, kDouble)),
                         "expected m1 and m2 to have the same dtype, but got: Float != Double");
  CHECK_THROWS_WITH_TEXT(tensor(1.0).matmul(ones({2})),
                         "both arguments to matmul need to be at least 1D");
  CHECK_THROWS_WITH_TEXT(ones({2}).dot(ones({3})), "inconsistent tensor size");
  CHECK_THROWS_WITH_TEXT(ones({2, 2, 3}).bmm(ones({3, 3, 2})),
                         "Expected both batches to have the same size");
  CHECK_THROWS_WITH_TEXT(
      ones({2, 3}).matmul(ones({3, 2}, kBool).to(kBool).to(kFloat).to(kBool).logical_not()),
      "dtype");
  CHECK_THROWS_WITH_TEXT(linear(ones({2, 3}), ones({4, 3}), ones({3})), "bias must have shape [4]");
}

TEST_CASE(
    "softmax and log_softmax sum to one, keep order, and are differentiable along any dimension") {
  manual_seed(4);
  const Tensor x = (randn({2, 3, 4}, kDouble) * 3).requires_grad_();
  for (int64_t d : {0, 1, -1}) {
    testing::assert_close(x.softmax(d).sum(d), ones_like(x.sum(d)));
    testing::assert_close(x.log_softmax(d).exp(), x.softmax(d));
    for (bool log : {false, true}) {
      const testing::TensorFunction f = [&](const std::vector<Tensor>& in) {
        return log ? in[0].log_softmax(d) : in[0].softmax(d);
      };
      CHECK(testing::gradcheck(f, {x}));
      CHECK(testing::gradgradcheck(f, {x}));
    }
  }
  testing::assert_close(tensor({1000.0, 1001.0}).softmax(0), tensor({0.26894143, 0.73105857}));
  CHECK_THROWS_WITH_TEXT(ones({2}, kLong).softmax(0), "not implemented for 'Long'");
  CHECK(ones({2}, kLong).softmax(0, kFloat)[0].item<float>() == 0.5f);
}

TEST_CASE("nll_loss weighs, ignores and reduces as PyTorch, with right derivatives") {
  manual_seed(5);
  const Tensor x = randn({4, 3}, kDouble).requires_grad_();
  const Tensor target = tensor({0, 2, -100, 1}), weight = tensor({1.0, 2.0, 0.5}, kDouble);
  const Tensor d = x.detach();
  const double w = 1.0 + 0.5 + 2.0;
  const double expected = -(d[0][0] * 1.0 + d[1][2] * 0.5 + d[3][1] * 2.0).item<double>();
  CHECK(nll_loss(x, target, weight).item<double>() == Approx(expected / w));
  CHECK(nll_loss(x, target, weight, Reduction::Sum).item<double>() == Approx(expected));
  CHECK(nll_loss(x, target, weight, Reduction::None)[2].item<double>() == 0);
  for (Reduction reduction : {Reduction::None, Reduction::Mean, Reduction::Sum}) {
    const testing::TensorFunction f = [&](const std::vector<Tensor>& in) {
      return nll_loss(in[0].log_softmax(1), target, weight, reduction);
    };
    CHECK(testing::gradcheck(f, {x}));
    CHECK(testing::gradgradcheck(f, {x}));
  }
  const Tensor image = randn({2, 3, 2, 2}, kDouble).requires_grad_(),
               labels = randint(0, 3, {2, 2, 2}, kLong);
  const testing::TensorFunction spatial = [&](const std::vector<Tensor>& in) {
    return nll_loss(in[0], labels);
  };
  CHECK(testing::gradcheck(spatial, {image}));
  CHECK_THROWS_WITH_TEXT(nll_loss(x, tensor({0, 1})),
                         "Expected input batch_size (4) to match target batch_size (2).");
  CHECK_THROWS_WITH_TEXT(nll_loss(x, tensor({0, 1, 2, 3})), "Target 3 is out of bounds.");
  CHECK_THROWS_WITH_TEXT(nll_loss(x, ones({4})), "expected scalar type Long but found Float");
  CHECK_THROWS_WITH_TEXT(nll_loss(x, target, ones({2}, kDouble)),
                         "weight tensor should be defined either for all 3 classes");
}

}  // namespace
}  // namespace tarn
