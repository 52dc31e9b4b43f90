// Gradient bookkeeping of a tensor. Internal.
#pragma once

#include <mutex>

#include "tarn/core/node.h"

namespace tarn {

// Adds what reaches it to a leaf's grad. Owned by the leaf, which it knows without owning: a leaf
// that is gone has no gradient anyone could see.
class AccumulateGrad final : public Node {
 public:
  explicit AccumulateGrad(TensorImpl* leaf);
  std::string name() const override { return "AccumulateGrad"; }
  void apply(TensorList grads, Tensor* results) override;
  void release_saved() override {}
  void detach_leaf();
  // A handle on the leaf; undefined if it is gone.
  Tensor variable() const;

 private:
  mutable std::mutex mutex_;  // backward passes on several threads may share a leaf
  TensorImpl* leaf_;
};

struct GradState {
  Tensor grad;
  IntrusivePtr<Node> accumulator;  // an AccumulateGrad
  bool retains_grad = false;
  std::shared_ptr<GradState*> self;  // set when a hook has to find out whether this still exists
  void detach_accumulator() {
    if (accumulator) static_cast<AccumulateGrad&>(*accumulator).detach_leaf();
  }
};

inline GradState& grad_state(TensorImpl& t) {
  if (!t.grad_state) t.grad_state = std::make_unique<GradState>();
  return *t.grad_state;
}

}  // namespace tarn
