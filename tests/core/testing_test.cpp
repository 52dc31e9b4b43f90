#include <cmath>
#include <limits>

#include "tarn/core/autograd.h"
#include "tarn/core/factories.h"
#include "tarn/core/functions.h"
#include "tarn/core/node.h"
#include "tarn/core/testing.h"
#include "tarn/tests/support/catch.h"

using namespace tarn;
using tarn::testing::assert_close;
using tarn::testing::gradcheck;
using tarn::testing::gradgradcheck;
using Inputs = std::vector<Tensor>;

namespace {

Tensor input(IntArrayRef sizes) {
  return linspace(0.5, 2, 6, kDouble).reshape(sizes).clone().requires_grad_();
}

// x^2 whose recorded gradient is 2 x + `error` at the last element.
Tensor wrong_square(const Tensor& x, double error) {
  const Tensor y = x.detach() * x.detach();
  record(y, "WrongSquare", {&x}, {SavedTensor::input(x)}, [error](const Tensor& g, Backward& b) {
    const Tensor off = zeros_like(g);
    off.reshape({-1})[-1] = error;
    return g * (b.saved(0) * 2 + off);
  });
  return y;
}

// x^3 with a right first and, where `second` is not 6, a wrong second derivative.
Tensor cube(const Tensor& x, double second) {
  const Tensor y = x.detach().pow(3);
  record(y, "Cube", {&x}, {SavedTensor::input(x)}, [second](const Tensor& g, Backward& b) {
    const Tensor t = b.saved(0);
    const Tensor slope = t.detach().pow(2) * 3;
    return g * (slope + (t - t.detach()) * t.detach() * second);
  });
  return y;
}

}  // namespace

TEST_CASE("gradcheck accepts right gradients of several inputs and outputs") {
  const Tensor x = input({2, 3}), y = input({3, 2});
  CHECK(gradcheck([](const Inputs& in) { return in[0].matmul(in[1]).exp(); }, {x, y}));
  CHECK(gradcheck(
      [](const Inputs& in) {
        return Inputs{in[0].sin(), in[1].sum(), in[0].detach()};
      },
      {x, y}));
  CHECK(gradcheck([](const Inputs& in) { return in[0] * in[1]; }, {x, ones({2, 3})}));
  CHECK(gradcheck([](const Inputs& in) { return in[0] * 2; }, {x.detach().t().requires_grad_()}));
  CHECK(x.grad().defined() == false);
  assert_close(x, linspace(0.5, 2, 6, kDouble).reshape({2, 3}), 0, 0);
}

TEST_CASE("gradcheck names the element whose derivative is wrong") {
  const Tensor x = input({2, 3});
  const auto f = [](const Inputs& in) { return wrong_square(in[0], 0.5); };
  CHECK_THROWS_WITH_TEXT(gradcheck(f, {x}),
                         "Jacobian mismatch for output 0 with respect to input 0: d output[1, 2] / "
                         "d input[1, 2] is 4.5");
  CHECK_FALSE(gradcheck(f, {x}, {.raise_exception = false}));
  CHECK(gradcheck(f, {x}, {.atol = 1}));
  CHECK(gradcheck([](const Inputs& in) { return wrong_square(in[0], 1e-6); }, {x}));
  const auto nan = [](const Inputs& in) { return wrong_square(in[0], std::nan("")); };
  CHECK_FALSE(gradcheck(nan, {x}, {.raise_exception = false}));
  const auto missing = [](const Inputs& in) { return in[0] * in[1].detach(); };
  CHECK_THROWS_WITH_TEXT(gradcheck(missing, {x, input({2, 3})}), "with respect to input 1");
}

