// Every reduction, over dims and layouts, against the reference table; and its gradients.
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

template <class Op>
Op sample_op() {
  if constexpr (std::is_same_v<Op, op::Norm>)
    return {2.0};
  else
    return {};
}
template <class... Ops, class F>
void for_each_op(List<Ops...>, F f) {
  (f(sample_op<Ops>()), ...);
}

// The reference over the last dimension of x.
Tensor reference_rows(const Tensor& x, double (*value)(const testing::Row&)) {
  const Tensor rows = x.to(kDouble).contiguous().reshape({-1, x.size(-1)});
  const Tensor out = empty({rows.size(0)}, kDouble);
  for (int64_t i = 0; i < rows.size(0); ++i) {
    const double* row = rows.data_ptr<double>() + i * rows.size(1);
    out.data_ptr<double>()[i] = value(testing::Row(row, row + rows.size(1)));
  }
  return out.reshape(x.sizes().slice(0, x.sizes().size() - 1));
}

TEST_CASE("every reduction agrees with its reference over each dimension, dtype and layout") {
  manual_seed(1);
  int row = 0;
  for_each_op(op::ReduceOps{}, [&](auto op) {
    const testing::ReduceReference& reference = testing::kReduceReference[row++];
    INFO(reference.name);
    REQUIRE(reference.name == decltype(op)::kName);
    for (const Layout& layout : kLayouts) {
      if (layout.sizes.numel < 2) continue;
      INFO(layout.name);
      for (ScalarType dtype : {kFloat, kDouble, kBFloat16, kLong}) {
        const bool fails =
            op.kTraits.result == ReduceResult::kFloating && !is_floating_point(dtype);
        const Tensor drawn = is_floating_point(dtype) ? rand(layout.sizes, kDouble) + 0.5
                                                      : randint(1, 9, layout.sizes).to(kDouble);
        const Tensor x = testing::with_layout(layout, drawn.to(dtype));
        // Products of many integers overflow, of many bfloat16 lose all digits.
        if (reference.name == "prod" && (dtype != kDouble || x.numel() > 100)) continue;
        if (fails) {
          CHECK_THROWS_AS(reduce(op, x), Error);
          continue;
        }
        const double tolerance = dtype == kDouble ? 1e-12 : dtype == kBFloat16 ? 1e-2 : 1e-6;
        for (int64_t d = 0; d < x.dim(); ++d) {
          INFO("dim " << d);
          const Tensor expected = reference_rows(x.movedim(d, -1), reference.value);
          testing::assert_close(reduce(op, x, d).to(kDouble), expected, tolerance, tolerance);
          testing::assert_close(reduce(op, x, d, true).to(kDouble), expected.unsqueeze(d),
                                tolerance, tolerance);
        }
        testing::assert_close(reduce(op, x).to(kDouble),
                              reference_rows(x.reshape({-1}), reference.value), tolerance,
                              tolerance);
      }
    }
  });
}

TEST_CASE("every differentiable reduction has right first and second derivatives") {
  manual_seed(2);
  int row = 0;
  for_each_op(op::ReduceOps{}, [&](auto op) {
    const testing::ReduceReference& reference = testing::kReduceReference[row++];
    if (!reference.differentiable) return;
    INFO(reference.name);
    // Distinct elements, so that the extremes have no ties within the step of the check.
    const Tensor x = ((randperm(24, kLong).to(kDouble) + 2) * 0.1)
                         .reshape({2, 3, 4})
                         .transpose(0, 2)
                         .requires_grad_();
    for (const DimVector& dims : {DimVector{}, DimVector{1}, DimVector{0, 2}, DimVector{-1}}) {
      if (reference.name == "prod" && dims.size() > 1) continue;
      INFO(dims);
      const testing::TensorFunction f = [&](const std::vector<Tensor>& in) {
        return reduce(op, in[0], dims) * in[0].sum();
      };
      CHECK(testing::gradcheck(f, {x}));
      CHECK(testing::gradgradcheck(f, {x}));
    }
  });
}

TEST_CASE("norms of every order are differentiable") {
  const Tensor x = tensor({{0.5, -1.5, 2.0}, {3.0, -0.25, 1.25}}, kDouble).requires_grad_();
  for (double p : {1.0, 2.0, 3.0, 0.5, std::numeric_limits<double>::infinity(),
                   -std::numeric_limits<double>::infinity()}) {
    INFO(p);
    const testing::TensorFunction f = [&](const std::vector<Tensor>& in) {
      return in[0].norm(p, IntArrayRef(1)) * in[0].sum();
    };
    CHECK(testing::gradcheck(f, {x}));
    CHECK(testing::gradgradcheck(f, {x}));
  }
  CHECK(x.norm(0).item<double>() == 6);
}

