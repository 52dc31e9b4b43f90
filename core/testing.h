// Checks for tests of your own operations and layers. Sources:
// https://pytorch.org/docs/stable/testing.html and
// https://pytorch.org/docs/stable/notes/gradcheck.html.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "tarn/core/ops.h"

namespace tarn::testing {

using Function = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;
using TensorFunction = std::function<Tensor(const std::vector<Tensor>&)>;

struct GradcheckOptions {
  double eps = 1e-6;   // step of the numeric derivative
  double atol = 1e-5;  // the two may differ by atol + rtol * |numeric|
  double rtol = 1e-3;
  bool raise_exception = true;  // a mismatch throws Error; false: it returns false
};

// Compares, element by element, the derivatives that backward() gives with central differences, for
// every output that requires gradients and every input that does. Inputs must be float64 and have
// one address an element, f must give the same result each time, and its derivatives should not
// jump within eps of the inputs. Throws ValueError if these are not met.
bool gradcheck(const Function& f, const std::vector<Tensor>& inputs,
               const GradcheckOptions& options = {});
bool gradcheck(const TensorFunction& f, const std::vector<Tensor>& inputs,
               const GradcheckOptions& options = {});

// The same for second derivatives: gradcheck of f's backward pass, as a function of the inputs and
// of the gradients of f's outputs. These are random unless given, one for each output that requires
// gradients.
bool gradgradcheck(const Function& f, const std::vector<Tensor>& inputs,
                   const std::vector<Tensor>& grad_outputs = {},
                   const GradcheckOptions& options = {});
bool gradgradcheck(const TensorFunction& f, const std::vector<Tensor>& inputs,
                   const std::vector<Tensor>& grad_outputs = {},
                   const GradcheckOptions& options = {});

// Throws Error, naming the worst element and its place, unless dtype, device and shape agree and
// |actual - expected| <= atol + rtol * |expected| everywhere. Equal infinities are close; NaN is
// close to NaN only if equal_nan. Tolerances left out depend on the dtype, as in
// torch.testing.assert_close: float32 1.3e-6 and 1e-5, float64 1e-7 and 1e-7, float16 1e-3 and
// 1e-5, bfloat16 1.6e-2 and 1e-5, others 0.
void assert_close(const Tensor& actual, const Tensor& expected,
                  std::optional<double> rtol = std::nullopt,
                  std::optional<double> atol = std::nullopt, bool equal_nan = false);

}  // namespace tarn::testing
