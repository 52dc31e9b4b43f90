// The state of optimizers and their options as PyTorch lays it out.
#include "tarn/core/factories.h"
#include "tarn/core/grad_mode.h"
#include "tarn/nn/optim/optimizer.h"

namespace tarn::optim {

const Value* OptionFields::find(const char* key, std::initializer_list<double> values) const {
  if (untouched_) {
    const Value& old = untouched_->at(key);
    size_t i = 0;
    for (const double value : values) {
      const Value& element = old.is_tuple() ? old.elements()[i++] : old;
      if ((element.is_bool() ? element.to_bool() : element.to_double()) != value) return nullptr;
    }
  }
  return from_ ? from_->find(key) : nullptr;
}

void OptionFields::operator()(const char* key, double& field) {
  if (to_) to_->set(key, field);
  // PyTorch's learning rate may be a tensor.
  if (const Value* v = find(key, {field}))
    field = v->is_tensor() ? v->to_tensor().item<double>() : v->to_double();
}

void OptionFields::operator()(const char* key, bool& field) {
  if (to_) to_->set(key, field);
  if (const Value* v = find(key, {static_cast<double>(field)})) field = v->to_bool();
}

void OptionFields::operator()(const char* key, int64_t& field) {
  if (to_) to_->set(key, field);
  if (const Value* v = find(key, {static_cast<double>(field)})) field = v->to_int();
}

void OptionFields::operator()(const char* key, double& first, double& second) {
  if (to_) to_->set(key, Value::tuple({first, second}));
  if (const Value* v = find(key, {first, second})) {
    if (v->size() != 2)
      throw ValueError(str("[load_state_dict] '", key, "' must have 2 elements, got ", v->size()));
    first = v->elements()[0].to_double();
    second = v->elements()[1].to_double();
  }
}

void OptionFields::constant(const char* key, Value value) {
  if (to_) to_->set(key, std::move(value));
}

void Optimizer::inherit_defaults(OptimizerOptions& options) const {
  const std::unique_ptr<OptimizerOptions> untouched = options.untouched();
  if (!untouched) return;
  Value old = Value::dict(), defaults = Value::dict();
  OptionFields write_old = OptionFields::writer(old), write = OptionFields::writer(defaults);
  untouched->visit(write_old);
  defaults_->visit(write);
  OptionFields fill = OptionFields::filler(defaults, old);
  options.visit(fill);
}

Value Optimizer::state_dict() const {
  const StateLayout names = layout();
  Value groups = Value::list(), states = Value::dict();
  int64_t number = 0;
  for (const OptimizerParamGroup& group : groups_) {
    Value entry = Value::dict(), numbers = Value::list();
    OptionFields fields = OptionFields::writer(entry);
    group.options().visit(fields);
    if (group.initial_lr()) entry.set("initial_lr", *group.initial_lr());
    for (const Tensor& p : group.params()) {
      if (const auto found = states_.find(p.unsafeGetTensorImpl()); found != states_.end()) {
        const OptimizerParamState& state = *found->second;
        Value values = Value::dict();
        if (names.has_step) values.set("step", scalar_tensor(state.step_, kFloat));
        for (int i = 0; i < OptimizerParamState::kMaxBuffers; ++i) {
          if (state.buffers_[i].defined()) values.set(names.names[i], state.buffers_[i]);
        }
        if (values.size() > 0) states.set(number, std::move(values));
      }
      numbers.push_back(number++);
    }
    entry.set("params", std::move(numbers));
    groups.push_back(std::move(entry));
  }
  return Value::dict({{"state", std::move(states)}, {"param_groups", std::move(groups)}});
}

void Optimizer::load_state_dict(const Value& state_dict) {
  const Value& groups = state_dict.at("param_groups");
  const Value& saved = state_dict.at("state");
  if (groups.size() != groups_.size()) {
    throw ValueError(
        str("[load_state_dict] loaded state dict has a different number of parameter groups: ",
            groups.size(), ", the optimizer has ", groups_.size()));
  }
  std::vector<OptimizerParamGroup> new_groups = groups_;
  States new_states;
  for (size_t g = 0; g < new_groups.size(); ++g) {
    OptimizerParamGroup& group = new_groups[g];
    const Value& entry = groups.elements()[g];
    const auto& numbers = entry.at("params").elements();
    if (numbers.size() != group.params().size()) {
      throw ValueError(
          str("[load_state_dict] loaded state dict contains a parameter group that doesn't match "
              "the size of optimizer's "
              "group: group ",
              g, " has ", numbers.size(), " parameters, the optimizer's ", group.params().size()));
    }
    entry.at("lr");
    OptionFields fields = OptionFields::reader(entry);
    group.options().visit(fields);
    group.options().check();
    if (const Value* lr = entry.find("initial_lr")) group.set_initial_lr(lr->to_double());
    for (size_t i = 0; i < numbers.size(); ++i) {
      const Tensor& p = group.params()[i];
      if (const Value* state = saved.find(numbers[i]))
        new_states[p.unsafeGetTensorImpl()] = read_state(*state, p);
    }
  }
  groups_ = std::move(new_groups);
  states_ = std::move(new_states);
  slots_.clear();
}

std::shared_ptr<OptimizerParamState> Optimizer::read_state(const Value& saved,
                                                           const Tensor& param) const {
  const StateLayout names = layout();
  std::shared_ptr<OptimizerParamState> state = make_state();
  const auto wrong = [](const std::string& what) {
    throw ValueError("[load_state_dict] " + what +
                     ". HINT: is this the state of another kind of optimizer?");
  };
  for (const auto& [key, value] : saved.entries()) {
    const std::string& name = key.to_string();
    if (value.is_none()) continue;
    if (names.has_step && name == "step") {
      state->step_ = value.is_tensor() ? value.to_tensor().item<double>() : value.to_double();
      continue;
    }
    int i = 0;
    while (i < OptimizerParamState::kMaxBuffers && !(names.names[i] && name == names.names[i])) ++i;
    if (i == OptimizerParamState::kMaxBuffers) wrong("unknown state '" + name + "'");
    const Tensor& t = value.to_tensor();
    if (!(t.sizes() == param.sizes())) {
      throw ShapeError(str("[load_state_dict] '", name, "' has sizes ", t.sizes(),
                           ", its parameter ", param.sizes()));
    }
    state->buffers_[i] =
        t.detach()
            .to(param.device(), param.dtype(), /*non_blocking=*/false, /*copy=*/true)
            .contiguous();
  }
  if (names.has_step && !saved.contains("step")) wrong("there is no state 'step'");
  for (int i = 0; i < names.required; ++i) {
    if (!state->buffers_[i].defined()) wrong(str("there is no state '", names.names[i], "'"));
  }
  return state;
}

}  // namespace tarn::optim
