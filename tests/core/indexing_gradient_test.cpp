#include "tarn/core/autograd.h"
#include "tarn/core/factories.h"
#include "tarn/core/functions.h"
#include "tarn/core/indexing.h"
#include "tarn/core/random.h"
#include "tarn/core/testing.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/tensors.h"

using namespace tarn;
using namespace tarn::indexing;
using tarn::testing::elements;
using tarn::testing::gradcheck;
using tarn::testing::gradgradcheck;
using Inputs = std::vector<Tensor>;

namespace {

Tensor leaf(IntArrayRef sizes) {
  static Generator generator(3);
  return randn(sizes, &generator, dtype(kDouble).requires_grad(true));
}

void check(const tarn::testing::TensorFunction& f, const Inputs& inputs) {
  // Squares have second derivatives; the ops alone are linear.
  const auto squared = [&](const Inputs& x) {
    const Tensor y = f(x);
    return y * y;
  };
  CHECK(gradcheck(f, inputs));
  CHECK(gradgradcheck(squared, inputs));
}

}  // namespace

TEST_CASE("gradients flow through every kind of index") {
  const Tensor x = leaf({3, 4});
  const Tensor repeated = tensor({0, 2, 0}), mask = tensor({true, false, true, true});
  check([&](const Inputs& in) { return in[0].index({repeated}); }, {x});
  check([&](const Inputs& in) { return in[0].index({repeated, tensor({1, 1, 1})}); }, {x});
  check([&](const Inputs& in) { return in[0].index({Slice(), mask}); }, {x});
  check([&](const Inputs& in) { return in[0].t().index({"...", repeated}); }, {x});
  check([&](const Inputs& in) { return in[0].index({1, Slice(1, None, 2), None}); }, {x});
  check([&](const Inputs& in) { return in[0].index({in[0].gt(0)}); }, {x});
  check([&](const Inputs& in) { return in[0].index({true}); }, {x});
}

TEST_CASE("gradients flow through index_select, gather and masked_select") {
  const Tensor x = leaf({3, 4});
  check([](const Inputs& in) { return in[0].index_select(1, tensor({3, 3, 0})); }, {x});
  check([](const Inputs& in) { return in[0].gather(1, tensor({{0, 0, 3}, {1, 2, 2}})); }, {x});
  check([](const Inputs& in) { return in[0].gather(0, tensor({{0, 2}})); }, {x});
  check(
      [](const Inputs& in) {
        return in[0].masked_select(tensor({true, false, true, false}));
      },
      {x});
  check([](const Inputs& in) { return in[0].gather(0, tensor(0)); }, {leaf({})});
  check([](const Inputs& in) { return in[0].index_select(0, tensor(0)); }, {leaf({})});
}

TEST_CASE("gradients flow to both operands of scatter, index_add, index_copy and masked_fill") {
  const Tensor x = leaf({3, 4}), source = leaf({2, 3});
  const Tensor index = tensor({{0, 3, 1}, {2, 1, 0}});
  check([&](const Inputs& in) { return in[0].scatter(1, index, in[1]); }, {x, source});
  check([&](const Inputs& in) { return in[0].scatter(1, index, 2.5); }, {x});
  check([&](const Inputs& in) { return in[0].scatter_add(1, index.clamp_max(1), in[1]); },
        {x, source});
  check([&](const Inputs& in) { return in[0].scatter(1, tensor({{2, 0}}), in[1]); }, {x, source});
  check(
      [&](const Inputs& in) {
        return in[0].index_add(0, tensor({1, 1}), in[1], 3);
      },
      {x, leaf({2, 4})});
  check(
      [&](const Inputs& in) {
        return in[0].clone().index_copy_(0, tensor({2, 0}), in[1]);
      },
      {x, leaf({2, 4})});
  check([&](const Inputs& in) { return in[0].clone().index_fill_(1, tensor({2, 0}), 7); }, {x});
  const Tensor mask = tensor({{true}, {false}, {true}});
  check([&](const Inputs& in) { return in[0].masked_fill(mask, 2); }, {x});
  check([&](const Inputs& in) { return in[0].masked_fill(mask, in[1]); }, {x, leaf({})});
  check([&](const Inputs& in) { return in[0].clone().masked_fill_(mask, in[1]); }, {x, leaf({})});
}

