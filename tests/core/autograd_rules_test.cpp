// What the graph looks like and what it refuses, as libtorch 2.13 does.
#include "tarn/core/autograd.h"

#include <cmath>

#include "tarn/core/custom_function.h"
#include "tarn/core/tensor.h"
#include "tarn/tests/support/catch.h"

namespace tarn {
namespace {

Tensor leaf(IntArrayRef sizes) { return full(sizes, 1.5).requires_grad_(); }

std::string node_of(const Tensor& t) { return t.grad_fn()->name(); }

TEST_CASE("nodes have PyTorch's names, which tell a number from a tensor") {
  const Tensor a = leaf({2, 2}), b = leaf({2, 2});
  CHECK(node_of(a + b) == "AddBackward0");
  CHECK(node_of(a + 1) == "AddBackward1");
  CHECK(node_of(a - b) == "SubBackward0");
  CHECK(node_of(a - 1) == "SubBackward1");
  CHECK(node_of(1 - a) == "SubBackward0");
  CHECK(node_of(2 * a) == "MulBackward1");
  CHECK(node_of(a / 2) == "DivBackward1");
  CHECK(node_of(a.pow(2)) == "PowBackward0");
  CHECK(node_of(a.pow(3)) == "PowBackward0");
  CHECK(node_of(a.pow(b)) == "PowBackward1");
  CHECK(node_of(pow(2, a)) == "PowBackward2");
  CHECK(node_of(a.remainder(2)) == "RemainderBackward0");
  CHECK(node_of(a.lerp(b, 0.5)) == "LerpBackward0");
  CHECK(node_of(a.lerp(b, b)) == "LerpBackward1");
  CHECK(node_of(a.clamp(0, 1)) == "ClampBackward1");
  CHECK(node_of(a.clamp_min(0)) == "ClampMinBackward0");
  CHECK(node_of(a.clamp_max(0)) == "ClampMaxBackward0");
  CHECK(node_of(a.log1p()) == "Log1PBackward0");
  CHECK(node_of(log_sigmoid(a)) == "LogSigmoidBackward0");
  CHECK(node_of(a.t()) == "TBackward0");
  CHECK(node_of(a.sum()) == "SumBackward0");
  CHECK(node_of(a.sum(0)) == "SumBackward1");
  CHECK(node_of(a.mean()) == "MeanBackward0");
  CHECK(node_of(a.mean({0, 1})) == "MeanBackward1");
  CHECK(node_of(a.max()) == "MaxBackward1");
  CHECK(node_of(a.amax(0)) == "AmaxBackward0");
  CHECK(node_of(a.var(0)) == "VarBackward0");
  CHECK(node_of(a.norm(2, {0})) == "NormBackward1");
}

TEST_CASE("a number has no edge, nor has the condition of a selection") {
  const Tensor a = leaf({2}), b = leaf({2});
  CHECK((a + 1).grad_fn()->next_edges().size() == 1);
  CHECK(pow(2, a).grad_fn()->next_edges().size() == 1);
  CHECK(where(a > 0, a, b).grad_fn()->next_edges().size() == 2);
  where(b > 2, a, b).sum().backward();
  CHECK(equal(b.grad(), ones({2})));
  CHECK(equal(a.grad(), zeros({2})));
  pow(2, a).sum().backward();
  CHECK(a.grad()[0].item<double>() == Approx(std::pow(2, 1.5) * std::log(2)));
}

TEST_CASE(
    "a sum needs no tensor for its gradient, so it can be walked twice and its input written") {
  const Tensor x = leaf({2});
  const Tensor y = (x + 1).sum();
  y.backward();
  y.backward();
  CHECK(equal(x.grad(), full({2}, 2.0)));
  const Tensor z = x * 1, total = z.mean();
  z.add_(1);
  CHECK_NOTHROW(total.backward());
}

TEST_CASE("a view made without recording may not be written to while recording") {
  const Tensor x = leaf({2}) * 1;
  Tensor view;
  {
    const NoGradGuard guard;
    view = x.view({2});
  }
  CHECK(view.requires_grad());
  CHECK_FALSE(view.grad_fn());
  CHECK_THROWS_WITH_TEXT(view.add_(1),
                         "A view was created in no_grad mode and is being "
                         "modified inplace with grad mode enabled");
  const NoGradGuard guard;
  CHECK_NOTHROW(view.add_(1));
}

TEST_CASE("a view of a leaf that is itself a view may not be written to") {
  const Tensor x = arange(4.0).reshape({2, 2}).requires_grad_();
  CHECK_THROWS_WITH_TEXT(x[0].add_(1),
                         "a view of a leaf Variable that requires grad is being "
                         "used in an in-place operation");
  const NoGradGuard guard;
  CHECK_NOTHROW(x[0].add_(1));
}

TEST_CASE(
    "a retained gradient is that after hooks, and after in-place writes that of what is written") {
  const Tensor x = leaf({2});
  const Tensor y = x * 2;
  y.retain_grad();
  y.register_hook([](const Tensor& g) { return g * 10; });
  y.sum().backward();
  CHECK(equal(y.grad(), full({2}, 10.0)));

  const Tensor z = x * 2;
  z.retain_grad();
  z.mul_(3);
  CHECK(z.retains_grad());
  z.sum().backward();
  CHECK(equal(z.grad(), ones({2})));
}

struct WrongShape : autograd::Function<WrongShape> {
  static Tensor forward(autograd::AutogradContext*, Tensor x) { return x * 2; }
  static autograd::variable_list backward(autograd::AutogradContext*, autograd::variable_list) {
    return {ones({7})};
  }
};

TEST_CASE("a gradient of a wrong shape names the function that made it") {
  CHECK_THROWS_WITH_TEXT(WrongShape::apply(leaf({2})).sum().backward(),
                         "WrongShape> returned an invalid gradient at index 0 - got [7] but "
                         "expected shape compatible with [2]");
  const Tensor x = leaf({2});
  x.register_hook([](const Tensor&) { return ones({5}); });
  CHECK_THROWS_WITH_TEXT(x.sum().backward(), "hook '0' has changed the size of value");
}

struct Collect : WarningHandler {
  void process(const std::string& message) override { text += message; }
  std::string text;
};
struct Collected {
  Collected() { set_warning_handler(&handler); }
  ~Collected() { set_warning_handler(previous); }
  bool found(std::string_view part) const { return handler.text.find(part) != std::string::npos; }
  WarningHandler* previous = get_warning_handler();
  Collect handler;
};

TEST_CASE("anomaly mode names the step that made NaN and where its forward was called") {
  Collected warnings;
  const Tensor x = leaf({2});
  {
    const autograd::DetectAnomalyGuard guard;
    CHECK_THROWS_WITH_TEXT(((x - x).sqrt() * 0).sum().backward(),
                           "Function 'SqrtBackward0' returned nan values in its 0th output.");
  }
  CHECK(
      warnings.found("Error detected in SqrtBackward0. Traceback of forward call that caused the "
                     "error:\nframe #0: "));
}

TEST_CASE("anomaly mode says which backward step made a node that fails") {
  Collected warnings;
  const Tensor x = leaf({2});
  const autograd::DetectAnomalyGuard guard;
  const Tensor zero = x - x;
  // The gradient, 1.5 sqrt(zero), is finite; its own gradient is not.
  const Tensor slope = autograd::grad({zero.pow(1.5).sum()}, {zero}, {}, true, true)[0];
  CHECK_THROWS_WITH_TEXT((slope * 0).sum().backward(), "returned nan values");
  CHECK(
      warnings.found("Previous calculation was induced by PowBackward0. Traceback of forward call "
                     "that induced the previous calculation:\nframe #0: "));
}

TEST_CASE("anomaly mode without the check for NaN lets it pass, but traces errors") {
  Collected warnings;
  const Tensor x = leaf({2});
  const autograd::DetectAnomalyGuard guard(/*check_nan=*/false);
  CHECK_NOTHROW(((x - x) / (x - x)).sum().backward());
  const Tensor y = x.exp();
  const Tensor z = y * y;
  y.add_(1);
  CHECK_THROWS_WITH_TEXT(z.sum().backward(), "modified by an inplace operation");
  CHECK(warnings.found("Error detected in MulBackward0"));
}

}  // namespace
}  // namespace tarn
