#include "tarn/nn/parameter.h"

#include "tarn/nn/layer_text.h"

namespace tarn::nn {
namespace {

void print_parameters(std::ostream& stream, const char* layer,
                      const OrderedDict<std::string, Tensor>& parameters) {
  stream << detail::layer_prefix() << layer << "(\n";
  for (const auto& item : parameters) {
    const Tensor& t = item.value();
    stream << '(' << item.key() << "): Parameter containing: [" << t.scalar_type() << " of size "
           << t.sizes() << "]\n";
  }
  stream << ')';
}

}  // namespace

void ParameterListImpl::append(const Tensor& parameter) {
  register_parameter(std::to_string(size()), parameter, parameter.requires_grad());
}

Tensor& ParameterListImpl::at(size_t index) {
  if (index >= size())
    throw IndexError(str("[ParameterList] Index out of range: ", index, ", the list has ", size()));
  return parameters_[index].value();
}

void ParameterListImpl::pretty_print(std::ostream& stream) const {
  print_parameters(stream, "ParameterList", parameters_);
}

void ParameterDictImpl::update(const OrderedDict<std::string, Tensor>& parameters) {
  for (const auto& item : parameters) {
    if (Tensor* existing = parameters_.find(item.key()))
      *existing = item.value();
    else
      insert(item.key(), item.value());
  }
}

Tensor ParameterDictImpl::pop(const std::string& key) {
  Tensor parameter = parameters_[key];
  parameters_.erase(key);
  return parameter;
}

void ParameterDictImpl::pretty_print(std::ostream& stream) const {
  print_parameters(stream, "ParameterDict", parameters_);
}

}  // namespace tarn::nn
