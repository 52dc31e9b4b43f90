#include "tarn/nn/module_list.h"

#include "tarn/nn/layer_text.h"

namespace tarn::nn {
namespace {

[[noreturn]] void wrong_module_type(const std::string& name, const Module& module,
                                    const std::type_info& asked) {
  throw TypeError(str("Unable to cast module '", name, "' of type ",
                      detail::type_name(typeid(module)), " to ", detail::type_name(asked)));
}

}  // namespace

const std::shared_ptr<Module>& ModuleListImpl::ptr(size_t index) const {
  if (index >= size())
    throw IndexError(
        str("[ModuleList] Index out of range: ", index, ", there are ", size(), " modules"));
  return children_[index].value();
}

void ModuleListImpl::insert_pointer(size_t index, std::shared_ptr<Module> module) {
  if (index > size())
    throw IndexError(
        str("[ModuleList] Index out of range: ", index, ", there are ", size(), " modules"));
  // The new name goes to the end; then the modules move up by one.
  register_module(std::to_string(size()), std::move(module));
  for (size_t i = size() - 1; i > index; --i)
    std::swap(children_[i].value(), children_[i - 1].value());
}

void ModuleListImpl::wrong_type(size_t index, const std::type_info& asked) const {
  wrong_module_type(std::to_string(index), *children_[index].value(), asked);
}

void ModuleListImpl::pretty_print(std::ostream& stream) const {
  stream << detail::layer_prefix() << detail::layer_name(*this);
}

void ModuleDictImpl::update(const std::vector<Entry>& modules) {
  for (const auto& [key, module] : modules) {
    if (contains(key))
      replace_module(key, module);
    else
      register_module(key, module);
  }
}

std::shared_ptr<Module> ModuleDictImpl::pop(const std::string& key) {
  std::shared_ptr<Module> module = children_[key];
  children_.erase(key);
  return module;
}

void ModuleDictImpl::wrong_type(const std::string& key, const std::type_info& asked) const {
  wrong_module_type(key, *children_[key], asked);
}

void ModuleDictImpl::pretty_print(std::ostream& stream) const {
  stream << detail::layer_prefix() << detail::layer_name(*this);
}

}  // namespace tarn::nn
