#include "tarn/nn/optim/lr_scheduler.h"

#include <cmath>
#include <numbers>

namespace tarn::optim {
namespace {

std::vector<double> to_doubles(const Value& list, size_t expected) {
  std::vector<double> numbers;
  for (const Value& v : list) numbers.push_back(v.to_double());
  if (numbers.size() != expected) {
    throw ValueError(str("[load_state_dict] the schedule is for ", numbers.size(),
                         " parameter groups, the optimizer has ", expected));
  }
  return numbers;
}

}  // namespace

LRScheduler::LRScheduler(Optimizer& optimizer) : optimizer_(optimizer) {
  for (OptimizerParamGroup& group : optimizer.param_groups()) {
    if (!group.initial_lr()) group.set_initial_lr(group.options().get_lr());
    base_lrs_.push_back(*group.initial_lr());
  }
  last_lr_ = get_current_lrs();
}

std::vector<double> LRScheduler::get_current_lrs() const {
  std::vector<double> lrs;
  for (const OptimizerParamGroup& group : optimizer_.param_groups())
    lrs.push_back(group.options().get_lr());
  return lrs;
}

void LRScheduler::step() {
  const size_t groups = optimizer_.param_groups().size();
  if (groups != base_lrs_.size()) {
    throw ValueError(str("[lr_scheduler] the optimizer has ", groups, " parameter groups, and had ",
                         base_lrs_.size(), " when the scheduler was made"));
  }
  ++step_count_;
  ++last_epoch_;
  last_lr_ = get_lrs();
  for (size_t i = 0; i < groups; ++i) optimizer_.param_groups()[i].options().set_lr(last_lr_[i]);
}

void LRScheduler::visit_all(OptionFields& fields) {
  visit(fields);
  fields("last_epoch", last_epoch_);
  fields("_step_count", step_count_);
}

Value LRScheduler::state_dict() const {
  Value state = Value::dict();
  OptionFields fields = OptionFields::writer(state);
  const_cast<LRScheduler*>(this)->visit_all(fields);
  fields.constant("_is_initial", false);
  fields.constant("_get_lr_called_within_step", false);
  state.set("base_lrs", base_lrs_);
  state.set("_last_lr", last_lr_);
  return state;
}

void LRScheduler::load_state_dict(const Value& state_dict) {
  std::vector<double> base = to_doubles(state_dict.at("base_lrs"), base_lrs_.size());
  std::vector<double> last = to_doubles(state_dict.at("_last_lr"), base_lrs_.size());
  OptionFields fields = OptionFields::reader(state_dict);
  visit_all(fields);
  base_lrs_ = std::move(base);
  last_lr_ = std::move(last);
}

StepLR::StepLR(Optimizer& optimizer, int64_t step_size, double gamma)
    : LRScheduler(optimizer), step_size_(step_size), gamma_(gamma) {
  if (step_size <= 0) throw ValueError(str("[StepLR] step_size must be positive, got ", step_size));
}

std::vector<double> StepLR::get_lrs() {
  std::vector<double> lrs = get_current_lrs();
  if (epoch() % step_size_ != 0) return lrs;
  for (double& lr : lrs) lr *= gamma_;
  return lrs;
}

void StepLR::visit(OptionFields& fields) {
  fields("step_size", step_size_);
  fields("gamma", gamma_);
}

CosineAnnealingLR::CosineAnnealingLR(Optimizer& optimizer, int64_t T_max, double eta_min)
    : LRScheduler(optimizer), t_max_(T_max), eta_min_(eta_min) {
  if (T_max <= 0) throw ValueError(str("[CosineAnnealingLR] T_max must be positive, got ", T_max));
}

// From the current rate, as PyTorch does, so that changes made by others stay.
std::vector<double> CosineAnnealingLR::get_lrs() {
  std::vector<double> lrs = get_current_lrs();
  const double pi = std::numbers::pi, period = static_cast<double>(t_max_),
               now = static_cast<double>(epoch());
  for (size_t i = 0; i < lrs.size(); ++i) {
    if ((epoch() - 1 - t_max_) % (2 * t_max_) ==
        0) {  // at the minimum, where the ratio below is 0 / 0
      lrs[i] += (base_lrs()[i] - eta_min_) * (1 - std::cos(pi / period)) / 2;
    } else {
      lrs[i] = (1 + std::cos(pi * now / period)) / (1 + std::cos(pi * (now - 1) / period)) *
                   (lrs[i] - eta_min_) +
               eta_min_;
    }
  }
  return lrs;
}

void CosineAnnealingLR::visit(OptionFields& fields) {
  fields("T_max", t_max_);
  fields("eta_min", eta_min_);
}

}  // namespace tarn::optim
