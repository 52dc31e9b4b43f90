#include "tarn/nn/init.h"

#include <cmath>

#include "tarn/core/autograd.h"
#include "tarn/core/random.h"
#include "tarn/nn/nn.h"
#include "tarn/tests/support/catch.h"

using namespace tarn;
namespace init = tarn::nn::init;

TEST_CASE("random initial values are PyTorch's under a seed") {
  const auto check = [](auto f, const Tensor& expected) {
    manual_seed(3);
    const Tensor t = empty({2, 3});
    const Tensor result = f(t);
    CHECK(result.is_same(t));
    CHECK(t.allclose(expected, 1e-6, 1e-7));
  };
  check([](Tensor t) { return init::xavier_uniform_(t, 2.0); },
        tensor({{-2.172208547592163, -1.7283085584640503, -0.9383912682533264},
                {-2.072780132293701, -0.12437964230775833, -1.9274739027023315}}));
  check([](Tensor t) { return init::xavier_normal_(t); },
        tensor({{0.5080363750457764, 0.11057434976100922, 0.056274689733982086},
                {-0.38814935088157654, 0.02920834720134735, -0.8653630614280701}}));
  check([](Tensor t) { return init::kaiming_uniform_(t); },
        tensor({{-1.4021544456481934, -1.115618348121643, -0.6057289242744446},
                {-1.337973713874817, -0.08028671145439148, -1.2441790103912354}}));
  check([](Tensor t) { return init::kaiming_normal_(t, 0.1, kFanOut, kLeakyReLU); },
        tensor({{0.7992895841598511, 0.173965722322464, 0.08853651583194733},
                {-0.6106722354888916, 0.04595325514674187, -1.36146879196167}}));
}

TEST_CASE("orthogonal_ gives PyTorch's orthogonal matrices") {
  manual_seed(3);
  const Tensor tall = init::orthogonal_(empty({3, 2}));
  CHECK(tall.allclose(tensor({{0.9923021793365479, 0.09743541479110718},
                              {0.1099163368344307, -0.4086090922355652},
                              {0.057050056755542755, -0.9074937105178833}}),
                      1e-5, 1e-6));
  const Tensor cube = init::orthogonal_(empty({2, 2, 2}), 2.0);
  CHECK(cube.reshape({2, 4}).allclose(
      tensor({{0.3312849998474121, 0.9925106763839722, -1.40877103805542, 0.959446370601654},
              {0.7728677988052368, 1.4195663928985596, 0.43684205412864685, -1.0939266681671143}}),
      1e-5, 1e-6));
  const Tensor wide = init::orthogonal_(empty({20, 50}, kDouble));
  CHECK(wide.matmul(wide.t()).allclose(eye(20, kDouble), 1e-12, 1e-12));
  CHECK(init::orthogonal_(empty({0, 3})).numel() == 0);
  CHECK_THROWS_AS(init::orthogonal_(empty({3})), ShapeError);
}

TEST_CASE("sparse_ zeroes the share it was asked for in every column") {
  manual_seed(3);
  const Tensor t = init::sparse_(empty({4, 3}), 0.5);
  CHECK(t.eq(0).sum(0).equal(full({3}, 2, kLong)));
  CHECK(t[1][0].item<float>() == Approx(-0.006137180142104626));
  CHECK_THROWS_AS(init::sparse_(empty({4}), 0.5), ShapeError);
}

TEST_CASE("constant initial values") {
  CHECK(init::constant_(empty({2}), 3.5).equal(full({2}, 3.5)));
  CHECK(init::ones_(empty({2})).equal(ones({2})));
  CHECK(init::zeros_(full({2}, 1.0)).equal(zeros({2})));
  CHECK(init::eye_(empty({2, 3})).equal(eye(2, 3)));
  CHECK_THROWS_AS(init::eye_(empty({2})), ShapeError);
  const Tensor kernel = init::dirac_(empty({3, 2, 3}));
  CHECK(kernel.sum().item<float>() == 2);
  CHECK(kernel[1][1][1].item<float>() == 1);
  CHECK(init::dirac_(empty({2, 2, 3, 5}))[0][0][1][2].item<float>() == 1);
  CHECK_THROWS_WITH_TEXT(init::dirac_(empty({2, 2})),
                         "Only tensors with 3, 4, or 5 dimensions are supported");
}

TEST_CASE("uniform_ and normal_ have the moments they promise") {
  manual_seed(1);
  const Tensor u = init::uniform_(empty({100000}), -1, 3),
               n = init::normal_(empty({100000}), 2, 0.5);
  CHECK(u.mean().item<float>() == Approx(1).margin(0.02));
  CHECK(u.min().item<float>() >= -1);
  CHECK(u.max().item<float>() < 3);
  CHECK(n.mean().item<float>() == Approx(2).margin(0.01));
  CHECK(n.std().item<float>() == Approx(0.5).margin(0.01));
}

TEST_CASE("parameters are initialised without being recorded") {
  nn::Linear layer(3, 3);
  init::xavier_normal_(layer->weight);
  init::orthogonal_(layer->weight);
  init::constant_(layer->bias, 1);
  CHECK(layer->weight.is_leaf());
  CHECK(layer->weight.requires_grad());
}

TEST_CASE("gains and fans are PyTorch's") {
  CHECK(init::calculate_gain(kLinear) == 1);
  CHECK(init::calculate_gain(kConv2D) == 1);
  CHECK(init::calculate_gain(kSigmoid) == 1);
  CHECK(init::calculate_gain(kTanh) == Approx(5.0 / 3));
  CHECK(init::calculate_gain(kReLU) == Approx(std::sqrt(2.0)));
  CHECK(init::calculate_gain(kLeakyReLU, 0.5) == Approx(std::sqrt(2.0 / 1.25)));
  CHECK(init::calculate_gain(kSELU) == 0.75);
  CHECK(init::calculate_fan_in_and_fan_out(empty({4, 3, 5, 2})) ==
        std::pair<int64_t, int64_t>(30, 40));
  CHECK_THROWS_WITH_TEXT(
      init::xavier_uniform_(empty({3})),
      "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions");
  CHECK(init::kaiming_uniform_(empty({3, 0})).numel() == 0);
}
