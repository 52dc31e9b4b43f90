#include "tarn/nn/module.h"

#include <ostream>
#include <unordered_set>

#include "tarn/nn/layer_text.h"

namespace tarn::nn {
namespace {

void check_name(const char* what, const std::string& name) {
  TARN_CHECK(!name.empty(), what, " name must not be empty");
  TARN_CHECK(name.find('.') == std::string::npos, what, " name must not contain a dot (got '", name,
             "')");
}

// PyTorch's rule: where a dtype is asked for, tensors of integers keep theirs.
Tensor converted(const Tensor& t, const TensorOptions& options, bool non_blocking) {
  const bool keeps_dtype = !options.has_dtype() || !t.is_floating_point();
  return t.detach().to(keeps_dtype ? options.dtype(std::nullopt) : options, non_blocking);
}

}  // namespace

std::string detail::type_name(const std::type_info& type) {
  std::string name = tarn::detail::demangled(type);
  if (constexpr std::string_view kLibrary = "tarn"; name.starts_with("tarn::")) {
    name.replace(0, kLibrary.size(), printed_library);
  }
  return name;
}

std::string detail::layer_name(const Module& layer) {
  std::string name = type_name(typeid(layer));
  if (const size_t scope = name.rfind("::"); scope != std::string::npos) name.erase(0, scope + 2);
  if (name.ends_with("Impl")) name.resize(name.size() - 4);
  return name;
}

std::string Module::name() const {
  return name_.empty() ? detail::type_name(typeid(*this)) : name_;
}

// --- Registration

Tensor& Module::register_parameter(std::string name, Tensor tensor, bool requires_grad) {
  check_name("Parameter", name);
  TARN_CHECK(!buffers_.contains(name), "Parameter '", name, "' already defined (as a buffer)");
  if (!tensor.defined()) {
    if (requires_grad) {
      warn(
          "An undefined tensor cannot require grad. Ignoring the `requires_grad=true` function "
          "parameter.");
    }
  } else {
    TARN_CHECK(tensor.is_leaf(), "[register_parameter] '", name,
               "' is the result of an operation on a tensor that requires "
               "gradients. HINT: register a leaf: its detach()");
    TARN_CHECK(!parameters_.contains(name), "Parameter '", name, "' already defined");
    tensor.requires_grad_(requires_grad);
  }
  return parameters_.insert(std::move(name), std::move(tensor));
}

Tensor& Module::register_buffer(std::string name, Tensor tensor, bool persistent) {
  check_name("Buffer", name);
  TARN_CHECK(!parameters_.contains(name), "Buffer '", name, "' already defined (as a parameter)");
  TARN_CHECK(!buffers_.contains(name), "Buffer '", name, "' already defined");
  if (!persistent) transient_.push_back(name);
  return buffers_.insert(std::move(name), std::move(tensor));
}

void Module::add_child(std::string name, std::shared_ptr<Module> module) {
  check_name("Submodule", name);
  TARN_CHECK(module, "[register_module] Submodule '", name, "' is an empty handle");
  children_.insert(std::move(name), std::move(module));
}

void Module::replace_child(const std::string& name, std::shared_ptr<Module> module) {
  TARN_CHECK(module, "[replace_module] Submodule '", name, "' is an empty handle");
  children_[name] = std::move(module);
}

void Module::unregister_module(const std::string& name) {
  TARN_CHECK(children_.contains(name), "No Module with name `", name, "` is registered");
  children_.erase(name);
}

// --- Contents

OrderedDict<std::string, Tensor> Module::named(OrderedDict<std::string, Tensor> Module::*own,
                                               bool recurse) const {
  OrderedDict<std::string, Tensor> result;
  std::unordered_set<const void*> seen;
  const auto add = [&](const std::string& prefix, const Module& module) {
    for (const auto& item : module.*own) {
      const Tensor& t = item.value();
      if (t.defined() && seen.insert(t.unsafeGetTensorImpl()).second)
        result.insert(join(prefix, item.key()), t);
    }
  };
  if (recurse)
    apply(add);
  else
    add("", *this);
  return result;
}

OrderedDict<std::string, Tensor> Module::named_parameters(bool recurse) const {
  return named(&Module::parameters_, recurse);
}
OrderedDict<std::string, Tensor> Module::named_buffers(bool recurse) const {
  return named(&Module::buffers_, recurse);
}
std::vector<Tensor> Module::parameters(bool recurse) const {
  return named_parameters(recurse).values();
}
std::vector<Tensor> Module::buffers(bool recurse) const { return named_buffers(recurse).values(); }

OrderedDict<std::string, std::shared_ptr<Module>> Module::named_modules(const std::string& prefix,
                                                                        bool include_self) const {
  OrderedDict<std::string, std::shared_ptr<Module>> result;
  std::unordered_set<const Module*> seen;
  apply(
      [&](const std::string& name, const Module& module) {
        if (&module == this && !include_self) return;
        if (seen.insert(&module).second) result.insert(name, module.shared());
      },
      prefix);
  return result;
}

std::vector<std::shared_ptr<Module>> Module::modules(bool include_self) const {
  return named_modules("", include_self).values();
}

std::shared_ptr<Module> Module::shared() const {
  const auto self = weak_from_this().lock();
  TARN_CHECK(self,
             "It looks like you attempted to retrieve your top-level module as a shared_ptr, but "
             "it is not stored in "
             "one. HINT: make it by a handle or std::make_shared, or pass include_self = false");
  return std::const_pointer_cast<Module>(self);
}

// --- Mode, place, gradients

void Module::train(bool on) {
  for (const auto& child : children_) child.value()->train(on);
  is_training_ = on;
}

void Module::to(Device device, ScalarType dtype, bool non_blocking) {
  convert(TensorOptions(dtype).device(device), non_blocking);
}
void Module::to(ScalarType dtype, bool non_blocking) {
  convert(TensorOptions(dtype), non_blocking);
}
void Module::to(Device device, bool non_blocking) { convert(TensorOptions(device), non_blocking); }

void Module::convert(const TensorOptions& options, bool non_blocking) {
  struct Change {
    Tensor target, data, grad;
  };
  std::vector<Change> changes;
  const bool to_integers = options.has_dtype() && !is_floating_point(options.dtype());
  for (const auto& [name, t] : named_parameters().pairs()) {
    if (to_integers && t.requires_grad()) {
      throw TypeError(str("[to] parameter '", name, "' requires gradients and cannot become ",
                          options.dtype()));
    }
    const Tensor& grad = t.grad();
    changes.push_back({t, converted(t, options, non_blocking),
                       grad.defined() ? converted(grad, options, non_blocking) : Tensor()});
  }
  for (const Tensor& t : buffers())
    changes.push_back({t, converted(t, options, non_blocking), Tensor()});
  for (const Change& change : changes) {
    change.target.set_data(change.data);
    if (change.grad.defined()) change.target.mutable_grad() = change.grad;
  }
}

void Module::zero_grad(bool set_to_none) {
  for (const auto& child : children_) child.value()->zero_grad(set_to_none);
  for (const auto& item : parameters_) {
    if (!item.value().defined() || !item.value().grad().defined()) continue;
    Tensor& grad = item.value().mutable_grad();
    if (set_to_none)
      grad.reset();
    else
      grad.detach_().zero_();
  }
}

// --- Printing

void Module::pretty_print(std::ostream& stream) const { stream << name(); }

void Module::print(std::ostream& stream, const std::string& indentation) const {
  pretty_print(stream);
  if (children_.is_empty()) return;
  const std::string inner = indentation + "  ";
  stream << "(\n";
  for (const auto& child : children_) {
    stream << inner << '(' << child.key() << "): ";
    child.value()->print(stream, inner);
    stream << '\n';
  }
  stream << indentation << ')';
}

std::ostream& operator<<(std::ostream& stream, const Module& module) {
  module.print(stream, "");
  return stream;
}

}  // namespace tarn::nn
