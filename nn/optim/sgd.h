// Stochastic gradient descent. Source:
// https://pytorch.org/docs/stable/generated/torch.optim.SGD.html
#pragma once

#include "tarn/nn/optim/optimizer.h"

namespace tarn::optim {

class SGDOptions : public OptimizerCloneableOptions<SGDOptions> {
 public:
  SGDOptions(double lr = 1e-3) : step_{lr, 0, 0, 0, false, false} {}  // NOLINT
  double& lr() { return step_.lr; }
  double lr() const { return step_.lr; }
  SGDOptions& lr(double value) { return step_.lr = value, *this; }
  double& momentum() { return step_.momentum; }
  double momentum() const { return step_.momentum; }
  SGDOptions& momentum(double value) { return step_.momentum = value, *this; }
  // The share of the gradient that does not enter the momentum.
  double& dampening() { return step_.dampening; }
  double dampening() const { return step_.dampening; }
  SGDOptions& dampening(double value) { return step_.dampening = value, *this; }
  double& weight_decay() { return step_.weight_decay; }
  double weight_decay() const { return step_.weight_decay; }
  SGDOptions& weight_decay(double value) { return step_.weight_decay = value, *this; }
  // Looks ahead; needs a momentum and no dampening.
  bool& nesterov() { return step_.nesterov; }
  bool nesterov() const { return step_.nesterov; }
  SGDOptions& nesterov(bool value) { return step_.nesterov = value, *this; }
  // Climbs instead of descending.
  bool& maximize() { return step_.maximize; }
  bool maximize() const { return step_.maximize; }
  SGDOptions& maximize(bool value) { return step_.maximize = value, *this; }

  double get_lr() const override { return lr(); }
  void set_lr(double value) override { lr(value); }
  void visit(OptionFields& fields) override;
  void check() const override;

 private:
  friend class SGD;
  SgdStep step_;
};

struct SGDParamState : OptimizerParamState {
  Tensor& momentum_buffer() { return buffers_[0]; }
};

class SGD : public Optimizer {
 public:
  SGD(const std::vector<OptimizerParamGroup>& groups, const SGDOptions& defaults)
      : Optimizer(groups, defaults.clone()) {}
  SGD(std::vector<Tensor> params, const SGDOptions& defaults)
      : SGD(std::vector<OptimizerParamGroup>{std::move(params)}, defaults) {}

 protected:
  StateLayout layout() const override { return {false, 0, {"momentum_buffer", nullptr, nullptr}}; }
  std::shared_ptr<OptimizerParamState> make_state() const override {
    return std::make_shared<SGDParamState>();
  }
  bool uses_buffer(const OptimizerOptions& options, int i) const override;
  void update(const KernelTable& table, const OptimizerOptions& options, const OptimTensor* tensors,
              int64_t count) const override;
};

}  // namespace tarn::optim
