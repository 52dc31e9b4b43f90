#include "tarn/core/testing.h"

#include <cmath>

#include "tarn/core/autograd.h"
#include "tarn/core/factories.h"
#include "tarn/core/random.h"
#include "tarn/core/shape.h"

namespace tarn::testing {
namespace {

// Multi-index of the n-th element in row-major order.
DimVector place_of(int64_t n, IntArrayRef sizes) {
  DimVector place(sizes.size(), 0);
  for (size_t d = sizes.size(); d-- > 0;) {
    place[d] = n % sizes[d];
    n /= sizes[d];
  }
  return place;
}

// The element of x at `place`, 0-dim, sharing its memory and outside the graph.
Tensor element_at(const Tensor& x, IntArrayRef place) {
  int64_t offset = x.storage_offset();
  for (size_t d = 0; d < place.size(); ++d) offset += place[d] * x.strides()[d];
  return x.data().as_strided({}, {}, offset);
}

void check_inputs(const std::vector<Tensor>& inputs) {
  bool any = false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& x = inputs[i];
    if (!x.defined() || !x.requires_grad()) continue;
    any = true;
    if (x.dtype() != kDouble) {
      throw ValueError(
          str("[gradcheck] input ", i, " is ", x.dtype(), ": numeric derivatives need Double"));
    }
    if (has_internal_overlap(x.impl().view())) {
      throw ValueError(str("[gradcheck] input ", i,
                           " has several elements at one address (an expanded tensor). "
                           "HINT: pass a clone()"));
    }
  }
  if (!any) throw ValueError("[gradcheck] expects at least one input tensor to require gradient");
}

// Those of f's outputs that gradients flow to.
std::vector<Tensor> differentiable(std::vector<Tensor> outputs) {
  std::erase_if(outputs, [](const Tensor& t) { return !t.defined() || !t.requires_grad(); });
  if (outputs.empty()) throw ValueError("[gradcheck] no output of the function requires gradients");
  return outputs;
}

// Outputs number `which` of f, as plain numbers.
std::vector<Tensor> evaluate(const Function& f, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> values;
  for (const Tensor& t : differentiable(f(inputs)))
    values.push_back(t.detach().to(kCPU, kDouble).contiguous().clone());
  return values;
}

// numeric[o] (output elements, input elements) of d outputs[o] / d inputs[input].
std::vector<Tensor> numeric_jacobians(const Function& f, const std::vector<Tensor>& inputs,
                                      size_t input, const std::vector<Tensor>& outputs,
                                      double eps) {
  const Tensor& x = inputs[input];
  std::vector<Tensor> jacobians;
  for (const Tensor& o : outputs) jacobians.push_back(zeros({o.numel(), x.numel()}, kDouble));
  for (int64_t j = 0; j < x.numel(); ++j) {
    const Tensor element = element_at(x, place_of(j, x.sizes()));
    const double value = element.item<double>();
    element.fill_(value + eps);
    const std::vector<Tensor> above = evaluate(f, inputs);
    element.fill_(value - eps);
    const std::vector<Tensor> below = evaluate(f, inputs);
    element.fill_(value);
    for (size_t o = 0; o < outputs.size(); ++o) {
      const double* high = above[o].data_ptr<double>();
      const double* low = below[o].data_ptr<double>();
      double* column = jacobians[o].data_ptr<double>() + j;
      for (int64_t i = 0; i < outputs[o].numel(); ++i)
        column[i * x.numel()] = (high[i] - low[i]) / (2 * eps);
    }
  }
  return jacobians;
}

Tensor analytic_jacobian(const Tensor& output, const Tensor& x) {
  const Tensor jacobian = zeros({output.numel(), x.numel()}, kDouble);
  for (int64_t i = 0; i < output.numel(); ++i) {
    const Tensor one = zeros(output.sizes(), output.options());
    element_at(one, place_of(i, output.sizes())).fill_(1);
    const Tensor g =
        autograd::grad({output}, {x}, {one}, /*retain_graph=*/true, /*create_graph=*/false,
                       /*allow_unused=*/true)[0];
    if (g.defined()) jacobian.select(0, i).copy_(g.detach().reshape({-1}));
  }
  return jacobian;
}

// A description of the worst mismatch, or an empty string.
std::string compare(const Tensor& analytic, const Tensor& numeric, const Tensor& output,
                    size_t output_nr, const Tensor& x, size_t input_nr,
                    const GradcheckOptions& options) {
  double worst = 0;
  int64_t at = -1;
  const double* a = analytic.data_ptr<double>();
  const double* n = numeric.data_ptr<double>();
  for (int64_t i = 0; i < analytic.numel(); ++i) {
    const double excess = std::abs(a[i] - n[i]) - (options.atol + options.rtol * std::abs(n[i]));
    if (excess <= 0 || (at >= 0 && excess <= worst)) continue;
    worst = excess;
    at = i;
    if (std::isnan(excess)) break;
  }
  if (at < 0) return "";
  return str("[gradcheck] Jacobian mismatch for output ", output_nr, " with respect to input ",
             input_nr, ": d output", IntArrayRef(place_of(at / x.numel(), output.sizes())),
             " / d input", IntArrayRef(place_of(at % x.numel(), x.sizes())), " is ", a[at],
             " by backward() but ", n[at], " numerically; they differ by ", std::abs(a[at] - n[at]),
             ", ", options.atol + options.rtol * std::abs(n[at]), " is allowed");
}

Function as_list(const TensorFunction& f) {
  return [f](const std::vector<Tensor>& inputs) { return std::vector<Tensor>{f(inputs)}; };
}

double distance(double a, double b) { return std::abs(a - b); }
// Exact where the values themselves do not fit in a double.
double distance(int64_t a, int64_t b) {
  return static_cast<double>(a > b ? static_cast<uint64_t>(a) - static_cast<uint64_t>(b)
                                   : static_cast<uint64_t>(b) - static_cast<uint64_t>(a));
}

std::pair<double, double> default_tolerances(ScalarType dtype) {
  switch (dtype) {
    case kFloat:
      return {1.3e-6, 1e-5};
    case kDouble:
      return {1e-7, 1e-7};
    case kHalf:
      return {1e-3, 1e-5};
    case kBFloat16:
      return {1.6e-2, 1e-5};
    default:
      return {0, 0};
  }
}

}  // namespace

