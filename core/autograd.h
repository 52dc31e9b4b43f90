// Automatic differentiation: backward(), grad(), and operations of your own.
//
// Source: https://pytorch.org/docs/stable/autograd.html. Names are libtorch's; tarn::autograd holds
// them under their libtorch namespace as well.
#pragma once

#include <any>
#include <map>

#include "tarn/core/node.h"

namespace tarn::autograd {

using tarn::AutoGradMode;
using tarn::Edge;
using tarn::GradMode;
using tarn::Node;
using Variable = Tensor;
using variable_list = std::vector<Tensor>;
using tensor_list = std::vector<Tensor>;

// Adds to the grad() of every leaf the gradient of sum_i <tensors[i], grad_tensors[i]>. A missing
// or undefined grad_tensors[i] stands for 1 and needs a one-element tensor. The graph is freed
// unless retain_graph (default: create_graph); create_graph records the backward pass itself, for
// higher derivatives. `inputs` limits where gradients are accumulated.
void backward(const variable_list& tensors, const variable_list& grad_tensors = {},
              std::optional<bool> retain_graph = std::nullopt, bool create_graph = false,
              const variable_list& inputs = {});

// The same gradients with respect to `inputs` (leaves or not), returned instead of accumulated. An
// input the outputs do not depend on is an error unless allow_unused, then undefined.
variable_list grad(const variable_list& outputs, const variable_list& inputs,
                   const variable_list& grad_outputs = {},
                   std::optional<bool> retain_graph = std::nullopt, bool create_graph = false,
                   bool allow_unused = false);

// While one lives, operations remember where they were called, and a backward step that fails warns
// with that place. With check_nan, a step that produces NaN fails. Slow: for debugging.
class DetectAnomalyGuard {
 public:
  explicit DetectAnomalyGuard(bool check_nan = true);
  ~DetectAnomalyGuard();
  DetectAnomalyGuard(const DetectAnomalyGuard&) = delete;
  DetectAnomalyGuard& operator=(const DetectAnomalyGuard&) = delete;
  static bool is_enabled() { return mode_ != Mode::kOff; }
  static bool should_check_nan() { return mode_ == Mode::kCheckNan; }

 private:
  enum class Mode : int8_t { kOff, kTrace, kCheckNan };
  static constinit thread_local Mode mode_;
  Mode previous_;
};

// The calls on the stack, a line each, then those of the backward step that is running, if any.
std::string forward_trace();
// Runs node's backward step as anomaly mode asks for.
void apply_watched(Node& node, TensorList grads, Tensor* results);

}  // namespace tarn::autograd
