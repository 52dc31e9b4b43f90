#include "tarn/core/custom_function.h"

#include <algorithm>

#include "tarn/core/factories.h"

namespace tarn::autograd {

variable_list AutogradContext::get_saved_variables() const {
  TARN_CHECK(node_, "get_saved_variables: there is no forward to have saved any");
  return static_cast<CustomNode*>(node_)->unpack_saved();
}

void AutogradContext::mark_dirty(const variable_list& inputs) {
  for (const Tensor& t : inputs) dirty_.insert(t.unsafeGetTensorImpl());
}

void AutogradContext::mark_non_differentiable(const variable_list& outputs) {
  for (const Tensor& t : outputs) non_differentiable_.insert(t.unsafeGetTensorImpl());
}

bool AutogradContext::needs_input_grad(size_t i) const {
  return static_cast<const CustomNode*>(node_)->input_wants_gradient(i);
}

bool AutogradContext::needs_input_grad(std::initializer_list<IndexRange> ranges) const {
  return std::any_of(ranges.begin(), ranges.end(), [&](const IndexRange& range) {
    for (size_t i = range.first; i < range.second; ++i) {
      if (needs_input_grad(i)) return true;
    }
    return false;
  });
}

std::string CustomNode::name() const {
  return str("CppNode<", tarn::detail::demangled(function_), ">");
}

variable_list CustomNode::unpack_saved() {
  variable_list tensors;
  for (size_t i = 0; i < saved_.size(); ++i) tensors.push_back(saved(i));
  check_not_released();
  return tensors;
}

void CustomNode::finish(variable_list& outputs, const variable_list& inputs,
                        std::vector<bool> is_tensor, bool recorded) {
  is_tensor_ = std::move(is_tensor);
  const IntrusivePtr<Node> self = IntrusivePtr<Node>::share(this);
  for (Tensor& out : outputs) {
    TensorImpl* const impl = out.unsafeGetTensorImpl();
    if (!impl) continue;
    const bool is_input =
        std::any_of(inputs.begin(), inputs.end(), [&](const Tensor& t) { return t.is_same(out); });
    const bool dirty = context.dirty_.contains(impl);
    if (dirty) {
      if (recorded) check_inplace(name().c_str(), out, true);
      inplace_history(out, nullptr);
    } else if (is_input) {
      // The input itself must keep its own history.
      out = alias(out, out.sizes(), out.strides(), out.storage_offset(), false);
    }
    if (recorded && out.is_floating_point() && !context.non_differentiable_.contains(impl)) {
      set_history(out, self);
    } else {
      add_output(out.impl());
    }
  }
  if (recorded) {
    for (const Tensor& t : context.to_save_) {
      const bool is_output =
          t.defined() && std::any_of(outputs.begin(), outputs.end(),
                                     [&](const Tensor& o) { return o.is_same(t); });
      save(is_output ? SavedTensor::output(t) : SavedTensor::input(t));
    }
  }
  context.to_save_.clear();
}

void CustomNode::apply(TensorList grads, Tensor* results) {
  variable_list given = grads.vec();
  if (context.materialize_grads_) {
    for (size_t i = 0; i < given.size(); ++i) {
      const OutputMeta& like = output(i);
      if (!given[i].defined())
        given[i] = zeros(like.sizes, TensorOptions(like.dtype).device(like.device));
    }
  }
  variable_list computed = backward_(&context, std::move(given));
  // Trailing undefined gradients may stand for nothing.
  while (computed.size() > is_tensor_.size() && !computed.back().defined()) computed.pop_back();
  TARN_CHECK(computed.size() == is_tensor_.size(), "function ", name(),
             " returned an incorrect number of gradients (expected ", is_tensor_.size(), ", got ",
             computed.size(), ")");
  size_t edge = 0;
  for (size_t i = 0; i < is_tensor_.size(); ++i) {
    if (is_tensor_[i]) {
      results[edge++] = std::move(computed[i]);
    } else {
      TARN_CHECK(!computed[i].defined(), "function ", name(),
                 " returned a gradient different from None at position ", i + 1,
                 ", but the corresponding forward input was not a Variable");
    }
  }
}

}  // namespace tarn::autograd
