// ModuleList and ModuleDict: submodules by number and by name, without a forward() of their own.
// Sources: https://pytorch.org/docs/stable/generated/torch.nn.ModuleList.html,
// .../torch.nn.ModuleDict.html
#pragma once

#include <concepts>
#include <utility>
#include <vector>

#include "tarn/nn/module_holder.h"

namespace tarn::nn {

namespace detail {

// A handle, a shared_ptr or a module by value, as a shared module.
template <class M>
std::shared_ptr<Module> shared_module(M&& module) {
  using T = std::remove_cvref_t<M>;
  if constexpr (std::derived_from<T, Module>) {
    return module_pointer(std::make_shared<T>(std::forward<M>(module)));
  } else {
    return module_pointer(module);
  }
}
template <class M>
concept ModuleLike = requires(M&& module) {
  shared_module(std::forward<M>(module));
};

}  // namespace detail

// Modules numbered from "0".
class ModuleListImpl : public Module {
 public:
  // Over std::shared_ptr<Module>.
  class Iterator {
   public:
    using Position = OrderedDict<std::string, std::shared_ptr<Module>>::ConstIterator;
    using value_type = std::shared_ptr<Module>;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    explicit Iterator(Position position) : position_(position) {}
    const std::shared_ptr<Module>& operator*() const { return position_->value(); }
    const std::shared_ptr<Module>* operator->() const { return &position_->value(); }
    Iterator& operator++() {
      ++position_;
      return *this;
    }
    Iterator operator++(int) { return Iterator(position_++); }
    friend bool operator==(const Iterator& a, const Iterator& b) {
      return a.position_ == b.position_;
    }

   private:
    Position position_;
  };

  ModuleListImpl() = default;
  template <class... Modules>
  requires((sizeof...(Modules) > 1 ||
            !(std::derived_from<std::remove_cvref_t<Modules>, ModuleListImpl> || ...)) &&
           (detail::ModuleLike<Modules> && ...)) explicit ModuleListImpl(Modules&&... modules) {
    (push_back(std::forward<Modules>(modules)), ...);
  }

  template <detail::ModuleLike M>
  void push_back(M&& module) {
    insert(size(), std::forward<M>(module));
  }
  template <detail::ModuleLike M>
  void append(M&& module) {
    insert(size(), std::forward<M>(module));
  }
  // Appends every module of a container.
  template <class Container>
  void extend(const Container& container) {
    const std::vector<std::shared_ptr<Module>> added(container.begin(), container.end());
    for (const auto& module : added) push_back(module);
  }
  // Before the module at `index`, which may be size(); those behind it move up. This and the
  // functions below throw IndexError "Index out of range".
  template <detail::ModuleLike M>
  void insert(size_t index, M&& module) {
    insert_pointer(index, detail::shared_module(std::forward<M>(module)));
  }
  // As an Impl or handle's type; throws TypeError for another.
  template <class M>
  auto& at(size_t index) const {
    auto* module = ptr(index)->template as<M>();
    if (!module) wrong_type(index, typeid(typename detail::Contained<M>::type));
    return *module;
  }
  template <class M>
  std::shared_ptr<typename detail::Contained<M>::type> ptr(size_t index) const {
    return {ptr(index), &at<M>(index)};
  }
  const std::shared_ptr<Module>& ptr(size_t index) const;
  const std::shared_ptr<Module>& operator[](size_t index) const { return ptr(index); }
  size_t size() const noexcept { return children_.size(); }
  bool is_empty() const noexcept { return children_.is_empty(); }
  Iterator begin() const { return Iterator(children_.begin()); }
  Iterator end() const { return Iterator(children_.end()); }
  void pretty_print(std::ostream& stream) const override;

 private:
  void insert_pointer(size_t index, std::shared_ptr<Module> module);
  [[noreturn]] void wrong_type(size_t index, const std::type_info& asked) const;
};
TARN_MODULE(ModuleList);

// Modules by name, in order of insertion.
class ModuleDictImpl : public Module {
 public:
  using Entry = std::pair<std::string, std::shared_ptr<Module>>;
  using Iterator = OrderedDict<std::string, std::shared_ptr<Module>>::ConstIterator;

  ModuleDictImpl() = default;
  explicit ModuleDictImpl(const std::vector<Entry>& modules) { update(modules); }
  explicit ModuleDictImpl(const OrderedDict<std::string, std::shared_ptr<Module>>& modules) {
    update(modules.pairs());
  }

  // Adds entries and replaces those of the same names.
  void update(const std::vector<Entry>& modules);
  void update(const ModuleDictImpl& other) { update(other.items()); }
  // Removes and returns a module. This and the functions below throw Error "Submodule 'x' is not
  // defined".
  std::shared_ptr<Module> pop(const std::string& key);
  template <class M>
  auto& at(const std::string& key) const {
    auto* module = children_[key]->template as<M>();
    if (!module) wrong_type(key, typeid(typename detail::Contained<M>::type));
    return *module;
  }
  template <class M>
  std::shared_ptr<typename detail::Contained<M>::type> ptr(const std::string& key) const {
    return {children_[key], &at<M>(key)};
  }
  const std::shared_ptr<Module>& operator[](const std::string& key) const { return children_[key]; }
  bool contains(const std::string& key) const noexcept { return children_.contains(key); }
  std::vector<std::string> keys() const { return children_.keys(); }
  std::vector<std::shared_ptr<Module>> values() const { return children_.values(); }
  std::vector<Entry> items() const { return children_.pairs(); }
  size_t size() const noexcept { return children_.size(); }
  bool empty() const noexcept { return children_.is_empty(); }
  void clear() { children_.clear(); }
  Iterator begin() const { return children_.begin(); }
  Iterator end() const { return children_.end(); }
  void pretty_print(std::ostream& stream) const override;

 private:
  [[noreturn]] void wrong_type(const std::string& key, const std::type_info& asked) const;
};

class ModuleDict : public ModuleHolder<ModuleDictImpl> {
 public:
  using ModuleHolder<ModuleDictImpl>::ModuleHolder;
  using Impl [[maybe_unused]] = ModuleDictImpl;
  ModuleDict() = default;
  // nn::ModuleDict({{"conv", nn::Linear(3, 4)}, {"act", nn::ReLU()}})
  ModuleDict(std::initializer_list<ModuleDictImpl::Entry> modules)
      : ModuleHolder(
            std::make_shared<ModuleDictImpl>(std::vector<ModuleDictImpl::Entry>(modules))) {}
};

}  // namespace tarn::nn
