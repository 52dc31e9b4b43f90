// Module: the base of layers and models. It knows its parameters, buffers and submodules by name,
// and with them whatever has to reach all of them: training mode, devices, saving, cloning,
// printing.
//
//   struct MlpImpl : nn::Module {
//     nn::Linear hidden{nullptr}, output{nullptr};
//     MlpImpl() {
//       hidden = register_module("hidden", nn::Linear(20, 256));
//       output = register_module("output", nn::Linear(256, 10));
//     }
//     Tensor forward(const Tensor& x) { return output(relu(hidden(x))); }
//   };
//   TARN_MODULE(Mlp);  // a handle: Mlp net; net(x); net->state_dict()
//
// Names are libtorch's (https://pytorch.org/cppdocs/api/classtorch_1_1nn_1_1_module.html).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <typeinfo>
#include <vector>

#include "tarn/core/ordered_dict.h"
#include "tarn/core/state_dict.h"
#include "tarn/core/tensor.h"

namespace tarn::nn {

class Module;

namespace detail {

// The type of the module behind a handle type; any other type itself.
template <class M>
struct Contained {
  using type = M;
};
template <class M>
requires requires { typename M::ContainedType; }
struct Contained<M> {
  using type = typename M::ContainedType;
};

// What clone() must know of a module's own type; noted when a handle of that type is made.
struct ModuleType {
  const std::type_info& type;
  size_t size;
  std::shared_ptr<Module> (*copy)(const Module&);  // null for a type that cannot be copied
};
template <class T>
const ModuleType& module_type();

// The module in a shared_ptr or handle, which may be empty.
template <class T>
std::shared_ptr<Module> module_pointer(const std::shared_ptr<T>& module) {
  if (module) module->template note_type<T>();
  return module;
}
template <class M>
std::shared_ptr<Module> module_pointer(const M& handle) {
  return handle.is_empty() ? nullptr : module_pointer(handle.ptr());
}

// True on a thread in which clone() is copying a module.
extern constinit thread_local bool is_cloning;
// The clone of a module or parameter, or the original if it is not part of what is being cloned.
std::shared_ptr<Module> clone_of(const std::shared_ptr<Module>& original);
const Tensor& clone_of(const Tensor& original);
// For the copy constructors of handles.
template <class T>
std::shared_ptr<T> follow_clone(const std::shared_ptr<T>& module) {
  if (!is_cloning) [[likely]]
    return module;
  return std::dynamic_pointer_cast<T>(clone_of(module));
}

// "tarn::nn::LinearImpl"
std::string type_name(const std::type_info& type);

}  // namespace detail

// How load_state_dict() reads a state dict. Names are first stripped, then renamed.
struct StateDictOptions {
  // Throw unless names and shapes agree exactly. Otherwise whatever fits is loaded.
  bool strict = true;
  std::function<std::string(const std::string&)> rename{};
  // Cut off the names that begin with it: "module." of a file written by DataParallel.
  std::string strip_prefix{};
};

// What load_state_dict() did, by name. Missing: the module has it, the state dict has not.
// Unexpected: the other way round. Mismatched: both have it, in different shapes.
struct LoadReport {
  std::vector<std::string> loaded, missing, unexpected, mismatched;
};

class Module : public std::enable_shared_from_this<Module> {
 public:
  Module() = default;
  // `name` replaces the type's name in name() and in prints.
  explicit Module(std::string name) : name_(std::move(name)) {}
  // Copies share parameters and submodules; clone() does not.
  Module(const Module&) = default;
  Module& operator=(const Module&) = default;
  Module(Module&&) = default;
  Module& operator=(Module&&) = default;
  virtual ~Module() = default;

  // "MlpImpl", unless given to the constructor.
  std::string name() const;