TEST_CASE("gradients flow to the tensor and to the values of index_put_") {
  const Tensor x = leaf({3, 4});
  const Tensor rows = tensor({0, 2}), repeated = tensor({1, 1});
  check([&](const Inputs& in) { return in[0].clone().index_put_({rows}, in[1]); },
        {x, leaf({2, 4})});
  check([&](const Inputs& in) { return in[0].clone().index_put_({rows}, in[1]); }, {x, leaf({4})});
  check(
      [&](const Inputs& in) {
        return in[0].clone().index_put_({Slice(), rows}, in[1]);
      },
      {x, leaf({})});
  check([&](const Inputs& in) { return in[0].clone().index_put_({repeated}, in[1], true); },
        {x, leaf({2, 4})});
  check(
      [&](const Inputs& in) {
        return in[0].clone().index_put_({1, Slice(0, 2)}, in[1]);
      },
      {x, leaf({2})});
  check(
      [&](const Inputs& in) {
        return in[0].clone().index_put_({tensor({true, false, true})}, in[1]);
      },
      {x, leaf({2, 4})});
}

TEST_CASE("an in-place write through a view is seen by the gradients of its base") {
  const Tensor x = leaf({3, 4}), v = leaf({2});
  check(
      [](const Inputs& in) {
        const Tensor base = in[0] * 2;
        const Tensor view = base.t();
        view.index_put_({tensor({1, 3}), tensor({0, 2})}, in[1]);
        return base * view.t();
      },
      {x, v});
  check(
      [](const Inputs& in) {
        const Tensor base = in[0] * 2;
        base.select(0, 1).scatter_add_(0, tensor({0, 0}), in[1]);
        return base;
      },
      {x, v});
  check(
      [](const Inputs& in) {
        const Tensor base = in[0] * 2;
        base.slice(0, 0, 2).masked_fill_(tensor({true, false, false, true}), 1.5);
        return base;
      },
      {x});
}

TEST_CASE("an in-place write gives gradients to what is written into a tensor that had none") {
  const Tensor buffer = zeros({4}, kDouble), v = leaf({2});
  buffer.index_put_({tensor({3, 1})}, v * 2);
  CHECK(buffer.requires_grad());
  (buffer * tensor({1.0, 2.0, 3.0, 4.0}, kDouble)).sum().backward();
  CHECK(elements<double>(v.grad()) == std::vector<double>{8, 4});
}

TEST_CASE("in-place writes to leaves that require gradients are refused") {
  const Tensor x = leaf({3}), mask = tensor({true, false, true});
  CHECK_THROWS_WITH_TEXT(x.index_put_({tensor({0})}, 1), "a leaf Variable that requires grad");
  CHECK_THROWS_WITH_TEXT(x.index_put_({0}, 1), "leaf Variable that requires grad");
  CHECK_THROWS_WITH_TEXT(x.scatter_(0, tensor({0}), 1), "a leaf Variable that requires grad");
  CHECK_THROWS_WITH_TEXT(x.masked_fill_(mask, 1), "a leaf Variable that requires grad");
  const Tensor before = x.detach().clone();
  {
    const NoGradGuard guard;
    x.masked_fill_(mask, 1);
  }
  CHECK(elements<double>(x) == std::vector<double>{1, before[1].item<double>(), 1});
}

TEST_CASE("changing an index tensor between forward and backward is an error") {
  const Tensor x = leaf({3}), index = tensor({0, 1});
  const Tensor y = x.index_select(0, index);
  index.fill_(2);
  CHECK_THROWS_WITH_TEXT(y.sum().backward(), "modified by an inplace operation");
  const Tensor mask = tensor({true, false, true});
  const Tensor z = (x * 1).masked_fill_(mask, 0);
  mask.fill_(false);
  CHECK_THROWS_WITH_TEXT(z.sum().backward(), "modified by an inplace operation");
}
