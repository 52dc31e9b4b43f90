// Sequential: modules applied one after the other.
// Source: https://pytorch.org/docs/stable/generated/torch.nn.Sequential.html
#pragma once

#include <initializer_list>

#include "tarn/nn/any_module.h"

namespace tarn::nn {

// A module and its name in a Sequential: nn::Sequential({{"fc", nn::Linear(3, 4)}, {"act",
// nn::ReLU()}}).
class NamedAnyModule {
 public:
  template <class M>
  requires std::constructible_from<AnyModule, M> NamedAnyModule(std::string name, M&& module)
      : name_(std::move(name)), module_(std::forward<M>(module)) {}
  const std::string& name() const noexcept { return name_; }
  const AnyModule& module() const noexcept { return module_; }

 private:
  std::string name_;
  AnyModule module_;
};

// Elements are handles, shared_ptrs, modules by value, AnyModules or other Sequentials; unnamed
// ones are numbered. The first may take any arguments, each of the others takes what the one before
// returns. A Linear and a ReLU behind it are computed as one (linear_relu).
class SequentialImpl : public Module {
 public:
  using Iterator = std::vector<AnyModule>::const_iterator;

  SequentialImpl() = default;
  template <class... Modules>
  requires(std::constructible_from<AnyModule, Modules>&&...) explicit SequentialImpl(
      Modules&&... modules) {
    modules_.reserve(sizeof...(Modules));
    (push_back(std::forward<Modules>(modules)), ...);
  }
  SequentialImpl(std::initializer_list<NamedAnyModule> modules) {
    for (const NamedAnyModule& m : modules) push_back(m.name(), m.module());
  }
  explicit SequentialImpl(const OrderedDict<std::string, AnyModule>& modules) {
    for (const auto& item : modules) push_back(item.key(), item.value());
  }
  // Copies share the elements, as those of any module.
  SequentialImpl(const SequentialImpl&) = default;
  SequentialImpl(SequentialImpl& other) : SequentialImpl(std::as_const(other)) {}
  SequentialImpl(SequentialImpl&&) = default;

  // Throws Error if there is no element, and TypeError if the last one does not return an R.
  template <class R = Tensor, class... Arguments>
  R forward(Arguments&&... arguments) {
    if constexpr (std::same_as<R, Tensor> && sizeof...(Arguments) == 1 &&
                  (std::derived_from<std::remove_cvref_t<Arguments>, Tensor> && ...)) {
      return forward_tensor(arguments...);
    } else {
      AnyValue result = any_forward({AnyValue(std::forward<Arguments>(arguments))...});
      if (R* value = result.template try_get<R>()) return std::move(*value);
      wrong_result(result.type_info(), typeid(R));
    }
  }
  AnyValue any_forward(std::vector<AnyValue> arguments);

  template <class M>
  requires std::constructible_from<AnyModule, M>
  void push_back(M&& module) { push_back(std::to_string(size()), std::forward<M>(module)); }
  template <class M>
  requires std::constructible_from<AnyModule, M>
  void push_back(std::string name, M&& module) {
    add(std::move(name), AnyModule(std::forward<M>(module)));
  }
  // Appends every element of a container, such as a vector of shared_ptrs or another Sequential.
  template <class Container>
  void extend(const Container& container) {
    const std::vector<AnyModule> added(container.begin(), container.end());
    for (const AnyModule& module : added) push_back(module);
  }
  // Modules are replaced by position and by name alike; the handle is returned.
  template <class M>
  M replace_module(const std::string& name, M module) {
    replace(name, AnyModule(module));
    return module;
  }
  void unregister_module(const std::string& name) override;

  // These throw IndexError "Index out of range", and TypeError for another type of module.
  template <class M>
  auto& at(size_t index) const {
    return element(index).template get<typename detail::Contained<M>::type>();
  }
  template <class M>
  auto ptr(size_t index) const {
    return element(index).template ptr<M>();
  }
  std::shared_ptr<Module> ptr(size_t index) const { return element(index).ptr(); }
  std::shared_ptr<Module> operator[](size_t index) const { return ptr(index); }
  size_t size() const noexcept { return modules_.size(); }
  bool is_empty() const noexcept { return modules_.empty(); }
  Iterator begin() const { return modules_.begin(); }
  Iterator end() const { return modules_.end(); }
  void pretty_print(std::ostream& stream) const override;

 protected:
  // Throw: these do not know the element's forward().
  void add_child(std::string name, std::shared_ptr<Module> module) override;
  void replace_child(const std::string& name, std::shared_ptr<Module> module) override;

 private:
  Tensor forward_tensor(const Tensor& input) const;
  const AnyModule& element(size_t index) const;
  void add(std::string name, AnyModule module);
  void replace(const std::string& name, AnyModule module);
  size_t position(const std::string& name) const;
  void check_not_empty() const {
    TARN_CHECK(!modules_.empty(), "Cannot call forward() on an empty Sequential");
  }
  [[noreturn]] static void wrong_result(const std::type_info& given, const std::type_info& asked);

  std::vector<AnyModule> modules_;  // in the order of children_
};

class Sequential : public ModuleHolder<SequentialImpl> {
 public:
  using ModuleHolder<SequentialImpl>::ModuleHolder;
  using Impl [[maybe_unused]] = SequentialImpl;
  Sequential() = default;
  Sequential(std::initializer_list<NamedAnyModule> modules)
      : ModuleHolder(std::make_shared<SequentialImpl>(modules)) {}
};

}  // namespace tarn::nn