  // --- Registration. Names must be unique, not empty and without dots ----------------------------
  // The returned reference is to be assigned to a member. An undefined tensor reserves the name for
  // an absent parameter, such as the bias of a layer without one; it needs requires_grad = false.
  Tensor& register_parameter(std::string name, Tensor tensor, bool requires_grad = true);
  // State that is not trained. What is not persistent is left out of state_dict().
  Tensor& register_buffer(std::string name, Tensor tensor, bool persistent = true);
  // `module` is a handle or a shared_ptr, and is returned.
  template <class M>
  M register_module(std::string name, M module) {
    add_child(std::move(name), detail::module_pointer(module));
    return module;
  }
  template <class M>
  M replace_module(const std::string& name, M module) {
    replace_child(name, detail::module_pointer(module));
    return module;
  }
  virtual void unregister_module(const std::string& name);

  // --- Contents, in order of registration: own first, then those of the submodules
  // As in Python a tensor or module reachable under several names is listed once, under the first.
  std::vector<Tensor> parameters(bool recurse = true) const;
  OrderedDict<std::string, Tensor> named_parameters(bool recurse = true) const;
  std::vector<Tensor> buffers(bool recurse = true) const;
  OrderedDict<std::string, Tensor> named_buffers(bool recurse = true) const;
  // This module (under the name `prefix`) and all below it. Including itself needs a module held by
  // a handle or shared_ptr.
  std::vector<std::shared_ptr<Module>> modules(bool include_self = true) const;
  OrderedDict<std::string, std::shared_ptr<Module>> named_modules(const std::string& prefix = "",
                                                                  bool include_self = true) const;
  // The direct submodules.
  std::vector<std::shared_ptr<Module>> children() const { return children_.values(); }
  const OrderedDict<std::string, std::shared_ptr<Module>>& named_children() const {
    return children_;
  }

  // Calls f for this module, then for all below it. f takes (Module&), (const std::string& name,
  // Module&), or either with a const std::shared_ptr<Module>& instead of the Module&.
  template <class F>
  void apply(F&& f, const std::string& name_prefix = "") {
    visit(*this, name_prefix, f);
  }
  template <class F>
  void apply(F&& f, const std::string& name_prefix = "") const {
    visit(*this, name_prefix, f);
  }
  // This module as M, a handle's or an Impl type; nullptr if it is not one.
  template <class M>
  auto* as() noexcept {
    return dynamic_cast<typename detail::Contained<M>::type*>(this);
  }
  template <class M>
  const auto* as() const noexcept {
    return dynamic_cast<const typename detail::Contained<M>::type*>(this);
  }

  // --- Mode, place, gradients
  // Training mode matters to Dropout and its like; new modules are in training mode.
  virtual void train(bool on = true);
  void eval() { train(false); }
  virtual bool is_training() const noexcept { return is_training_; }
  // Moves and converts all parameters (with their gradients) and buffers in place: optimizers keep
  // working. The dtype applies to floating-point tensors only. Changes all or, on an error,
  // nothing.
  virtual void to(Device device, ScalarType dtype, bool non_blocking = false);
  virtual void to(ScalarType dtype, bool non_blocking = false);
  virtual void to(Device device, bool non_blocking = false);
  virtual void zero_grad(bool set_to_none = true);

  // --- State
  // Parameters and persistent buffers in PyTorch's order, detached but sharing their bytes.
  StateDict state_dict() const;
  // Copies `state` (or a Value from load()) into the parameters and buffers, converting dtype and
  // device. strict: throws one Error that lists all missing, unexpected and mismatched names, and
  // loads nothing.
  LoadReport load_state_dict(const StateDict& state, const StateDictOptions& options = {});
  // The same for a state whose elements are not in memory: once all has been checked, `copy` is
  // called with everything there is to copy. If it throws, no parameter has another size than
  // before.
  struct StateCopy {
    Tensor target, source;  // of the same sizes
  };
  using CopyState = std::function<void(std::vector<StateCopy>& copies)>;
  LoadReport load_state_dict(const StateDict& state, const StateDictOptions& options,
                             const CopyState& copy);

