// Every pointwise op, over dtypes and layouts, against the reference table; and its gradients.
#include <algorithm>

#include "tarn/core/random.h"
#include "tarn/core/tensor.h"
#include "tarn/core/testing.h"
#include "tarn/tests/core/layouts.h"
#include "tarn/tests/core/op_reference.h"
#include "tarn/tests/support/catch.h"

namespace tarn {
namespace {

using testing::kLayouts;
using testing::Layout;
using testing::with_layout;

// The ops of a list, with the parameters the reference rows stand for.
template <class Op>
Op sample_op() {
  if constexpr (std::is_same_v<Op, op::Clamp>)
    return {{}, {-1, -1}, {2, 2}};
  else
    return {};
}

template <class... Ops, class F>
void for_each_op(List<Ops...>, F f) {
  (f(sample_op<Ops>()), ...);
}

// Numbers in [low, high], exact in every dtype tested, at least `kink` off the multiples of `unit`.
Tensor draw(IntArrayRef sizes, double low, double high, ScalarType dtype, double kink = 0,
            double unit = 0) {
  Tensor x = rand(sizes, kDouble) * (high - low) + low;
  if (!is_floating_point(dtype)) return x.round().to(dtype);
  if (kink > 0) {
    const Tensor off = x - (x / unit).round() * unit;
    x = where(off.abs() < kink, x + 2 * kink, x);
  }
  return x.to(dtype);
}

double tolerance(ScalarType dtype) {
  switch (dtype) {
    case kDouble:
      return 1e-12;
    case kFloat:
      return 1e-6;
    case kHalf:
      return 2e-3;
    default:
      return 1.6e-2;
  }
}

// |actual - expected| <= tolerance, relative or absolute.
void check_near(const Tensor& actual, const Tensor& expected, double tolerance) {
  CHECK(actual.sizes() == expected.sizes());
  const Tensor gap = (actual.to(kDouble) - expected).abs();
  const Tensor allowed = expected.abs() * tolerance + tolerance;
  INFO("actual " << actual << "\nexpected " << expected);
  CHECK((gap <= allowed).all().item<bool>());
}

template <class F>
Tensor map(const Tensor& a, F f) {
  Tensor out = a.to(kDouble).contiguous().clone();
  double* p = out.data_ptr<double>();
  for (int64_t i = 0; i < out.numel(); ++i) p[i] = f(i);
  return out;
}

constexpr ScalarType kFloating[] = {kFloat, kDouble, kHalf, kBFloat16};
constexpr ScalarType kWhole[] = {kInt, kLong, kShort};

template <class Op>
constexpr bool takes(ScalarType t) {
  return Op::kRule != op::Rule::kInteger || !is_floating_point(t);
}

TEST_CASE("every unary op agrees with its reference for every floating dtype and layout") {
  manual_seed(1);
  int row = 0;
  for_each_op(op::UnaryOps{}, [&](auto op) {
    using Op = decltype(op);
    const testing::UnaryReference& reference = testing::kUnaryReference[row++];
    INFO(reference.name);
    REQUIRE(reference.name == Op::kName);
    for (const Layout& layout : kLayouts) {
      INFO(layout.name);
      const auto run = [&](ScalarType dtype) {
        const Tensor x =
            with_layout(layout, draw(layout.sizes, reference.low, reference.high, dtype));
        const Tensor packed = x.to(kDouble).contiguous();
        const Tensor expected =
            map(x, [&](int64_t i) { return reference.value(packed.data_ptr<double>()[i]); });
        check_near(pointwise(op, x), expected, tolerance(dtype));
      };
      if (takes<Op>(kFloat)) {
        for (ScalarType dtype : kFloating) run(dtype);
      } else {
        for (ScalarType dtype : kWhole) run(dtype);
      }
    }
  });
}

TEST_CASE("every binary op agrees with its reference for every dtype and pair of layouts") {
  manual_seed(2);
  int row = 0;
  for_each_op(op::BinaryOps{}, [&](auto op) {
    using Op = decltype(op);
    const testing::BinaryReference& reference = testing::kBinaryReference[row++];
    INFO(reference.name);
    REQUIRE(reference.name == Op::kName);
    for (const Layout& layout : kLayouts) {
      INFO(layout.name);
      const auto run = [&](ScalarType dtype) {
        const Tensor a =
            with_layout(layout, draw(layout.sizes, reference.low, reference.high, dtype));
        const Tensor b = draw(a.sizes(), reference.low, reference.high, dtype);
        const Tensor pa = a.to(kDouble).contiguous(), pb = b.to(kDouble).contiguous();
        const Tensor expected = map(a, [&](int64_t i) {
          return reference.value(pa.data_ptr<double>()[i], pb.data_ptr<double>()[i]);
        });
        check_near(pointwise(op, a, b), expected, tolerance(dtype));
      };
      if (takes<Op>(kFloat)) {
        // The integer divisions jump; their exact values are tested with integers below.
        const bool jumps = std::string_view(Op::kName).find("divide") != std::string_view::npos ||
                           reference.kink == 0.05;
        for (ScalarType dtype : kFloating) {
          if (!jumps || dtype == kDouble) run(dtype);
        }
      } else {
        for (ScalarType dtype : kWhole) run(dtype);
      }
    }
  });
}

TEST_CASE("every ternary op agrees with its reference") {
  manual_seed(3);
  int row = 0;
  for_each_op(op::TernaryOps{}, [&](auto op) {
    using Op = decltype(op);
    const testing::TernaryReference& reference = testing::kTernaryReference[row++];
    INFO(reference.name);
    REQUIRE(reference.name == Op::kName);
    for (ScalarType dtype : kFloating) {
      const Tensor a = draw({3, 5}, 0.5, 2, dtype), b = draw({3, 5}, 0.5, 2, dtype),
                   c = draw({3, 5}, 0.5, 2, dtype);
      const Tensor pa = a.to(kDouble), pb = b.to(kDouble), pc = c.to(kDouble);
      const Tensor expected = map(a, [&](int64_t i) {
        return reference.value(pa.data_ptr<double>()[i], pb.data_ptr<double>()[i],
                               pc.data_ptr<double>()[i]);
      });
      check_near(pointwise(op, a, b, c), expected, 4 * tolerance(dtype));
    }
  });
}

TEST_CASE("every differentiable pointwise op has right first and second derivatives") {
  manual_seed(4);
  int row = 0;
  for_each_op(op::UnaryOps{}, [&](auto op) {
    const testing::UnaryReference& reference = testing::kUnaryReference[row++];
    if constexpr (decltype(op)::kDifferentiable) {
      INFO(reference.name);
      for (const Layout& layout : kLayouts) {
        if (layout.sizes.numel > 24) continue;
        INFO(layout.name);
        const Tensor x = with_layout(layout, draw(layout.sizes, reference.low, reference.high,
                                                  kDouble, reference.kink, reference.unit));
        if (has_internal_overlap(x.impl().view())) continue;
        x.requires_grad_();
        const testing::TensorFunction f = [&](const std::vector<Tensor>& in) {
          return pointwise(op, in[0]);
        };
        CHECK(testing::gradcheck(f, {x}));
        // Times x: the gradient of a rounding is constant, which has no second derivative to check.
        const testing::TensorFunction product = [&](const std::vector<Tensor>& in) {
          return f(in) * in[0];
        };
        CHECK(testing::gradgradcheck(product, {x}));
      }
    }
  });
  row = 0;
  for_each_op(op::BinaryOps{}, [&](auto op) {
    const testing::BinaryReference& reference = testing::kBinaryReference[row++];
    if constexpr (decltype(op)::kDifferentiable) {
      INFO(reference.name);
      const Tensor a = draw({2, 3}, reference.low, reference.high, kDouble).requires_grad_();
      // One broadcast operand, kept away from the other where the op has a kink at equality.
      Tensor b = draw({3}, reference.low, reference.high, kDouble);
      if (reference.kink > 0) {
        b = a.detach().amax() + reference.kink;
        b = b.expand({3}).clone() + arange(3, kDouble) * 0.01;
      }
      b.requires_grad_();
      const testing::TensorFunction f = [&](const std::vector<Tensor>& in) {
        return pointwise(op, in[0], in[1]);
      };
      CHECK(testing::gradcheck(f, {a, b}));
      CHECK(testing::gradgradcheck(f, {a, b}));
    }
  });
  for_each_op(op::TernaryOps{}, [&](auto op) {
    INFO(decltype(op)::kName);
    const bool select = std::is_same_v<decltype(op), op::Where>;
    const Tensor first = select ? draw({2, 3}, 0, 1, kLong).to(kBool)
                                : draw({2, 3}, 0.5, 2, kDouble).requires_grad_();
    const Tensor b = draw({3}, 0.5, 2, kDouble).requires_grad_(),
                 c = draw({2, 1}, 0.5, 2, kDouble).requires_grad_();
    const testing::TensorFunction f = [&](const std::vector<Tensor>& in) {
      return pointwise(op, in[0], in[1], in[2]);
    };
    CHECK(testing::gradcheck(f, {first, b, c}));
    CHECK(testing::gradgradcheck(f, {first, b, c}));
  });
}

TEST_CASE(
    "in-place forms give what the out-of-place forms give, on views too, and count versions") {
  manual_seed(5);
  const Tensor base = rand({4, 6}) + 0.5;
  const Tensor expected = base.clone();
  const Tensor view = base.slice(1, 0, 6, 2);
  view.mul_(3).add_(1, 2).sqrt_();
  CHECK(base._version() == 3);
  const Tensor untouched = base.slice(1, 1, 6, 2);
  CHECK(equal(untouched, expected.slice(1, 1, 6, 2)));
  testing::assert_close(view.clone(), (expected.slice(1, 0, 6, 2) * 3 + 2).sqrt());
}

TEST_CASE("an in-place op reading another view of what it writes sees the old values") {
  const Tensor x = arange(6, kFloat);
  x.slice(0, 1, 6).add_(x.slice(0, 0, 5));
  CHECK(equal(x, tensor({0., 1., 3., 5., 7., 9.})));
}

TEST_CASE("integer arithmetic is exact, wraps, floors as Python and refuses to divide by zero") {
  const Tensor a = tensor({-7, 7, -8, 8}), b = tensor({2, -2, 3, -3});
  CHECK(equal(a.div(b, "floor"), tensor({-4, -4, -3, -3})));
  CHECK(equal(a.div(b, "trunc"), tensor({-3, -3, -2, -2})));
  CHECK(equal(a.remainder(b), tensor({1, -1, 1, -1})));
  CHECK(equal(a.fmod(b), tensor({-1, 1, -2, 2})));
  CHECK_THROWS_WITH_TEXT(a.div(tensor({1, 0, 1, 1}), "floor"), "division by zero");
  CHECK_THROWS_WITH_TEXT(a.remainder(0), "division by zero");
  const Tensor bytes = full({2}, 200, kUInt8);
  CHECK(equal(bytes + bytes, full({2}, 144, kUInt8)));
  const Tensor large = full({1}, (int64_t{1} << 53) + 1, kLong);
  CHECK((large + 1).item<int64_t>() == (int64_t{1} << 53) + 2);
  CHECK(equal(tensor({1, 2, 3}).pow(3), tensor({1, 8, 27})));
  CHECK_THROWS_WITH_TEXT(tensor({1, 2}).pow(-1),
                         "Integers to negative integer powers are not allowed");
}

TEST_CASE("mistakes in pointwise calls are named with both values") {
  const Tensor a = ones({2, 3}), b = ones({4, 3});
  CHECK_THROWS_WITH_TEXT(
      a + b,
      "The size of tensor a (2) must match the size of tensor b (4) at non-singleton dimension 0");
  CHECK_THROWS_WITH_TEXT(a + b, "[add]");
  CHECK_THROWS_WITH_TEXT(ones({2}, kLong).add_(0.5),
                         "result type Float can't be cast to the desired output type Long");
  CHECK_THROWS_WITH_TEXT(ones({3}).add_(ones({2, 3})), "doesn't match the broadcast shape");
  CHECK_THROWS_WITH_TEXT(-ones({2}, kBool), "bool");
  CHECK_THROWS_WITH_TEXT(ones({2}, kBool) - ones({2}, kBool),
                         "Subtraction, the `-` operator, with two bool tensors");
  CHECK_THROWS_WITH_TEXT(ones({2}) & ones({2}), "not implemented for 'Float'");
  CHECK_THROWS_WITH_TEXT(Tensor() + a, "undefined tensor");
  CHECK_THROWS_WITH_TEXT(ones({1}).expand({3}).add_(1),
                         "more than one element of the written-to tensor");
  CHECK_THROWS_WITH_TEXT(a.clamp(), "At least one of 'min' or 'max' must not be None");
  CHECK_THROWS_WITH_TEXT(gelu(a, "fast"), "approximate argument must be either none or tanh");
}

TEST_CASE("NaN and infinities pass through as IEEE says") {
  constexpr double inf = std::numeric_limits<double>::infinity(),
                   nan = std::numeric_limits<double>::quiet_NaN();
  for (ScalarType dtype : kFloating) {
    const Tensor x = tensor({nan, inf, -inf, 0.0}).to(dtype);
    CHECK(relu(x).isnan()[0].item<bool>());
    CHECK(x.clamp(-1, 1).isnan()[0].item<bool>());
    CHECK(equal(x.clamp(-1, 1).slice(0, 1), tensor({1., -1., 0.}).to(dtype)));
    CHECK(x.maximum(ones({4}, dtype)).isnan()[0].item<bool>());
    CHECK(x.sigmoid()[1].item<double>() == 1);
    CHECK(x.sigmoid()[2].item<double>() == 0);
    CHECK(x.exp()[2].item<double>() == 0);
    CHECK(equal(x.isnan(), tensor({true, false, false, false})));
    CHECK(equal(x.isinf(), tensor({false, true, true, false})));
    CHECK(equal(x.isfinite(), tensor({false, false, false, true})));
  }
}

}  // namespace
}  // namespace tarn
