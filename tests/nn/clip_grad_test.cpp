#include "tarn/nn/clip_grad.h"

#include <limits>

#include "tarn/core/autograd.h"
#include "tarn/tests/support/catch.h"

using namespace tarn;
using namespace tarn::nn::utils;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Tensor with_gradient(const Tensor& grad) {
  const Tensor t = zeros(grad.sizes()).requires_grad_();
  t.mutable_grad() = grad.clone();
  return t;
}

}  // namespace

TEST_CASE("clip_grad_norm_ scales all gradients by one factor") {
  const std::vector<Tensor> params = {with_gradient(tensor({3., 0.})), with_gradient(tensor({-4.})),
                                      zeros({2}, requires_grad())};
  CHECK(clip_grad_norm_(params, 1.0) == Approx(5));
  CHECK(params[0].grad().allclose(tensor({0.6, 0.})));
  CHECK(params[1].grad().allclose(tensor({-0.8})));
  CHECK_FALSE(params[2].grad().defined());
  // Within the limit nothing changes.
  const Tensor before = params[0].grad().clone();
  CHECK(clip_grad_norm_(params, 10.0) == Approx(1));
  CHECK(params[0].grad().equal(before));
}

TEST_CASE("clip_grad_norm_ knows other norms") {
  const auto params = [] {
    return std::vector<Tensor>{with_gradient(tensor({3., -1.})), with_gradient(tensor({-4.}))};
  };
  CHECK(clip_grad_norm_(params(), 1.0, 1) == Approx(8));
  CHECK(clip_grad_norm_(params(), 1.0, 3) == Approx(std::cbrt(27 + 1 + 64)));
  const auto clipped = params();
  CHECK(clip_grad_norm_(clipped, 2.0, kInfinity) == 4);
  CHECK(clipped[0].grad().allclose(tensor({1.5, -0.5})));
  CHECK(clip_grad_norm_(with_gradient(tensor({3., 4.})), 1.0) == Approx(5));
  CHECK(clip_grad_norm_(std::vector<Tensor>{}, 1.0) == 0);
  CHECK_THROWS_AS(clip_grad_norm_(params(), 1.0, 0), ValueError);
}

TEST_CASE("clip_grad_norm_ may refuse a norm that is not finite") {
  for (const double bad : {kInfinity, std::numeric_limits<double>::quiet_NaN()}) {
    const std::vector<Tensor> params = {with_gradient(tensor({bad})), with_gradient(tensor({1.}))};
    CHECK_THROWS_WITH_TEXT(clip_grad_norm_(params, 1.0, 2, true),
                           "is non-finite, so it cannot be clipped");
    CHECK(params[1].grad().item<float>() == 1);
    CHECK_FALSE(std::isfinite(clip_grad_norm_(params, 1.0)));
    CHECK(params[1].grad().item<float>() != 1);
  }
}

TEST_CASE("clip_grad_value_ limits every element") {
  const Tensor p = with_gradient(tensor({-3., 0.5, 2.}));
  clip_grad_value_(p, 1.0);
  CHECK(p.grad().equal(tensor({-1., 0.5, 1.})));
  clip_grad_value_(std::vector<Tensor>{p}, 0.25);
  CHECK(p.grad().equal(tensor({-0.25, 0.25, 0.25})));
  CHECK_THROWS_AS(clip_grad_value_(p, -1), ValueError);
}

TEST_CASE("parameters go into a vector and back") {
  const std::vector<Tensor> params = {arange(4.).reshape({2, 2}).requires_grad_(),
                                      full({3}, 7.0).requires_grad_()};
  const Tensor vector = parameters_to_vector(params);
  CHECK(vector.equal(tensor({0., 1., 2., 3., 7., 7., 7.})));
  CHECK(vector.requires_grad());
  vector_to_parameters(vector.detach() + 1, params);
  CHECK(params[0].equal(tensor({{1., 2.}, {3., 4.}})));
  CHECK(params[1].equal(full({3}, 8.0)));
  CHECK(params[0].is_leaf());
  CHECK_THROWS_AS(vector_to_parameters(zeros({8}), params), ShapeError);
  CHECK_THROWS_AS(vector_to_parameters(zeros({6}), params), ShapeError);
  CHECK(parameters_to_vector({}).numel() == 0);
}
