// Learning rate schedules: call step() after each epoch (or each optimizer step). Source:
// https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate. Numbers are those of
// Python's PyTorch, step by step; libtorch's StepLR starts one step late.
#pragma once

#include "tarn/nn/optim/optimizer.h"

namespace tarn::optim {

// The optimizer must outlive its scheduler. A schedule starts from the learning rates the groups
// have when it is made.
class LRScheduler {
 public:
  explicit LRScheduler(Optimizer& optimizer);
  virtual ~LRScheduler() = default;

  // Sets the groups' next learning rates.
  void step();
  // The learning rates set last, one a group.
  const std::vector<double>& get_last_lr() const { return last_lr_; }

  // In PyTorch's layout. The rates themselves are in the optimizer's state: save and load both.
  Value state_dict() const;
  // Throws if the number of groups differs; then nothing has changed.
  void load_state_dict(const Value& state_dict);

 protected:
  // The learning rates after `epoch()` steps, one a group.
  virtual std::vector<double> get_lrs() = 0;
  // Names the settings of the schedule.
  virtual void visit(OptionFields& fields) = 0;
  std::vector<double> get_current_lrs() const;
  const std::vector<double>& base_lrs() const { return base_lrs_; }
  // Steps made, at least 1 inside get_lrs().
  int64_t epoch() const { return last_epoch_; }

 private:
  void visit_all(OptionFields& fields);

  Optimizer& optimizer_;
  std::vector<double> base_lrs_, last_lr_;
  int64_t last_epoch_ = 0;
  int64_t step_count_ = 1;
};

// Multiplies by gamma every step_size steps.
class StepLR : public LRScheduler {
 public:
  StepLR(Optimizer& optimizer, int64_t step_size, double gamma = 0.1);

 protected:
  std::vector<double> get_lrs() override;
  void visit(OptionFields& fields) override;

 private:
  int64_t step_size_;
  double gamma_;
};

// Half a cosine from the initial learning rate down to eta_min in T_max steps, then back up, and so
// on (Loshchilov and Hutter, 2017, without restarts).
class CosineAnnealingLR : public LRScheduler {
 public:
  CosineAnnealingLR(Optimizer& optimizer, int64_t T_max, double eta_min = 0);

 protected:
  std::vector<double> get_lrs() override;
  void visit(OptionFields& fields) override;

 private:
  int64_t t_max_;
  double eta_min_;
};

}  // namespace tarn::optim
