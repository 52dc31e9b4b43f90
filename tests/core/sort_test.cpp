#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "tarn/core/autograd.h"
#include "tarn/core/factories.h"
#include "tarn/core/functions.h"
#include "tarn/core/random.h"
#include "tarn/core/testing.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/tensors.h"

using namespace tarn;
using tarn::testing::elements;
using tarn::testing::gradcheck;
using tarn::testing::gradgradcheck;
using Inputs = std::vector<Tensor>;
using Longs = std::vector<int64_t>;
using Doubles = std::vector<double>;

namespace {

Longs longs(const Tensor& x) { return elements<int64_t>(x.to(kLong)); }

Tensor leaf(const Doubles& values, IntArrayRef sizes) {
  return tensor(values, kDouble).reshape(sizes).clone().requires_grad_();
}

void check(const tarn::testing::TensorFunction& f, const Inputs& inputs) {
  CHECK(gradcheck(f, inputs));
  CHECK(gradgradcheck(f, inputs));
}

}  // namespace

TEST_CASE("sort orders along any dimension and says where elements came from") {
  const Tensor x = tensor({{3, 1, 2}, {9, 7, 8}});
  auto [values, indices] = x.sort();
  CHECK(longs(values) == Longs{1, 2, 3, 7, 8, 9});
  CHECK(longs(indices) == Longs{1, 2, 0, 1, 2, 0});
  std::tie(values, indices) = x.sort(0, /*descending=*/true);
  CHECK(longs(values) == Longs{9, 7, 8, 3, 1, 2});
  CHECK(longs(indices) == Longs{1, 1, 1, 0, 0, 0});
  std::tie(values, indices) = x.t().sort(0);
  CHECK(longs(values) == Longs{1, 7, 2, 8, 3, 9});
  CHECK(longs(x.argsort(1, true)) == Longs{0, 2, 1, 0, 2, 1});
  CHECK(longs(std::get<1>(tensor({1, 0, 1, 0}).sort())) == Longs{1, 3, 0, 2});
  CHECK(longs(std::get<1>(tensor({1, 0, 1, 0}).sort(0, true))) == Longs{0, 2, 1, 3});
  CHECK(std::get<0>(tensor(5).sort()).dim() == 0);
  CHECK(std::get<0>(empty({2, 0}).sort()).sizes().vec() == Longs{2, 0});
  CHECK_THROWS_WITH_TEXT(x.sort(2), "Dimension out of range");
}

TEST_CASE("NaN sorts behind everything") {
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  const auto [values, indices] = tensor(Doubles{nan, 1, inf, -1}, kDouble).sort();
  CHECK(longs(indices) == Longs{3, 1, 2, 0});
  CHECK(std::isnan(values[3].item<double>()));
  CHECK(longs(std::get<1>(tensor(Doubles{1, nan, 2}, kDouble).topk(2))) == Longs{1, 2});
}

TEST_CASE("topk takes the first of the order") {
  const Tensor x = tensor({{3, 1, 2}, {7, 9, 8}});
  auto [values, indices] = x.topk(2);
  CHECK(longs(values) == Longs{3, 2, 9, 8});
  CHECK(longs(indices) == Longs{0, 2, 1, 2});
  std::tie(values, indices) = x.topk(1, 0, /*largest=*/false);
  CHECK(longs(values) == Longs{3, 1, 2});
  CHECK(std::get<0>(x.topk(0)).sizes().vec() == Longs{2, 0});
  CHECK_THROWS_WITH_TEXT(x.topk(4), "selected index k out of range");
  CHECK_THROWS_WITH_TEXT(x.topk(-1), "selected index k out of range");
}

TEST_CASE("max and min along a dimension give the first extreme and its place") {
  const Tensor x = tensor({{1, 5, 5}, {4, 0, 4}});
  auto [values, indices] = x.max(1);
  CHECK(longs(values) == Longs{5, 4});
  CHECK(longs(indices) == Longs{1, 0});
  std::tie(values, indices) = x.min(0, /*keepdim=*/true);
  CHECK(values.sizes().vec() == Longs{1, 3});
  CHECK(longs(values) == Longs{1, 0, 4});
  CHECK(longs(indices) == Longs{0, 1, 1});
  CHECK(std::get<0>(tensor(3).max(0)).dim() == 0);
  CHECK_THROWS_AS(empty({2, 0}).max(1), Error);
  CHECK(std::get<0>(empty({2, 0}).max(0)).sizes().vec() == Longs{0});
}

TEST_CASE("running totals take a dtype and follow strides") {
  const Tensor x = tensor({{1, 2, 3}, {4, 5, 6}});
  CHECK(longs(x.cumsum(0)) == Longs{1, 2, 3, 5, 7, 9});
  CHECK(longs(x.cumsum(1)) == Longs{1, 3, 6, 4, 9, 15});
  CHECK(longs(x.t().cumprod(0)) == Longs{1, 4, 2, 20, 6, 120});
  CHECK(tensor({true, true}).cumsum(0).dtype() == kLong);
  CHECK(tensor({100, 100}, kChar).cumsum(0).dtype() == kLong);
  CHECK(longs(tensor({100, 100}, kChar).cumsum(0)) == Longs{100, 200});
  CHECK(x.cumsum(0, kFloat).dtype() == kFloat);
  CHECK(tensor({1.5}, kHalf).cumprod(0).dtype() == kHalf);
  CHECK(tensor(2).cumsum(0).dim() == 0);
  CHECK(empty({0, 2}).cumsum(0).sizes().vec() == Longs{0, 2});
}

