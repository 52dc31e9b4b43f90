// Parameter, and modules that are collections of parameters.
#pragma once

#include "tarn/nn/module_holder.h"

namespace tarn::nn {

// A tensor to be trained: a leaf that requires gradients. Modules may hold their parameters as
// plain Tensor members too; in a container (std::vector<Parameter>) only this type follows
// Module::clone().
class Parameter : public Tensor {
 public:
  Parameter() = default;
  // Shares the bytes of `data`, without its history.
  explicit Parameter(const Tensor& data, bool requires_grad = true) : Tensor(data.detach()) {
    requires_grad_(requires_grad);
  }
  Parameter(const Parameter& other)
      : Tensor(detail::is_cloning ? detail::clone_of(other) : static_cast<const Tensor&>(other)) {}
  Parameter(Parameter&&) noexcept = default;
  Parameter& operator=(const Parameter&) = default;
  Parameter& operator=(Parameter&&) noexcept = default;
  // Takes over the tensor itself: `weight = register_parameter("weight", ...)`.
  Parameter& operator=(const Tensor& registered) {
    static_cast<Tensor&>(*this) = registered;
    return *this;
  }
};

// Parameters numbered from "0". Source:
// https://pytorch.org/docs/stable/generated/torch.nn.ParameterList.html
class ParameterListImpl : public Module {
 public:
  using Iterator = OrderedDict<std::string, Tensor>::Iterator;

  ParameterListImpl() = default;
  // Each is registered with the requires_grad it has.
  template <std::derived_from<Tensor>... Tensors>
  explicit ParameterListImpl(const Tensors&... parameters) {
    (append(parameters), ...);
  }

  void append(const Tensor& parameter);
  void append(const OrderedDict<std::string, Tensor>::Item& item) { append(item.value()); }
  // Appends every element; of a dict, every value.
  template <class Container>
  void extend(const Container& container) {
    for (const auto& parameter : container) append(parameter);
  }
  ParameterListImpl& operator+=(const ParameterListImpl& other) {
    extend(std::vector<Tensor>(other.parameters_.values()));
    return *this;
  }
  // Throws IndexError outside of [0, size()).
  Tensor& at(size_t index);
  Tensor& operator[](size_t index) { return at(index); }
  size_t size() const noexcept { return parameters_.size(); }
  bool is_empty() const noexcept { return parameters_.is_empty(); }
  Iterator begin() { return parameters_.begin(); }
  Iterator end() { return parameters_.end(); }
  void pretty_print(std::ostream& stream) const override;
};
TARN_MODULE(ParameterList);

// Named parameters. Source: https://pytorch.org/docs/stable/generated/torch.nn.ParameterDict.html
class ParameterDictImpl : public Module {
 public:
  using Iterator = OrderedDict<std::string, Tensor>::Iterator;

  ParameterDictImpl() = default;
  explicit ParameterDictImpl(const OrderedDict<std::string, Tensor>& parameters) {
    update(parameters);
  }

  // Throws Error for a name that is taken.
  Tensor& insert(const std::string& key, const Tensor& parameter) {
    return register_parameter(key, parameter, parameter.requires_grad());
  }
  // Adds entries and replaces those of the same names.
  void update(const OrderedDict<std::string, Tensor>& parameters);
  void update(const ParameterDictImpl& other) {
    update(OrderedDict<std::string, Tensor>(other.parameters_));
  }
  // Throw Error "Parameter 'B' is not defined".
  Tensor pop(const std::string& key);
  Tensor& get(const std::string& key) { return parameters_[key]; }
  Tensor& operator[](const std::string& key) { return parameters_[key]; }
  bool contains(const std::string& key) const noexcept { return parameters_.contains(key); }
  std::vector<std::string> keys() const { return parameters_.keys(); }
  std::vector<Tensor> values() const { return parameters_.values(); }
  size_t size() const noexcept { return parameters_.size(); }
  bool empty() const noexcept { return parameters_.is_empty(); }
  void clear() { parameters_.clear(); }
  Iterator begin() { return parameters_.begin(); }
  Iterator end() { return parameters_.end(); }
  void pretty_print(std::ostream& stream) const override;
};
TARN_MODULE(ParameterDict);

}  // namespace tarn::nn
