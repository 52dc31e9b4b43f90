#include "tarn/nn/dropout.h"

#include "tarn/core/autograd.h"
#include "tarn/core/random.h"
#include "tarn/nn/nn.h"
#include "tarn/tests/support/catch.h"

using namespace tarn;
namespace F = tarn::nn::functional;

TEST_CASE("dropout drops what PyTorch drops under the same seed") {
  // torch.manual_seed(11); F.dropout(torch.arange(1., 13.), 0.3)
  manual_seed(11);
  CHECK(F::dropout(arange(1., 13.), 0.3, true)
            .equal(tensor({1.4285714626312256, 0.0, 4.285714149475098, 5.714285850524902,
                           7.142857551574707, 8.571428298950195, 10.0, 11.428571701049805, 0.0,
                           14.285715103149414, 0.0, 17.14285659790039})));
  manual_seed(11);
  CHECK(F::dropout(arange(1., 7., kDouble), F::DropoutFuncOptions().p(0.75))
            .equal(tensor({4., 0., 0., 0., 0., 24.}, kDouble)));
}

TEST_CASE("dropout passes gradients through what it kept") {
  nn::Dropout layer(0.5);
  const Tensor x = ones({1000}, requires_grad());
  const Tensor y = layer(x);
  y.sum().backward();
  CHECK(x.grad().equal(y));
  const double kept = y.ne(0).sum().item<double>();
  CHECK(kept > 400);
  CHECK(kept < 600);
  CHECK(y.max().item<float>() == 2);
}

TEST_CASE("dropout does nothing in evaluation or with p = 0, and drops all with p = 1") {
  const Tensor x = ones({4});
  nn::Dropout layer(0.9);
  layer->eval();
  CHECK(layer(x).is_same(x));
  CHECK(nn::Dropout(0.0)(x).is_same(x));
  CHECK(nn::Dropout(1.0)(x).equal(zeros({4})));
  const Tensor target = ones({4});
  nn::Dropout inplace(nn::DropoutOptions(1.0).inplace(true));
  CHECK(inplace(target).is_same(target));
  CHECK(target.equal(zeros({4})));
  CHECK(str(inplace) == "tarn::nn::Dropout(p=1, inplace=true)");
}

TEST_CASE("a probability outside of [0, 1] is an error") {
  CHECK_THROWS_WITH_TEXT(nn::Dropout(1.5),
                         "dropout probability has to be between 0 and 1, but got 1.5");
  CHECK_THROWS_WITH_TEXT(nn::Dropout(-0.5),
                         "dropout probability has to be between 0 and 1, but got -0.5");
  CHECK_THROWS_AS(F::dropout(ones({1}), 2, true), ValueError);
}