TEST_CASE("gradgradcheck finds what gradcheck cannot see") {
  const Tensor x = input({2, 3});
  CHECK(gradcheck([](const Inputs& in) { return cube(in[0], 6); }, {x}));
  CHECK(gradcheck([](const Inputs& in) { return cube(in[0], 5); }, {x}));
  CHECK(gradgradcheck([](const Inputs& in) { return cube(in[0], 6); }, {x}));
  CHECK_FALSE(gradgradcheck([](const Inputs& in) { return cube(in[0], 5); }, {x}, {},
                            {.raise_exception = false}));
  CHECK(gradgradcheck([](const Inputs& in) { return in[0].exp() * in[1]; }, {x, input({2, 3})}));
  CHECK(gradgradcheck([](const Inputs& in) { return in[1].exp(); },
                      {x, input({2, 3})}));  // x is not used
  CHECK(gradgradcheck([](const Inputs& in) { return in[0].sum(); }, {x},
                      {ones({}, dtype(kDouble).requires_grad(true))}));
}

TEST_CASE("gradcheck refuses inputs on which it would mean nothing") {
  const auto f = [](const Inputs& in) { return in[0] * 2; };
  CHECK_THROWS_WITH_TEXT(gradcheck(f, {ones({2}, requires_grad())}), "input 0 is Float");
  CHECK_THROWS_WITH_TEXT(gradcheck(f, {ones({2}, kDouble)}),
                         "at least one input tensor to require gradient");
  CHECK_THROWS_WITH_TEXT(gradcheck(f, {ones({1}, kDouble).expand({2}).requires_grad_()}),
                         "one address");
  CHECK_THROWS_WITH_TEXT(gradcheck([](const Inputs& in) { return in[0].detach(); }, {input({6})}),
                         "no output of the function requires gradients");
}

TEST_CASE("assert_close accepts what is within the tolerance") {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  assert_close(ones({2}), ones({2}));
  assert_close(full({2}, 1.000001), ones({2}));
  assert_close(tensor({1.0, 2.0}), tensor({1.1, 2.0}), 0.1, 0);
  assert_close(tensor({inf, -inf}), tensor({inf, -inf}));
  assert_close(tensor({nan}), tensor({nan}), 0, 0, /*equal_nan=*/true);
  assert_close(empty({0, 2}), empty({0, 2}));
  assert_close(tensor(true), tensor(true));
  CHECK_THROWS_AS(assert_close(full({1}, 1 + 1e-6, kDouble), ones({1}, kDouble)), Error);
  assert_close(full({1}, 1.002, kHalf), ones({1}, kHalf), 1e-2, 0);
}

TEST_CASE("assert_close names the worst element and its place") {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  const Tensor a = tensor({{1.0, 2.0}, {3.0, 4.5}}, kDouble),
               b = tensor({{1.0, 2.25}, {3.0, 4.0}}, kDouble);
  CHECK_THROWS_WITH_TEXT(assert_close(a, b, 0, 0.125),
                         "2 of 4 elements of CPUDoubleType [2, 2] are not close; the worst, at [1, "
                         "1], is 4.5, expected 4 (difference 0.5, 0.125 is allowed)");
  CHECK_THROWS_WITH_TEXT(assert_close(a.t(), b.t(), 0, 0.25), "at [1, 1]");
  CHECK_THROWS_WITH_TEXT(assert_close(tensor({1.0, nan, 9.0}), tensor({1.0, 1.0, 1.0})),
                         "at [1], is nan");
  CHECK_THROWS_WITH_TEXT(assert_close(tensor({nan}), tensor({nan})), "is nan, expected nan");
  CHECK_THROWS_WITH_TEXT(assert_close(tensor({1.0}), tensor({inf}), 0.5, 0.5), "expected inf");
  CHECK_THROWS_WITH_TEXT(assert_close(tensor({-inf}), tensor({inf})), "is -inf");
  const int64_t large = int64_t{1} << 60;
  CHECK_THROWS_WITH_TEXT(assert_close(tensor({large + 1}), tensor({large})),
                         "1152921504606846977, expected 1152921504606846976 (difference 1");
  CHECK_THROWS_WITH_TEXT(assert_close(ones({2}), ones({2}, kDouble)),
                         "the values for dtype do not match: Float and expected Double");
  CHECK_THROWS_WITH_TEXT(assert_close(ones({2}), ones({1, 2})),
                         "the values for shape do not match: [2] and expected [1, 2]");
}
