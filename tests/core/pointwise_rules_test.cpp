// Dtypes, numbers and refusals of pointwise ops, as libtorch 2.13 has them.
#include <cmath>
#include <limits>

#include "tarn/core/tensor.h"
#include "tarn/core/testing.h"
#include "tarn/tests/support/catch.h"

namespace tarn {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST_CASE("a number takes part in the dtype of integers, and so wraps around") {
  const Tensor bytes = tensor({1, 0, 249}, kByte), chars = tensor({-128, 0, 127}, kChar);
  CHECK(equal(bytes.remainder(-7), tensor({1, 0, 0}, kByte)));
  CHECK(equal(bytes.fmod(-2), tensor({1, 0, 249}, kByte)));
  CHECK(equal(bytes == -7, tensor({false, false, true})));
  CHECK(equal(chars < 300, tensor({true, true, false})));  // 300 is 44 there
}

TEST_CASE("what is compared with a 16-bit number is rounded to it") {
  CHECK(full({1}, 0.1, kHalf).eq(0.1).item<bool>());
  CHECK(full({1}, 0.1, kBFloat16).eq(0.1).item<bool>());
  CHECK(full({1}, 0.1).eq(0.1).item<bool>());
}

TEST_CASE("clamp is computed in the dtype of tensor and bounds") {
  CHECK(tensor({true, false}).clamp(0, 2).dtype() == kLong);
  CHECK(tensor({1, 2}, kInt).clamp(1.5).dtype() == kFloat);
  CHECK(tensor({1, 2}, kInt).clamp(0, 1).dtype() == kInt);
  const Tensor x = tensor({1, 2}, kInt);
  CHECK_THROWS_WITH_TEXT(x.clamp_(1.5, 2),
                         "result type Float can't be cast to the desired output type");
  CHECK(equal(x.clone().clamp_(2), tensor({2, 2}, kInt)));
  CHECK(equal(x.clip(2, 3), tensor({2, 2}, kInt)));
}

TEST_CASE("bounds that are NaN make everything NaN and stop gradients") {
  const Tensor x = tensor({-1.0, 0.0, 2.0}).requires_grad_();
  for (const Tensor& y : {x.clamp(kNan), x.clamp(std::nullopt, kNan), x.clamp(kNan, 1.0)}) {
    CHECK(y.isnan().all().item<bool>());
    y.sum().backward();
  }
  CHECK(equal(x.grad(), zeros({3})));
}

TEST_CASE("bounds of clamp may be tensors") {
  const Tensor x = tensor({-1.0, 0.0, 2.0}), low = tensor({0.0, 0.0, 3.0}), high = ones({1});
  CHECK(equal(x.clamp(low), tensor({0.0, 0.0, 3.0})));
  CHECK(equal(x.clamp(low, high), tensor({0.0, 0.0, 1.0})));
  CHECK_THROWS_WITH_TEXT(x.clamp(Tensor()), "At least one of 'min' or 'max' must not be None");
}

TEST_CASE("bool tensors are not negated or subtracted, from either side") {
  const Tensor mask = tensor({true, false});
  CHECK_THROWS_WITH_TEXT(-mask, "Negation, the `-` operator, on a bool tensor is not supported.");
  CHECK_THROWS_WITH_TEXT(1 - mask, "Subtraction, the `-` operator, with a bool tensor");
  CHECK_THROWS_WITH_TEXT(mask - 1, "Subtraction, the `-` operator, with a bool tensor");
  CHECK_THROWS_WITH_TEXT(ones({2}).sub(1, true),
                         "Boolean alpha only supported for Boolean results.");
  CHECK(equal(rsub(tensor({1.0, 2.0}), 5, 2), tensor({3.0, 1.0})));
}

TEST_CASE("integers have no negative powers, in place either") {
  const Tensor x = tensor({1, 2});
  CHECK_THROWS_WITH_TEXT(x.pow(-1), "Integers to negative integer powers are not allowed.");
  CHECK_THROWS_WITH_TEXT(x.pow_(-1), "Integers to negative integer powers are not allowed.");
  CHECK_THROWS_WITH_TEXT((x > 1).pow_(x > 1), "not implemented for 'Bool'");
}

TEST_CASE("in-place remainders and quotients check the divisor") {
  CHECK(equal(tensor({7, -7}).remainder_(3), tensor({1, 2})));
  CHECK(equal(tensor({7, -7}).fmod_(3), tensor({1, -1})));
  CHECK(equal(tensor({7, -7}).floor_divide_(2), tensor({3, -4})));
  CHECK_THROWS_WITH_TEXT(tensor({7}).remainder_(0), "ZeroDivisionError");
}

TEST_CASE("lerp wants one dtype, addcdiv a fraction") {
  const Tensor x = ones({2}), wide = ones({2}, kDouble), whole = tensor({1, 2});
  CHECK_THROWS_WITH_TEXT(x.lerp(wide, 0.5), "expected dtype Float for `end` but got dtype Double");
  CHECK_THROWS_WITH_TEXT(x.lerp(x, wide), "expected dtype Float for `weight` but got dtype Double");
  CHECK_THROWS_WITH_TEXT(x.addcdiv(whole, whole),
                         "Integer division with addcdiv is no longer supported");
}

TEST_CASE("a number that does not fit an integer dtype is refused") {
  CHECK_THROWS_WITH_TEXT(tensor({1}, kChar).fill_(300),
                         "value cannot be converted to type int8_t without overflow");
  CHECK_THROWS_WITH_TEXT(full({1}, -3.7, kByte),
                         "value cannot be converted to type uint8_t without overflow");
  CHECK_THROWS_WITH_TEXT(tensor(300).item<int8_t>(),
                         "value cannot be converted to type int8_t without overflow");
  CHECK(equal(tensor({1}, kByte).fill_(-1), tensor({255}, kByte)));
}

TEST_CASE("mish has second derivatives at 0") {
  const Tensor x = tensor({-1.0, 0.0, 1.0}, kDouble).requires_grad_();
  const auto f = [](const std::vector<Tensor>& in) { return mish(in[0]); };
  CHECK(testing::gradgradcheck(f, {x}));
}

TEST_CASE("reductions: bool maxima, dtypes asked for, one dimension of var, empty logsumexp") {
  const Tensor mask = tensor({{true, false, true}, {false, false, true}});
  const auto [values, indices] = mask.max(0);
  CHECK(equal(values, tensor({true, false, true})));
  CHECK(equal(indices, tensor({0, 0, 0})));
  CHECK(ones({3}, kInt).sum(kInt).dtype() == kInt);
  CHECK(ones({3}, kByte).prod(kByte).dtype() == kByte);
  const Tensor x = arange(6.0).reshape({2, 3});
  CHECK(x.var(0).sizes() == IntArrayRef({3}));
  CHECK(tarn::std(x, 1).sizes() == IntArrayRef({2}));
  CHECK(x.var(false).dim() == 0);
  CHECK(equal(logsumexp(zeros({0}), 0), full({}, -std::numeric_limits<double>::infinity())));
  CHECK(equal(count_nonzero(mask), tensor(3)));
  CHECK(equal(count_nonzero(mask, 0), tensor({1, 0, 2})));
}

}  // namespace
}  // namespace tarn
