// Operations of your own with a backward of your own.
//
//   struct Scale : autograd::Function<Scale> {
//     static Tensor forward(AutogradContext* ctx, Tensor x, double factor) {
//       ctx->saved_data["factor"] = factor;
//       return x * factor;
//     }
//     static variable_list backward(AutogradContext* ctx, variable_list grads) {
//       // One gradient for each argument of forward.
//       return {grads[0] * ctx->saved_data["factor"].to_double(), Tensor()};
//     }
//   };
//   Tensor y = Scale::apply(x, 2.0);
//
// Source: https://pytorch.org/tutorials/advanced/cpp_autograd.html
#pragma once

#include <map>
#include <typeinfo>
#include <unordered_set>

#include "tarn/core/autograd.h"
#include "tarn/core/value.h"

namespace tarn::autograd {

// A range of arguments [first, second).
using IndexRange = std::pair<size_t, size_t>;

// Links a forward to its backward.
class AutogradContext {
 public:
  // Values for backward that are not tensors of the graph.
  std::map<std::string, Value> saved_data;

  // Tensors for backward; only inputs and outputs of the function belong here.
  void save_for_backward(variable_list tensors) { to_save_ = std::move(tensors); }
  // In backward: what was saved. Throws if one was changed in place since, or freed.
  variable_list get_saved_variables() const;
  // In forward: inputs that it changed in place; they must be returned.
  void mark_dirty(const variable_list& inputs);
  // In forward: outputs that get no gradient.
  void mark_non_differentiable(const variable_list& outputs);
  // Off: gradients that did not arrive stay undefined instead of being zeros. On by default.
  void set_materialize_grads(bool value) { materialize_grads_ = value; }
  // In backward: whether the i-th tensor argument (or any of a range) wants a gradient.
  bool needs_input_grad(size_t i) const;
  bool needs_input_grad(std::initializer_list<IndexRange> ranges) const;

 private:
  friend class CustomNode;
  variable_list to_save_;
  std::unordered_set<TensorImpl*> dirty_, non_differentiable_;
  bool materialize_grads_ = true;
  Node* node_ = nullptr;
};

// The recorded form of a Function. Internal.
class CustomNode final : public Node {
 public:
  using BackwardFunction = variable_list (*)(AutogradContext*, variable_list);
  CustomNode(const std::type_info& function, BackwardFunction backward)
      : function_(function), backward_(backward) {
    context.node_ = this;
  }
  // "CppNode<Scale>"
  std::string name() const override;
  void apply(TensorList grads, Tensor* results) override;
  // Gives the outputs their history and saves what the context asks for. is_tensor: for each
  // argument of forward, whether it was a tensor.
  void finish(variable_list& outputs, const variable_list& inputs, std::vector<bool> is_tensor,
              bool recorded);
  variable_list unpack_saved();
  bool input_wants_gradient(size_t i) const { return i < edges_.size() && edges_[i].node; }

  AutogradContext context;

 private:
  const std::type_info& function_;
  BackwardFunction backward_;
  std::vector<bool> is_tensor_;
};

namespace detail {

inline void collect(variable_list& inputs, std::vector<bool>& is_tensor, const Tensor& t) {
  inputs.push_back(t);
  is_tensor.push_back(true);
}
inline void collect(variable_list& inputs, std::vector<bool>& is_tensor, TensorList list) {
  for (const Tensor& t : list) collect(inputs, is_tensor, t);
}
inline void collect(variable_list& inputs, std::vector<bool>& is_tensor,
                    const variable_list& list) {
  collect(inputs, is_tensor, TensorList(list));
}
template <class Other>
void collect(variable_list&, std::vector<bool>& is_tensor, const Other&) {
  is_tensor.push_back(false);
}

}  // namespace detail

// Derive as `struct Mine : Function<Mine>` with static forward and backward as above. forward
// returns a Tensor or a variable_list, and so does apply. backward gets one gradient an output and
// returns one an argument of forward, undefined for arguments that are not tensors.
template <class Derived>
struct Function {
  template <class... Args>
  static auto apply(Args&&... args) {
    auto node = IntrusivePtr<CustomNode>::adopt(
        new CustomNode(typeid(Derived), [](AutogradContext* context, variable_list grads) {
          return Derived::backward(context, std::move(grads));
        }));
    variable_list inputs;
    std::vector<bool> is_tensor;
    (detail::collect(inputs, is_tensor, args), ...);
    const bool recorded = needs_grad(inputs);
    if (recorded) {
      for (const Tensor& t : inputs) node->add_input(t);
    }
    auto result = [&] {
      const NoGradGuard guard;
      return Derived::forward(&node->context, std::forward<Args>(args)...);
    }();
    if constexpr (std::is_same_v<decltype(result), Tensor>) {
      variable_list outputs{std::move(result)};
      node->finish(outputs, inputs, std::move(is_tensor), recorded);
      return outputs[0];
    } else {
      variable_list outputs(std::move(result));
      node->finish(outputs, inputs, std::move(is_tensor), recorded);
      return outputs;
    }
  }
};

}  // namespace tarn::autograd
