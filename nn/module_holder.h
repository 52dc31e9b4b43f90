// ModuleHolder: a module's handle, which is what programs hold: `nn::Linear fc(20, 256)` is a
// ModuleHolder<LinearImpl>. Copies share the module; nn::Linear{nullptr} is empty.
#pragma once

#include <concepts>
#include <ostream>

#include "tarn/nn/module.h"

namespace tarn::nn {

// Like a shared_ptr: a const handle still gives access to a module that can be changed.
template <class Module>
class ModuleHolder {
 public:
  using ContainedType = Module;

  // Makes the module with its default constructor.
  ModuleHolder() {
    static_assert(std::is_default_constructible_v<Module>,
                  "this module needs arguments: make it with them, or empty, as in `nn::Linear "
                  "fc{nullptr};`");
    make();
  }
  ModuleHolder(std::nullptr_t) noexcept {}  // NOLINT
  // Makes the module with these arguments.
  template <class First, class... Rest>
  requires(std::constructible_from<Module, First, Rest...> &&
           (sizeof...(Rest) > 0 ||
            !std::derived_from<std::remove_cvref_t<First>,
                               ModuleHolder>)) explicit ModuleHolder(First&& first,
                                                                     Rest&&... rest) {
    make(std::forward<First>(first), std::forward<Rest>(rest)...);
  }
  ModuleHolder(std::shared_ptr<Module> module) : module_(std::move(module)) {  // NOLINT
    if (module_) module_->template note_type<Module>();
  }
  ModuleHolder(const ModuleHolder& other) : module_(detail::follow_clone(other.module_)) {}
  ModuleHolder(ModuleHolder&&) noexcept = default;
  ModuleHolder& operator=(const ModuleHolder&) = default;
  ModuleHolder& operator=(ModuleHolder&&) noexcept = default;

  bool is_empty() const noexcept { return module_ == nullptr; }
  explicit operator bool() const noexcept { return !is_empty(); }
  // These throw Error if the handle is empty.
  const std::shared_ptr<Module>& ptr() const {
    check();
    return module_;
  }
  Module* get() const {
    check();
    return module_.get();
  }
  Module* operator->() const { return get(); }
  Module& operator*() const { return *get(); }
  template <class Base>
  requires std::convertible_to<Module*, Base*>
  operator std::shared_ptr<Base>() const {  // NOLINT
    return module_;
  }
  // module->forward(arguments...)
  template <class... Arguments>
  decltype(auto) operator()(Arguments&&... arguments) const {
    return get()->forward(std::forward<Arguments>(arguments)...);
  }
  template <class Index>
  decltype(auto) operator[](Index&& index) const {
    return (*get())[std::forward<Index>(index)];
  }
  friend std::ostream& operator<<(std::ostream& stream, const ModuleHolder& handle) {
    return stream << *handle;
  }

 private:
  template <class... Arguments>
  void make(Arguments&&... arguments) {
    module_ = std::make_shared<Module>(std::forward<Arguments>(arguments)...);
    module_->template note_type<Module>();
  }
  void check() const { TARN_CHECK(module_, "Accessing empty ModuleHolder"); }

  std::shared_ptr<Module> module_;
};

// libtorch's base of modules that can be cloned; in Tarn all can, so it only notes the type of
// modules that no handle was made for. reset() registers parameters; the constructor of Derived
// calls it.
template <class Derived>
class Cloneable : public Module {
 public:
  using Module::Module;
  virtual void reset() = 0;
  std::shared_ptr<Module> clone(const std::optional<Device>& device = std::nullopt) const override {
    this->template note_type<Derived>();
    return Module::clone(device);
  }
};

}  // namespace tarn::nn

// TARN_MODULE(Net): the handle type Net of the module NetImpl.
#define TARN_MODULE(Name)                                     \
  class Name : public ::tarn::nn::ModuleHolder<Name##Impl> {  \
   public:                                                    \
    using ::tarn::nn::ModuleHolder<Name##Impl>::ModuleHolder; \
    using Impl [[maybe_unused]] = Name##Impl;                 \
  }
