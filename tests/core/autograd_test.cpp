#include "tarn/core/autograd.h"

#include <thread>

#include "tarn/core/custom_function.h"
#include "tarn/core/random.h"
#include "tarn/core/tensor.h"
#include "tarn/core/testing.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/sanitizers.h"

namespace tarn {
namespace {

using autograd::variable_list;

Tensor leaf(std::initializer_list<double> values) {
  return tensor(detail::TensorDataContainer(ArrayRef<double>(values.begin(), values.size())),
                kDouble)
      .requires_grad_();
}

TEST_CASE("backward adds gradients to the leaves, and only to them") {
  const Tensor a = leaf({1, 2, 3}), b = leaf({4, 5, 6});
  const Tensor c = a * b;
  c.sum().backward();
  CHECK(equal(a.grad(), b.detach()));
  CHECK(equal(b.grad(), a.detach()));
  (a * 2).sum().backward();
  CHECK(equal(a.grad(), b.detach() + 2));
  CHECK(a.is_leaf());
  CHECK_FALSE(c.is_leaf());
  CHECK(c.grad_fn()->name() == "MulBackward0");
  CHECK(c.requires_grad());
  CHECK_FALSE((a.detach() * 2).requires_grad());
}

TEST_CASE("a tensor used several times gets the sum of its gradients") {
  const Tensor x = leaf({3});
  const Tensor y = x * x + x.exp() * x + x;
  y.backward();
  testing::assert_close(x.grad(), 2 * x.detach() + x.detach().exp() * (x.detach() + 1) + 1);
}

TEST_CASE("gradients of broadcast operands are summed to their shape") {
  const Tensor row = ones({3}, kDouble).requires_grad_(),
               column = ones({2, 1}, kDouble).requires_grad_();
  const Tensor scalar = full({}, 2.0, kDouble).requires_grad_();
  (row * column * scalar).sum().backward();
  CHECK(equal(row.grad(), full({3}, 4.0, kDouble)));
  CHECK(equal(column.grad(), full({2, 1}, 6.0, kDouble)));
  CHECK(scalar.grad().item<double>() == 6);
}

TEST_CASE("gradients come in the dtype of their tensor") {
  const Tensor half = ones({2}, kHalf).requires_grad_(), wide = ones({2}, kDouble).requires_grad_();
  (half * wide).sum().backward();
  CHECK(half.grad().dtype() == kHalf);
  CHECK(wide.grad().dtype() == kDouble);
}

TEST_CASE("the graph is freed by backward unless it is retained") {
  const Tensor x = leaf({2});
  const Tensor y = x.exp();
  y.backward({}, /*retain_graph=*/true);
  y.backward();
  testing::assert_close(x.grad(), 2 * x.detach().exp());
  CHECK_THROWS_WITH_TEXT(y.backward(), "Trying to backward through the graph a second time");
  const size_t before = memory_stats().live_blocks;
  for (int i = 0; i < 10; ++i) {
    x.mutable_grad().reset();
    (x * 3).exp().sin().sum().backward();
  }
  x.mutable_grad().reset();
  CHECK(memory_stats().live_blocks <= before);
}

TEST_CASE("a chain of a million nodes neither backs up nor is freed by recursion") {
  // With a sanitizer every step is slower, and every frame wider.
  constexpr bool kSanitized = testing::kAddressSanitizer || testing::kThreadSanitizer;
  constexpr int kNodes = kSanitized ? 200'000 : 1'000'000;
  const Tensor x = leaf({1});
  Tensor y = x;
  for (int i = 0; i < kNodes; ++i) y = y + 1;
  y.backward();
  CHECK(x.grad().item<double>() == 1);
  Tensor z = x;
  for (int i = 0; i < kNodes; ++i) z = z * 1.0;
  z.reset();
}

TEST_CASE("higher derivatives come from create_graph") {
  const Tensor x = leaf({0.5, 1.5});
  const Tensor y = x.pow(4).sum();
  const Tensor first = autograd::grad({y}, {x}, {}, std::nullopt, true)[0];
  testing::assert_close(first.detach(), 4 * x.detach().pow(3));
  const Tensor second = autograd::grad({first.sum()}, {x}, {}, std::nullopt, true)[0];
  testing::assert_close(second.detach(), 12 * x.detach().pow(2));
  const Tensor third = autograd::grad({second.sum()}, {x})[0];
  testing::assert_close(third, 24 * x.detach());
}

TEST_CASE("grad returns gradients of leaves and intermediates without touching grad()") {
  const Tensor x = leaf({2, 3});
  const Tensor middle = x * x;
  const Tensor out = (middle * 3).sum();
  const variable_list got = autograd::grad({out}, {x, middle});
  CHECK(equal(got[0], 6 * x.detach()));
  CHECK(equal(got[1], full({2}, 3.0, kDouble)));
  CHECK_FALSE(x.grad().defined());
  const Tensor unused = leaf({1});
  CHECK_THROWS_WITH_TEXT(autograd::grad({x.sum()}, {unused}), "Set allow_unused=True");
  CHECK_FALSE(autograd::grad({x.sum()}, {unused}, {}, std::nullopt, false, true)[0].defined());
  CHECK_THROWS_WITH_TEXT(autograd::grad({x.sum()}, {}), "grad requires non-empty inputs.");
}

TEST_CASE("backward can be limited to some inputs") {
  const Tensor a = leaf({2}), b = leaf({3});
  const Tensor y = a * b;
  const std::vector<Tensor> only{a};
  y.backward({}, std::nullopt, false, TensorList(only));
  CHECK(a.grad().item<double>() == 3);
  CHECK_FALSE(b.grad().defined());
  CHECK_THROWS_WITH_TEXT((a * b).backward({}, std::nullopt, false, TensorList()),
                         "cannot be empty");
}

TEST_CASE("mistakes around backward are named") {
  const Tensor x = leaf({1, 2});
  CHECK_THROWS_WITH_TEXT((x * 2).backward(),
                         "grad can be implicitly created only for scalar outputs");
  CHECK_THROWS_WITH_TEXT((x * 2).backward(ones({3}, kDouble)), "Mismatch in shape");
  CHECK_THROWS_WITH_TEXT(x.detach().sum().backward(),
                         "does not require grad and does not have a grad_fn");
  CHECK_THROWS_WITH_TEXT(ones({2}, kLong).requires_grad_(),
                         "Only Tensors of floating point and complex dtype can require gradients");
  CHECK_THROWS_WITH_TEXT((x * 2).requires_grad_(false),
                         "you can only change requires_grad flags of leaf variables.");
  CHECK_THROWS_WITH_TEXT(x.add_(1), "a leaf Variable that requires grad");
  CHECK_THROWS_WITH_TEXT(x[0].add_(1), "a view of a leaf Variable that requires grad");
  {
    const NoGradGuard guard;
    x.add_(1);
  }
  CHECK(equal(x.detach(), tensor({2., 3.}, kDouble)));
}

TEST_CASE("a saved tensor that was changed in place is noticed") {
  const Tensor x = leaf({1, 2});
  const Tensor y = x.exp();
  y.add_(1);
  CHECK_THROWS_WITH_TEXT(y.sum().backward(), "has been modified by an inplace operation");
  const Tensor a = x * 1, b = leaf({3, 4});
  const Tensor product = a * b;
  a.add_(1);
  CHECK_THROWS_WITH_TEXT(product.sum().backward(), "is at version 1; expected version 0");
  const Tensor c = x * 1;
  const Tensor sum = c + b;
  c.mul_(2);  // addition kept nothing
  sum.sum().backward();
}

TEST_CASE("in-place ops are differentiated, also through views of their tensor") {
  const Tensor x = leaf({1, 2, 3, 4});
  const testing::TensorFunction through_view = [](const std::vector<Tensor>& in) {
    const Tensor t = in[0] * 2;
    const Tensor part = t.slice(0, 1, 3);
    part.add_(in[0].slice(0, 0, 2)).mul_(3);
    t[3].add_(part[0].clone() * part[1].clone());
    part.sigmoid_();
    return t * t;
  };
  CHECK(testing::gradcheck(through_view, {x}));
  CHECK(testing::gradgradcheck(through_view, {x}));
  const testing::TensorFunction into_constant = [](const std::vector<Tensor>& in) {
    const Tensor buffer = zeros({2, 4}, kDouble);
    buffer[0] = in[0] * in[0];
    buffer.select(0, 1).copy_(in[0].exp());
    buffer.transpose(0, 1)[2].mul_(3);
    return buffer;
  };
  CHECK(testing::gradcheck(into_constant, {x}));
  CHECK(testing::gradgradcheck(into_constant, {x}));
}

TEST_CASE("a view sees the history its base gets later") {
  const Tensor w = leaf({5});
  const Tensor base = zeros({3}, kDouble);
  const Tensor view = base.slice(0, 0, 2);
  CHECK_FALSE(view.requires_grad());
  base[1] = (w * 2)[0];
  CHECK(base.requires_grad());
  CHECK(view.requires_grad());
  view.sum().backward();
  CHECK(w.grad().item<double>() == 2);
}

TEST_CASE("a view made without recording cannot be written to while recording") {
  const Tensor w = leaf({1, 2});
  const Tensor t = w * 2;
  Tensor view;
  {
    const NoGradGuard guard;
    view = t[0];
  }
  CHECK_THROWS_WITH_TEXT(view.mul_(w[0]),
                         "A view was created in no_grad mode and is being modified inplace");
}

TEST_CASE("hooks see and replace gradients, of leaves and intermediates, until removed") {
  const Tensor x = leaf({1, 2});
  int calls = 0;
  const unsigned counting = x.register_hook([&](const Tensor&) { ++calls; });
  const Tensor y = x * 3;
  y.register_hook([](const Tensor& g) { return g * 10; });
  y.sum().backward();
  CHECK(calls == 1);
  CHECK(equal(x.grad(), full({2}, 30.0, kDouble)));
  x.remove_hook(counting);
  (x * 1).sum().backward();
  CHECK(calls == 1);
  CHECK_THROWS_WITH_TEXT(x.remove_hook(counting), "Invalid index");
  CHECK_THROWS_WITH_TEXT(x.detach().register_hook([](const Tensor&) {}),
                         "doesn't require gradient");
}

TEST_CASE("a retained gradient of an intermediate is kept") {
  const Tensor x = leaf({1, 2});
  const Tensor y = x * 3;
  y.retain_grad();
  CHECK(y.retains_grad());
  (y * y).sum().backward();
  CHECK(equal(y.grad(), 2 * y.detach()));
}

TEST_CASE("NoGradGuard records nothing and ends with its scope") {
  const Tensor x = leaf({1});
  {
    const NoGradGuard guard;
    CHECK_FALSE(GradMode::is_enabled());
    CHECK_FALSE((x * 2).requires_grad());
    {
      const AutoGradMode on(true);
      CHECK((x * 2).requires_grad());
    }
  }
  CHECK((x * 2).requires_grad());
}

TEST_CASE("a gradient that was handed over is not shared with the leaf") {
  const Tensor x = leaf({1, 2});
  const Tensor g = ones({2}, kDouble);
  x.backward(g);
  x.mutable_grad().add_(5);
  CHECK(equal(g, ones({2}, kDouble)));
  const Tensor a = leaf({1}), b = leaf({1});
  (a + b).backward();
  a.mutable_grad().add_(1);
  CHECK(b.grad().item<double>() == 1);
}

TEST_CASE("anomaly detection names the operation that made NaN") {
  const autograd::DetectAnomalyGuard guard;
  const Tensor x = leaf({0});
  const Tensor y = x.sqrt() * 0;
  CHECK_THROWS_WITH_TEXT(y.backward(),
                         "Function 'SqrtBackward0' returned nan values in its 0th output.");
}

TEST_CASE("threads may run backward at once, on graphs that share leaves") {
  const Tensor w = leaf({1, 2, 3});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) (w * 2).sum().backward();
    });
  }
  for (std::thread& t : threads) t.join();
  CHECK(equal(w.grad(), full({3}, 1600.0, kDouble)));
}