TEST_CASE("gradients flow through sort, topk, max and min") {
  const Tensor x = leaf({3, 1, 2, -1, 5, 0.5}, {2, 3});
  const auto square = [](const Tensor& t) { return t * t; };
  check([&](const Inputs& in) { return square(std::get<0>(in[0].sort(1, true))); }, {x});
  check([&](const Inputs& in) { return square(std::get<0>(in[0].sort(0))); }, {x});
  check([&](const Inputs& in) { return square(std::get<0>(in[0].topk(2))); }, {x});
  check([&](const Inputs& in) { return square(std::get<0>(in[0].max(1))); }, {x});
  check([&](const Inputs& in) { return square(std::get<0>(in[0].min(0, true))); }, {x});
  const Tensor tied = leaf({2, 2, 1}, {3});
  std::get<0>(tied.max(0)).backward();
  CHECK(elements<double>(tied.grad()) == Doubles{1, 0, 0});
  CHECK_FALSE(std::get<1>(x.sort()).requires_grad());
}

TEST_CASE("gradients flow through running totals") {
  const Tensor x = leaf({3, 1, 2, -1, 5, 0.5}, {2, 3});
  check([](const Inputs& in) { return in[0].cumsum(1).pow(2); }, {x});
  check([](const Inputs& in) { return in[0].cumsum(0); }, {x});
  check([](const Inputs& in) { return in[0].cumprod(1); }, {x});
  check([](const Inputs& in) { return in[0].cumprod(0); }, {x});
  check([](const Inputs& in) { return in[0].cumprod(0); }, {leaf({2}, {})});
}

TEST_CASE("the gradient of a running product is right where elements are zero") {
  check([](const Inputs& in) { return in[0].cumprod(0); }, {leaf({2, 0, 3, 4}, {4})});
  check([](const Inputs& in) { return in[0].cumprod(0); }, {leaf({0, 2, 3}, {3})});
  check([](const Inputs& in) { return in[0].cumprod(0); }, {leaf({2, 0, 3, 0, 5}, {5})});
  check([](const Inputs& in) { return in[0].cumprod(1); },
        {leaf({1, 2, 3, 0, 0, 0, 4, 0, 5}, {3, 3})});
}

TEST_CASE("multinomial draws categories with their probabilities") {
  manual_seed(5);
  const Tensor p = tensor({0.1, 0.0, 0.6, 0.3});
  const Tensor drawn = p.multinomial(20000, /*replacement=*/true);
  CHECK(drawn.dtype() == kLong);
  const Tensor share = one_hot(drawn, 4).to(kDouble).mean(0);
  tarn::testing::assert_close(share, p.to(kDouble), 0, 0.02);
  const Longs order = longs(tensor({0.2, 0.5, 0.3}).multinomial(3));
  CHECK(std::set<int64_t>(order.begin(), order.end()).size() == 3);
  const Tensor rows = tensor({{0.0, 1.0, 0.0}, {0.0, 0.0, 2.0}});
  CHECK(longs(rows.multinomial(1)) == Longs{1, 2});
  CHECK(longs(rows.multinomial(3, true)) == Longs{1, 1, 1, 2, 2, 2});
}

TEST_CASE("multinomial draws PyTorch's categories under the same seed") {
  const Tensor p = tensor({0.1, 0.2, 0.3, 0.4}, kDouble);
  manual_seed(0);
  CHECK(longs(p.multinomial(8, true)) == Longs{3, 3, 2, 3, 3, 3, 1, 2});
  manual_seed(0);
  CHECK(longs(p.multinomial(3)) == Longs{2, 1, 3});
}

TEST_CASE("multinomial refuses what is no distribution") {
  CHECK_THROWS_WITH_TEXT(arange(2).multinomial(1),
                         "only supports floating-point dtypes for input, got: Long");
  CHECK_THROWS_WITH_TEXT(zeros({2}).multinomial(1), "invalid multinomial distribution");
  CHECK_THROWS_WITH_TEXT(tensor({1.0, 0.0}).multinomial(2), "invalid multinomial distribution");
  CHECK_THROWS_WITH_TEXT(tensor({1.0, -1.0}).multinomial(1), "either `inf`, `nan` or element < 0");
  CHECK_THROWS_WITH_TEXT(tensor({1.0, std::nan("")}).multinomial(1),
                         "either `inf`, `nan` or element < 0");
  CHECK_THROWS_WITH_TEXT(ones({2}).multinomial(3),
                         "cannot sample n_sample > prob_dist.size(-1) samples without replacement");
  CHECK_THROWS_WITH_TEXT(ones({2}).multinomial(0), "cannot sample n_sample <= 0 samples");
  CHECK_THROWS_WITH_TEXT(ones({2, 2, 2}).multinomial(1), "prob_dist must be 1 or 2 dim");
}

TEST_CASE("one_hot puts a one at each index") {
  CHECK(longs(one_hot(tensor({2, 0}))) == Longs{0, 0, 1, 1, 0, 0});
  CHECK(one_hot(tensor({{2}, {0}}), 5).sizes().vec() == Longs{2, 1, 5});
  CHECK(longs(one_hot(tensor(1), 3)) == Longs{0, 1, 0});
  CHECK(one_hot(empty({0}, kLong), 4).sizes().vec() == Longs{0, 4});
  CHECK_THROWS_WITH_TEXT(one_hot(tensor({-1})), "Class values must be non-negative");
  CHECK_THROWS_WITH_TEXT(one_hot(tensor({3}), 3), "Class values must be smaller than num_classes");
  CHECK_THROWS_WITH_TEXT(one_hot(tensor({1.0})),
                         "only applicable to index tensor of type LongTensor");
  CHECK_THROWS_WITH_TEXT(one_hot(empty({0}, kLong)), "Can not infer total number of classes");
}
