#include "tarn/nn/sequential.h"

#include "tarn/nn/activation.h"
#include "tarn/nn/layer_text.h"
#include "tarn/nn/linear.h"

namespace tarn::nn {

Tensor SequentialImpl::forward_tensor(const Tensor& input) const {
  check_not_empty();
  Tensor x = input;
  for (size_t i = 0; i < modules_.size(); ++i) {
    const AnyModule& module = modules_[i];
    if (module.type_info() == typeid(LinearImpl) && i + 1 < modules_.size() &&
        modules_[i + 1].type_info() == typeid(ReLUImpl)) {
      const auto& linear = static_cast<const LinearImpl&>(*module.ptr());
      x = linear_relu(x, linear.weight, linear.bias);
      ++i;
    } else {
      x = module.forward(x);
    }
  }
  return x;
}

AnyValue SequentialImpl::any_forward(std::vector<AnyValue> arguments) {
  check_not_empty();
  AnyValue result = modules_.front().any_forward(std::move(arguments));
  for (size_t i = 1; i < modules_.size(); ++i)
    result = modules_[i].any_forward({std::move(result)});
  return result;
}

void SequentialImpl::wrong_result(const std::type_info& given, const std::type_info& asked) {
  throw TypeError(str("The type of the return value is ", detail::type_name(given),
                      ", but you asked for type ", detail::type_name(asked)));
}

const AnyModule& SequentialImpl::element(size_t index) const {
  if (index >= size())
    throw IndexError(
        str("[Sequential] Index out of range: ", index, ", there are ", size(), " modules"));
  return modules_[index];
}

void SequentialImpl::add(std::string name, AnyModule module) {
  Module::add_child(std::move(name), module.ptr());
  modules_.push_back(std::move(module));
}

size_t SequentialImpl::position(const std::string& name) const {
  const auto* child = children_.find(name);
  TARN_CHECK(child, "Submodule '", name, "' is not defined");
  size_t i = 0;
  while (children_[i].key() != name) ++i;
  return i;
}

void SequentialImpl::replace(const std::string& name, AnyModule module) {
  const size_t i = position(name);
  Module::replace_child(name, module.ptr());
  modules_[i] = std::move(module);
}

void SequentialImpl::add_child(std::string name, std::shared_ptr<Module>) {
  throw NotImplementedError(str("[register_module] '", name,
                                "' would not take part in forward(). HINT: use push_back()"));
}

void SequentialImpl::replace_child(const std::string& name, std::shared_ptr<Module>) {
  throw NotImplementedError(str("[replace_module] '", name,
                                "' is an element of a Sequential, which must know its forward(). "
                                "HINT: call as<nn::Sequential>()->replace_module()"));
}

void SequentialImpl::unregister_module(const std::string& name) {
  TARN_CHECK(children_.contains(name), "No Module with name `", name, "` is registered");
  modules_.erase(modules_.begin() + static_cast<std::ptrdiff_t>(position(name)));
  Module::unregister_module(name);
}

void SequentialImpl::pretty_print(std::ostream& stream) const {
  stream << detail::layer_prefix() << detail::layer_name(*this);
}

}  // namespace tarn::nn