bool gradcheck(const Function& f, const std::vector<Tensor>& inputs,
               const GradcheckOptions& options) {
  const AutoGradMode enabled(true);
  check_inputs(inputs);
  const std::vector<Tensor> outputs = differentiable(f(inputs));
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined() || !inputs[i].requires_grad()) continue;
    const std::vector<Tensor> numeric = numeric_jacobians(f, inputs, i, outputs, options.eps);
    for (size_t o = 0; o < outputs.size(); ++o) {
      const Tensor analytic = analytic_jacobian(outputs[o], inputs[i]);
      const std::string mismatch =
          compare(analytic, numeric[o], outputs[o], o, inputs[i], i, options);
      if (mismatch.empty()) continue;
      if (options.raise_exception) throw Error(mismatch);
      return false;
    }
  }
  return true;
}

bool gradcheck(const TensorFunction& f, const std::vector<Tensor>& inputs,
               const GradcheckOptions& options) {
  return gradcheck(as_list(f), inputs, options);
}

bool gradgradcheck(const Function& f, const std::vector<Tensor>& inputs,
                   const std::vector<Tensor>& grad_outputs, const GradcheckOptions& options) {
  const AutoGradMode enabled(true);
  check_inputs(inputs);
  std::vector<Tensor> all = inputs;
  if (grad_outputs.empty()) {
    Generator generator(0);
    for (const Tensor& o : differentiable(f(inputs))) {
      all.push_back(
          randn(o.sizes(), o.is_cpu() ? &generator : nullptr, o.options().requires_grad(true)));
    }
  } else {
    all.insert(all.end(), grad_outputs.begin(), grad_outputs.end());
  }
  const size_t count = inputs.size();
  const Function backward = [&f, count](const std::vector<Tensor>& values) {
    const std::vector<Tensor> x(values.begin(),
                                values.begin() + static_cast<std::ptrdiff_t>(count));
    const std::vector<Tensor> grads(values.begin() + static_cast<std::ptrdiff_t>(count),
                                    values.end());
    std::vector<Tensor> wanted;
    for (const Tensor& t : x) {
      if (t.defined() && t.requires_grad()) wanted.push_back(t);
    }
    std::vector<Tensor> result =
        autograd::grad(differentiable(f(x)), wanted, grads, /*retain_graph=*/true,
                       /*create_graph=*/true, /*allow_unused=*/true);
    // Each result stays an output, so that the numbering does not depend on the values.
    for (size_t i = 0; i < result.size(); ++i) {
      if (!result[i].defined()) result[i] = zeros_like(wanted[i]);
    }
    return result;
  };
  return gradcheck(backward, all, options);
}