  // A deep copy, on `device` if given: own parameters, buffers and submodules, what was shared
  // inside the module is shared inside the copy. Every member comes along, and members that are
  // registered parameters or submodules lead to those of the copy, for any module that was made by
  // a handle or registered, with nothing to write for it: the type's copy constructor runs, in
  // which handles (ModuleHolder, AnyModule, Parameter) follow to the clones; Tensor members are
  // then rebound where they lie. A registered tensor held where this cannot reach it (a
  // std::vector<Tensor>) throws. Gradients are not copied. No other thread may use the module
  // meanwhile.
  virtual std::shared_ptr<Module> clone(const std::optional<Device>& device = std::nullopt) const;

  // What stands for this module when it or its parent is printed: "tarn::nn::Linear(in_features=3,
  // ...)".
  virtual void pretty_print(std::ostream& stream) const;
  friend std::ostream& operator<<(std::ostream& stream, const Module& module);

  // For handles: notes the static type they know, if it is the module's own.
  template <class T>
  void note_type() const noexcept {
    const detail::ModuleType* type = &detail::module_type<T>();
    if (type_ != type && typeid(*this) == typeid(T)) type_ = type;
  }

 protected:
  // The version state_dict() gives this module, for classes whose serialised form has changed.
  virtual int64_t state_version() const { return 1; }
  // Whether load_state_dict() may give parameter or buffer `name` other sizes than its own: for
  // layers that have yet to learn theirs.
  virtual bool accepts_sizes(const std::string& /*name*/, IntArrayRef /*sizes*/) const {
    return false;
  }
  virtual void add_child(std::string name, std::shared_ptr<Module> module);
  virtual void replace_child(const std::string& name, std::shared_ptr<Module> module);

  OrderedDict<std::string, Tensor> parameters_{"Parameter"};
  OrderedDict<std::string, Tensor> buffers_{"Buffer"};
  OrderedDict<std::string, std::shared_ptr<Module>> children_{"Submodule"};

 private:
  struct StateEntry;
  template <class Self, class F>
  static void visit(Self& self, const std::string& name, F& f) {
    if constexpr (std::is_invocable_v<F&, Self&>)
      f(self);
    else if constexpr (std::is_invocable_v<F&, const std::string&, Self&>)
      f(name, self);
    else if constexpr (std::is_invocable_v<F&, const std::shared_ptr<Module>&>)
      f(self.shared());
    else
      f(name, self.shared());
    for (const auto& child : self.children_)
      visit<Self>(*child.value(), join(name, child.key()), f);
  }
  static std::string join(const std::string& prefix, const std::string& name) {
    return prefix.empty() ? name : prefix + '.' + name;
  }
  std::shared_ptr<Module> shared() const;
  OrderedDict<std::string, Tensor> named(OrderedDict<std::string, Tensor> Module::*own,
                                         bool recurse) const;
  void convert(const TensorOptions& options, bool non_blocking);
  void collect_state(const std::string& prefix, std::vector<StateEntry>& entries,
                     OrderedDict<std::string, int64_t>* versions) const;
  void print(std::ostream& stream, const std::string& indentation) const;

  std::string name_;
  std::vector<std::string> transient_;  // buffers that are not persistent
  mutable const detail::ModuleType* type_ = nullptr;
  bool is_training_ = true;
};

namespace detail {

template <class T>
const ModuleType& module_type() {
  std::shared_ptr<Module> (*copy)(const Module&) = nullptr;
  if constexpr (std::is_copy_constructible_v<T>) {
    copy = [](const Module& module) -> std::shared_ptr<Module> {
      return std::make_shared<T>(dynamic_cast<const T&>(module));
    };
  }
  static const ModuleType type{typeid(T), sizeof(T), copy};
  return type;
}

}  // namespace detail
}  // namespace tarn::nn
