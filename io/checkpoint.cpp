#include "tarn/io/checkpoint.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "tarn/core/random.h"
#include "tarn/device/cuda.h"

namespace tarn {
namespace {

[[noreturn]] void fail_in(const std::string& part, const std::string& what) {
  throw ValueError(str("[Checkpoint] '", part, "': ", what));
}

// --- The parameters of an optimizer, which its state_dict() numbers ------------------------------

// The names of parameters in a state with numbers: names[i], or i where that is empty.
Value to_names(const Value& state, const std::vector<std::string>& names) {
  const auto name_of = [&](const Value& number) -> Value {
    const std::string& name = names.at(static_cast<size_t>(number.to_int()));
    return name.empty() ? number : Value(name);
  };
  Value states = Value::dict(), groups = Value::list();
  for (const auto& [number, values] : state.at("state").entries())
    states.set(name_of(number), values);
  for (Value group : state.at("param_groups")) {
    Value params = Value::list();
    for (const Value& number : group.at("params")) params.push_back(name_of(number));
    group.set("params", std::move(params));
    groups.push_back(std::move(group));
  }
  return Value::dict({{"state", std::move(states)}, {"param_groups", std::move(groups)}});
}

// The numbers, in the order of the optimizer's own group `own`, of the parameters that a group of a
// state lists by name.
Value numbers_of(const Value& params, const Value& own, size_t group,
                 const std::vector<std::string>& names) {
  std::unordered_set<std::string> given;
  for (const Value& param : params) {
    if (param.is_string()) given.insert(param.to_string());
  }
  for (const Value& number : own) {
    const std::string& name = names.at(static_cast<size_t>(number.to_int()));
    if (!name.empty() && given.erase(name) == 0)
      throw ValueError(str("parameter group ", group, " has no '", name, "'"));
  }
  if (!given.empty()) {
    throw ValueError(
        str("the optimizer's parameter group ", group, " has no '", *given.begin(), "'"));
  }
  return own;
}

// The inverse of to_names(), for an optimizer whose own state is `own`: its order of parameters
// counts. Numbers that a file has instead of names stay as they are.
Value to_numbers(const Value& state, const Value& own, const std::vector<std::string>& names) {
  const auto& own_groups = own.at("param_groups").elements();
  Value states = Value::dict(), groups = Value::list();
  for (Value group : state.at("param_groups")) {
    Value params = group.at("params");
    const size_t g = groups.size();
    const bool named =
        g < own_groups.size() && std::any_of(params.begin(), params.end(),
                                             [](const Value& param) { return param.is_string(); });
    if (named) params = numbers_of(params, own_groups[g].at("params"), g, names);
    for (const Value& number : params) {
      const auto name_of = [&] { return names.at(static_cast<size_t>(number.to_int())); };
      const Value key = named && !name_of().empty() ? Value(name_of()) : number;
      if (const Value* values = state.at("state").find(key)) states.set(number, *values);
    }
    group.set("params", std::move(params));
    groups.push_back(std::move(group));
  }
  return Value::dict({{"state", std::move(states)}, {"param_groups", std::move(groups)}});
}

// --- Random number generators --------------------------------------------------------------------

Value rng_state() {
  Value state = Value::dict();
  for (const Device device : detail::devices_with_generators())
    state.set(device.str(), get_rng_state(device));
  return state;
}

void set_rng_states(const Value& state) {
  for (const auto& [name, bytes] : state.entries()) {
    const Device device(name.to_string());
    if (device.is_cpu() || device.ordinal() < cuda::device_count())
      set_rng_state(bytes.to_tensor(), device);
  }
}

// A copy that no later change of the object reaches.
Value deep_copy(const Value& value) {
  if (value.is_tensor()) return value.to_tensor().clone();
  if (!value.is_dict()) return value;
  Value copy = value;
  for (const auto& [key, element] : value.entries()) copy.set(key, deep_copy(element));
  return copy;
}

}  // namespace

Checkpoint& Checkpoint::add(Part part) {
  for (const char* reserved : {"rng", "step", "metadata", "metric"}) {
    if (part.name == reserved) fail_in(part.name, "the name is reserved");
  }
  for (const Part& other : parts_) {
    if (part.name == other.name) fail_in(part.name, "there is a part of this name");
  }
  parts_.push_back(std::move(part));
  return *this;
}

// By number. Where the optimizer's parameters are of several modules, the module's name leads.
std::vector<std::string> Checkpoint::parameter_names(const optim::Optimizer& optimizer) const {
  std::unordered_map<const void*, std::pair<const Part*, std::string>> known;
  for (const Part& part : parts_) {
    if (!part.module) continue;
    for (const auto& item : part.module().named_parameters())
      known.try_emplace(item.value().unsafeGetTensorImpl(), &part, item.key());
  }
  std::vector<std::pair<const Part*, std::string>> found;
  std::unordered_set<const Part*> owners;
  for (const auto& group : optimizer.param_groups()) {
    for (const Tensor& param : group.params()) {
      const auto at = known.find(param.unsafeGetTensorImpl());
      found.push_back(at == known.end() ? std::pair<const Part*, std::string>() : at->second);
      if (found.back().first) owners.insert(found.back().first);
    }
  }
  std::vector<std::string> names;
  for (auto& [owner, name] : found)
    names.push_back(owner && owners.size() > 1 ? owner->name + "." + name : std::move(name));
  return names;
}

Value Checkpoint::state_dict() const {
  Value state = Value::dict();
  for (const Part& part : parts_) {
    Value value = part.save();
    if (part.optimizer) value = to_names(value, parameter_names(*part.optimizer));
    state.set(part.name, std::move(value));
  }
  state.set("rng", rng_state());
  state.set("step", step);
  state.set("metadata", metadata);
  return state;
}

void Checkpoint::load_state_dict(const Value& state_dict) {
  const Value* const new_step = state_dict.find("step");
  const Value* const new_metadata = state_dict.find("metadata");
  const int64_t steps = new_step ? new_step->to_int() : 0;
  for (const Part& part : parts_) {
    if (state_dict.contains(part.name)) continue;
    std::string there;
    for (const auto& entry : state_dict.entries())
      there += str(there.empty() ? "" : ", ", entry.first);
    fail_in(part.name, "the checkpoint has no such part; it has " + there);
  }

  // Modules come last, as undoing them takes a copy. Of these the last one needs none: a part that
  // cannot be loaded has not changed.
  std::vector<const Part*> order;
  for (const Part& part : parts_) order.push_back(&part);
  std::stable_partition(order.begin(), order.end(), [](const Part* part) { return !part->module; });
  const Value old_rng = rng_state();
  std::vector<std::pair<const Part*, Value>> done;
  try {
    if (const Value* rng = state_dict.find("rng")) set_rng_states(*rng);
    for (const Part* part : order) {
      Value value = state_dict.at(part->name), old;
      try {
        if (part != order.back()) old = part->module ? deep_copy(part->save()) : part->save();
        if (part->optimizer)
          value = to_numbers(value, part->save(), parameter_names(*part->optimizer));
        part->load(value);
      } catch (const Error& error) {
        fail_in(part->name, error.what());
      }
      done.emplace_back(part, std::move(old));
    }
  } catch (...) {
    for (const auto& [part, old] : done) part->load(old);
    set_rng_states(old_rng);
    throw;
  }
  step = steps;
  metadata = new_metadata ? *new_metadata : Value::dict();
}

}  // namespace tarn