struct Cube : autograd::Function<Cube> {
  static Tensor forward(autograd::AutogradContext* ctx, Tensor x, double scale) {
    ctx->save_for_backward({x});
    ctx->saved_data["scale"] = scale;
    return x * x * x * scale;
  }
  static variable_list backward(autograd::AutogradContext* ctx, variable_list grads) {
    const Tensor x = ctx->get_saved_variables()[0];
    return {grads[0] * 3 * x * x * ctx->saved_data["scale"].to_double(), Tensor()};
  }
};

struct SplitSigns : autograd::Function<SplitSigns> {
  static variable_list forward(autograd::AutogradContext* ctx, Tensor x) {
    const Tensor positive = x.clamp_min(0), mask = x > 0;
    ctx->save_for_backward({mask});
    ctx->mark_non_differentiable({mask});
    return {positive, x - positive, mask};
  }
  static variable_list backward(autograd::AutogradContext* ctx, variable_list grads) {
    const Tensor mask = ctx->get_saved_variables()[0];
    return {where(mask, grads[0], grads[1])};
  }
};

struct WrongCount : autograd::Function<WrongCount> {
  static Tensor forward(autograd::AutogradContext*, Tensor a, Tensor b) { return a + b; }
  static variable_list backward(autograd::AutogradContext*, variable_list grads) {
    return {grads[0]};
  }
};

TEST_CASE("operations of the user's own are recorded, to any order") {
  const Tensor x = leaf({1, -2, 3});
  const testing::TensorFunction cube = [](const std::vector<Tensor>& in) {
    return Cube::apply(in[0], 2.0);
  };
  CHECK(testing::gradcheck(cube, {x}));
  CHECK(testing::gradgradcheck(cube, {x}));
  const variable_list parts = SplitSigns::apply(x);
  CHECK_FALSE(parts[2].requires_grad());
  (parts[0] * 2).sum().backward();  // no gradient reaches parts[1]: zeros stand for it
  CHECK(equal(x.grad(), tensor({2., 0., 2.}, kDouble)));
  const Tensor y = leaf({1});
  CHECK_THROWS_WITH_TEXT(WrongCount::apply(y, y * 1).backward(),
                         "returned an incorrect number of gradients (expected 2, got 1)");
}

}  // namespace
}  // namespace tarn
