// Every elementwise operation against PyTorch's results and gradients (tests/golden/pointwise.py).
#include <string>
#include <vector>

#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/golden.h"

namespace {

using namespace tarn;
using tarn::testing::Golden;
using tarn::testing::operation;
using tarn::testing::Operations;

void add_unary(Operations& ops) {
  const auto add = [&](const char* name, auto f) { ops[name] = operation(f); };
  add("neg", [](const Tensor& x) { return -x; });
  add("abs", [](const Tensor& x) { return x.abs(); });
  add("sign", [](const Tensor& x) { return x.sign(); });
  add("square", [](const Tensor& x) { return x.square(); });
  add("reciprocal", [](const Tensor& x) { return x.reciprocal(); });
  add("sqrt", [](const Tensor& x) { return x.sqrt(); });
  add("rsqrt", [](const Tensor& x) { return x.rsqrt(); });
  add("floor", [](const Tensor& x) { return x.floor(); });
  add("ceil", [](const Tensor& x) { return x.ceil(); });
  add("round", [](const Tensor& x) { return x.round(); });
  add("trunc", [](const Tensor& x) { return x.trunc(); });
  add("exp", [](const Tensor& x) { return exp(x); });
  add("expm1", [](const Tensor& x) { return x.expm1(); });
  add("log", [](const Tensor& x) { return log(x); });
  add("log2", [](const Tensor& x) { return x.log2(); });
  add("log10", [](const Tensor& x) { return x.log10(); });
  add("log1p", [](const Tensor& x) { return x.log1p(); });
  add("sin", [](const Tensor& x) { return x.sin(); });
  add("cos", [](const Tensor& x) { return x.cos(); });
  add("tan", [](const Tensor& x) { return x.tan(); });
  add("asin", [](const Tensor& x) { return x.asin(); });
  add("acos", [](const Tensor& x) { return x.acos(); });
  add("atan", [](const Tensor& x) { return x.atan(); });
  add("sinh", [](const Tensor& x) { return x.sinh(); });
  add("cosh", [](const Tensor& x) { return x.cosh(); });
  add("erf", [](const Tensor& x) { return x.erf(); });
  add("erfc", [](const Tensor& x) { return x.erfc(); });
  add("tanh", [](const Tensor& x) { return tanh(x); });
  add("isnan", [](const Tensor& x) { return x.isnan(); });
  add("isinf", [](const Tensor& x) { return x.isinf(); });
  add("isfinite", [](const Tensor& x) { return x.isfinite(); });
  add("logical_not", [](const Tensor& x) { return x.logical_not(); });
  add("bitwise_not", [](const Tensor& x) { return ~x; });
}

void add_activations(Operations& ops) {
  const auto add = [&](const char* name, auto f) { ops[name] = operation(f); };
  add("sigmoid", [](const Tensor& x) { return sigmoid(x); });
  add("log_sigmoid", [](const Tensor& x) { return log_sigmoid(x); });
  add("relu", [](const Tensor& x) { return relu(x); });
  add("leaky_relu", [](const Tensor& x) { return leaky_relu(x, 0.1); });
  add("elu", [](const Tensor& x) { return elu(x, 1.3); });
  add("gelu", [](const Tensor& x) { return gelu(x); });
  add("gelu_tanh", [](const Tensor& x) { return gelu(x, "tanh"); });
  add("silu", [](const Tensor& x) { return silu(x); });
  add("mish", [](const Tensor& x) { return mish(x); });
  add("softplus", [](const Tensor& x) { return softplus(x, 2.0, 3.0); });
}

void add_with_scalars(Operations& ops) {
  const auto add = [&](const char* name, auto f) { ops[name] = operation(f); };
  add("clamp", [](const Tensor& x) { return x.clamp(-0.55, 0.7); });
  add("clamp_min", [](const Tensor& x) { return x.clamp_min(-0.23); });
  add("clamp_max", [](const Tensor& x) { return x.clamp_max(0.23); });
  add("pow_2", [](const Tensor& x) { return x.pow(2); });
  add("pow_3", [](const Tensor& x) { return x.pow(3); });
  add("pow_half", [](const Tensor& x) { return x.pow(0.5); });
  add("pow_minus", [](const Tensor& x) { return x.pow(-1.3); });
  add("scalar_pow", [](const Tensor& x) { return pow(2.3, x); });
  add("add_scalar", [](const Tensor& x) { return x + 1.7; });
  add("rsub_scalar", [](const Tensor& x) { return 1.7 - x; });
  add("mul_scalar", [](const Tensor& x) { return x * -2.3; });
  add("rdiv_scalar", [](const Tensor& x) { return 1.7 / x; });
}

void add_binary(Operations& ops) {
  const auto add = [&](const char* name, auto f) { ops[name] = operation(f); };
  add("add", [](const Tensor& a, const Tensor& b) { return a + b; });
  add("add_alpha", [](const Tensor& a, const Tensor& b) { return a.add(b, 0.3); });
  add("sub", [](const Tensor& a, const Tensor& b) { return a - b; });
  add("mul", [](const Tensor& a, const Tensor& b) { return a * b; });
  add("div", [](const Tensor& a, const Tensor& b) { return a / b; });
  add("div_floor", [](const Tensor& a, const Tensor& b) { return a.div(b, "floor"); });
  add("div_trunc", [](const Tensor& a, const Tensor& b) { return a.div(b, "trunc"); });
  add("remainder", [](const Tensor& a, const Tensor& b) { return a.remainder(b); });
  add("fmod", [](const Tensor& a, const Tensor& b) { return a.fmod(b); });
  add("pow", [](const Tensor& a, const Tensor& b) { return a.pow(b); });
  add("atan2", [](const Tensor& a, const Tensor& b) { return a.atan2(b); });
  add("maximum", [](const Tensor& a, const Tensor& b) { return maximum(a, b); });
  add("minimum", [](const Tensor& a, const Tensor& b) { return minimum(a, b); });
  add("eq", [](const Tensor& a, const Tensor& b) { return a == b; });
  add("ne", [](const Tensor& a, const Tensor& b) { return a != b; });
  add("lt", [](const Tensor& a, const Tensor& b) { return a < b; });
  add("le", [](const Tensor& a, const Tensor& b) { return a <= b; });
  add("gt", [](const Tensor& a, const Tensor& b) { return a > b; });
  add("ge", [](const Tensor& a, const Tensor& b) { return a >= b; });
  add("logical_and", [](const Tensor& a, const Tensor& b) { return a.logical_and(b); });
  add("logical_or", [](const Tensor& a, const Tensor& b) { return a.logical_or(b); });
  add("logical_xor", [](const Tensor& a, const Tensor& b) { return a.logical_xor(b); });
  add("bitwise_and", [](const Tensor& a, const Tensor& b) { return a & b; });
  add("bitwise_or", [](const Tensor& a, const Tensor& b) { return a | b; });
  add("bitwise_xor", [](const Tensor& a, const Tensor& b) { return a ^ b; });
}

void add_ternary(Operations& ops) {
  const auto add = [&](const char* name, auto f) { ops[name] = operation(f); };
  using T = Tensor;
  add("where", [](const T& m, const T& a, const T& b) { return where(m, a, b); });
  add("masked_fill", [](const T& x, const T& mask) { return x.masked_fill(mask, -1.2); });
  add("lerp", [](const T& a, const T& b) { return a.lerp(b, 0.3); });
  add("lerp.tensor", [](const T& a, const T& b, const T& w) { return a.lerp(b, w); });
  add("addcmul", [](const T& x, const T& a, const T& b) { return x.addcmul(a, b, 0.7); });
  add("addcdiv", [](const T& x, const T& a, const T& b) { return x.addcdiv(a, b, 0.7); });
}

}  // namespace

TEST_CASE("elementwise operations give PyTorch's values and gradients") {
  Operations ops;
  add_unary(ops);
  add_activations(ops);
  add_with_scalars(ops);
  add_binary(ops);
  add_ternary(ops);
  const Golden golden("pointwise.safetensors");
  for (const auto& failure : tarn::testing::compare_all(golden, ops, {"promotion"})) {
    FAIL_CHECK(failure);
  }
}