bool gradgradcheck(const TensorFunction& f, const std::vector<Tensor>& inputs,
                   const std::vector<Tensor>& grad_outputs, const GradcheckOptions& options) {
  return gradgradcheck(as_list(f), inputs, grad_outputs, options);
}

void assert_close(const Tensor& actual, const Tensor& expected, std::optional<double> rtol,
                  std::optional<double> atol, bool equal_nan) {
  const auto differ = [](const char* what, const auto& a, const auto& b) {
    throw Error(
        str("[assert_close] the values for ", what, " do not match: ", a, " and expected ", b));
  };
  if (actual.dtype() != expected.dtype()) differ("dtype", actual.dtype(), expected.dtype());
  if (actual.device() != expected.device()) differ("device", actual.device(), expected.device());
  if (!actual.sizes().equals(expected.sizes())) differ("shape", actual.sizes(), expected.sizes());

  const auto [default_rtol, default_atol] = default_tolerances(actual.dtype());
  const double relative = rtol.value_or(default_rtol), absolute = atol.value_or(default_atol);
  int64_t mismatched = 0, worst = -1;
  double worst_excess = 0;
  std::string worst_values;
  const auto search = [&]<class T>(T) {
    const Tensor a = actual.detach().to(kCPU, ScalarTypeOf<T>).contiguous();
    const Tensor e = expected.detach().to(kCPU, ScalarTypeOf<T>).contiguous();
    for (int64_t i = 0; i < a.numel(); ++i) {
      const T x = a.data_ptr<T>()[i], y = e.data_ptr<T>()[i];
      if (x == y || (equal_nan && x != x && y != y)) continue;
      const double difference = distance(x, y), magnitude = std::abs(static_cast<double>(y));
      const double allowed = absolute + relative * magnitude;
      if (difference <= allowed && std::isfinite(magnitude)) continue;
      ++mismatched;
      const double excess = std::isnan(difference) ? INFINITY : difference - allowed;
      if (worst >= 0 && !(excess > worst_excess)) continue;
      worst = i;
      worst_excess = excess;
      std::ostringstream text;
      text.precision(17);
      text << x << ", expected " << y << " (difference " << difference << ", " << allowed
           << " is allowed)";
      worst_values = text.str();
    }
  };
  if (compute_type(actual.dtype()) == kLong)
    search(int64_t{});
  else
    search(double{});
  if (mismatched == 0) return;
  throw Error(str("[assert_close] ", mismatched, " of ", actual.numel(), " elements of ",
                  actual.toString(), " ", actual.sizes(), " are not close; the worst, at ",
                  IntArrayRef(place_of(worst, actual.sizes())), ", is ", worst_values));
}

}  // namespace tarn::testing