TEST_CASE("the gradient of a product is right where elements are zero") {
  const Tensor x =
      tensor({{0.0, 2.0, 3.0}, {0.0, 0.0, 5.0}, {1.0, 2.0, 4.0}}, kDouble).requires_grad_();
  x.prod(1).sum().backward();
  CHECK(equal(x.grad(), tensor({{6., 0., 0.}, {0., 0., 0.}, {8., 4., 2.}}, kDouble)));
}

TEST_CASE("ties share the gradient of max over all, and the first takes it along a dimension") {
  const Tensor x = tensor({1.0, 3.0, 3.0}).requires_grad_();
  x.max().backward();
  CHECK(equal(x.grad(), tensor({0.0, 0.5, 0.5})));
  x.mutable_grad().reset();
  const auto [values, indices] = x.max(0);
  CHECK(indices.item<int64_t>() == 1);
  values.backward();
  CHECK(equal(x.grad(), tensor({0.0, 1.0, 0.0})));
}

TEST_CASE("results have PyTorch's dtypes") {
  CHECK(ones({3}, kInt).sum().dtype() == kLong);
  CHECK(ones({3}, kBool).sum().item<int64_t>() == 3);
  CHECK(ones({3}, kInt).max().dtype() == kInt);
  CHECK(ones({3}, kHalf).sum().dtype() == kHalf);
  CHECK(ones({3}, kHalf).sum(kFloat).dtype() == kFloat);
  CHECK(ones({3}).argmax().dtype() == kLong);
  CHECK(ones({3}).any().dtype() == kBool);
  CHECK_THROWS_WITH_TEXT(ones({3}, kLong).mean(),
                         "Input dtype must be either a floating point or complex dtype. Got: Long");
}

TEST_CASE("a float32 sum of ten million elements is as good as a pairwise one") {
  const Tensor x = full({10'000'000}, 0.1f);
  CHECK(std::fabs(x.sum().item<double>() - 1e7 * static_cast<double>(0.1f)) <= 0.5);
  const Tensor columns = x.reshape({1'000'000, 10}).sum(0);
  CHECK((columns - 1e6 * static_cast<double>(0.1f)).abs().max().item<double>() <= 0.1);
}

TEST_CASE("reductions over nothing give the neutral element or say why not") {
  const Tensor none = empty({0, 3});
  CHECK(none.sum().item<double>() == 0);
  CHECK(none.prod().item<double>() == 1);
  CHECK(none.mean().isnan().item<bool>());
  CHECK(equal(none.sum(0), zeros({3})));
  CHECK(none.sum(1).sizes() == IntArrayRef(0));
  CHECK_THROWS_WITH_TEXT(none.max(),
                         "Expected reduction dim to be specified for input.numel() == 0");
  CHECK_THROWS_WITH_TEXT(none.argmax(0), "to have non-zero size");
  CHECK_THROWS_WITH_TEXT(ones({2}).sum(1),
                         "Dimension out of range (expected to be in range of [-1, 0], but got 1)");
  CHECK_THROWS_WITH_TEXT(ones({2, 2}).sum({0, -2}), "appears multiple times in the list of dims");
}

TEST_CASE("a number given to var or std is a dimension, a bool the divisor") {
  const Tensor x = tensor({{1.0, 3.0}, {2.0, 8.0}}, kDouble);
  CHECK(x.var(1).equal(tensor({2.0, 18.0}, kDouble)));
  CHECK(tarn::var(x, 0).equal(tensor({0.5, 12.5}, kDouble)));
  CHECK(x.std(int64_t{-1}, false).equal(tensor({1.0, 3.0}, kDouble)));
  CHECK(tarn::std(x, 1, true, true).sizes() == IntArrayRef({2, 1}));
  CHECK(x.var(false).item<double>() == 7.25);
  CHECK(tarn::std(x, false).item<double>() == Approx(std::sqrt(7.25)));
  CHECK(x.var().equal(tarn::var(x, true)));
}

TEST_CASE("logsumexp survives large and infinite inputs and is differentiable") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  CHECK(tensor({1000.0, 1000.0}).logsumexp(0).item<double>() == Approx(1000.6931));
  CHECK(tensor({-inf, -inf}).logsumexp(0).item<double>() == -inf);
  const Tensor x = tensor({{1.0, 2.0}, {3.0, -4.0}}, kDouble).requires_grad_();
  const testing::TensorFunction f = [](const std::vector<Tensor>& in) {
    return in[0].logsumexp(1);
  };
  CHECK(testing::gradcheck(f, {x}));
  CHECK(testing::gradgradcheck(f, {x}));
}

}  // namespace
}  // namespace tarn
