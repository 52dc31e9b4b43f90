// Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, 2019). Sources:
// https://pytorch.org/docs/stable/generated/torch.optim.Adam.html, .../torch.optim.AdamW.html
#pragma once

#include <tuple>

#include "tarn/nn/optim/optimizer.h"

namespace tarn::optim {

// The settings of both; Self is the options class of one of them.
template <class Self>
class AdamOptionsOf : public OptimizerCloneableOptions<Self> {
 public:
  using betas_t = std::tuple<double, double>;

  double& lr() { return step_.lr; }
  double lr() const { return step_.lr; }
  Self& lr(double value) { return step_.lr = value, self(); }
  // How much of the averages of gradients and of their squares a step keeps.
  betas_t betas() const { return {step_.beta1, step_.beta2}; }
  Self& betas(const betas_t& value) { return std::tie(step_.beta1, step_.beta2) = value, self(); }
  double& eps() { return step_.eps; }
  double eps() const { return step_.eps; }
  Self& eps(double value) { return step_.eps = value, self(); }
  double& weight_decay() { return step_.weight_decay; }
  double weight_decay() const { return step_.weight_decay; }
  Self& weight_decay(double value) { return step_.weight_decay = value, self(); }
  // Divides by the largest average of squares so far.
  bool& amsgrad() { return step_.amsgrad; }
  bool amsgrad() const { return step_.amsgrad; }
  Self& amsgrad(bool value) { return step_.amsgrad = value, self(); }
  // Climbs instead of descending.
  bool& maximize() { return step_.maximize; }
  bool maximize() const { return step_.maximize; }
  Self& maximize(bool value) { return step_.maximize = value, self(); }

  const AdamStep& kernel_settings() const { return step_; }
  double get_lr() const override { return lr(); }
  void set_lr(double value) override { lr(value); }
  void visit(OptionFields& fields) override;
  void check() const override;

 protected:
  AdamOptionsOf(double lr, double weight_decay, bool decoupled)
      : step_{lr, 0.9, 0.999, 1e-8, weight_decay, false, false, decoupled} {}

 private:
  Self& self() { return static_cast<Self&>(*this); }
  AdamStep step_;
};

// weight_decay adds to the gradient.
struct AdamOptions : AdamOptionsOf<AdamOptions> {
  AdamOptions(double lr = 1e-3) : AdamOptionsOf(lr, 0, false) {}  // NOLINT
};
// weight_decay shrinks the parameter.
struct AdamWOptions : AdamOptionsOf<AdamWOptions> {
  AdamWOptions(double lr = 1e-3) : AdamOptionsOf(lr, 0.01, true) {}  // NOLINT
};

struct AdamParamState : OptimizerParamState {
  int64_t step() const { return static_cast<int64_t>(step_); }
  Tensor& exp_avg() { return buffers_[0]; }
  Tensor& exp_avg_sq() { return buffers_[1]; }
  Tensor& max_exp_avg_sq() { return buffers_[2]; }
};
using AdamWParamState = AdamParamState;

template <class Options>
class AdamOf : public Optimizer {
 public:
  explicit AdamOf(const std::vector<OptimizerParamGroup>& groups, const Options& defaults = {})
      : Optimizer(groups, defaults.clone()) {}
  explicit AdamOf(std::vector<Tensor> params, const Options& defaults = {})
      : AdamOf(std::vector<OptimizerParamGroup>{std::move(params)}, defaults) {}

 protected:
  StateLayout layout() const override {
    return {true, 2, {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"}};
  }
  std::shared_ptr<OptimizerParamState> make_state() const override {
    return std::make_shared<AdamParamState>();
  }
  bool uses_buffer(const OptimizerOptions& options, int i) const override {
    return i < 2 || settings(options).amsgrad;
  }
  void update(const KernelTable& table, const OptimizerOptions& options, const OptimTensor* tensors,
              int64_t count) const override {
    if (!table.adam_step) missing_kernel("adam_step", table);
    table.adam_step(settings(options), tensors, count);
  }

 private:
  static const AdamStep& settings(const OptimizerOptions& options) {
    return static_cast<const Options&>(options).kernel_settings();
  }
};

class Adam : public AdamOf<AdamOptions> {
 public:
  using AdamOf::AdamOf;
};
class AdamW : public AdamOf<AdamWOptions> {
 public:
  using AdamOf::AdamOf;
};

}  // namespace tarn::optim
