// AnyModule: any module behind one type, with a forward() that is checked when it is called.
// libtorch's torch::nn::AnyModule and AnyValue.
#pragma once

#include <any>
#include <array>
#include <concepts>
#include <tuple>
#include <vector>

#include "tarn/nn/module_holder.h"

namespace tarn::nn {

// A value of any copyable type: what goes into and comes out of AnyModule::any_forward().
class AnyValue {
 public:
  template <class T>
  requires(!std::same_as<std::remove_cvref_t<T>, AnyValue>) explicit AnyValue(T&& value)
      : value_(Stored<T>(std::forward<T>(value))) {}

  // The value, if it is of exactly this type; throws TypeError otherwise.
  template <class T>
  T get() const {
    const T* value = std::any_cast<T>(&value_);
    if (!value) wrong_type(typeid(T));
    return *value;
  }
  // nullptr if it is of another type.
  template <class T>
  T* try_get() noexcept {
    return std::any_cast<T>(&value_);
  }
  const std::type_info& type_info() const noexcept { return value_.type(); }

 private:
  // nn::Parameter and the like count as what they are: tensors.
  template <class T, class D = std::remove_cvref_t<T>>
  using Stored = std::conditional_t<std::derived_from<D, Tensor>, Tensor, D>;
  [[noreturn]] void wrong_type(const std::type_info& asked) const;

  std::any value_;
};

namespace detail {

// How forward() of one module type is called without knowing the type.
struct ForwardTable {
  const std::type_info& type;
  Tensor (*tensor)(Module&,
                   const Tensor&);  // null if forward(Tensor) does not exist or returns no Tensor
  AnyValue (*any)(Module&, std::vector<AnyValue>&);
};

[[noreturn]] void wrong_argument_count(const std::type_info& module, size_t least, size_t most,
                                       size_t given);
[[noreturn]] void wrong_argument_type(size_t position, const std::type_info& wanted,
                                      const std::type_info& given);

template <class Parameter>
Parameter&& argument(std::vector<AnyValue>& arguments, size_t i) {
  using T = std::remove_cvref_t<Parameter>;
  T* const value = arguments[i].try_get<T>();
  if (!value) wrong_argument_type(i, typeid(T), arguments[i].type_info());
  return static_cast<Parameter&&>(*value);
}

// forward()'s parameters; default arguments are found by calling with fewer.
template <class F>
struct Signature;
template <class M, class R, class... P>
struct Signature<R (M::*)(P...)> {
  template <class T, size_t... I>
  static AnyValue call(T& module, std::vector<AnyValue>& arguments, std::index_sequence<I...>) {
    return AnyValue(
        module.forward(argument<std::tuple_element_t<I, std::tuple<P...>>>(arguments, I)...));
  }
  template <class T, size_t... I>
  static constexpr bool accepts(std::index_sequence<I...>) {
    return requires(T & module) {
      module.forward(std::declval<std::tuple_element_t<I, std::tuple<P...>>>()...);
    };
  }
  template <class T, size_t N = sizeof...(P)>
  static constexpr size_t least_arguments() {
    if constexpr (N == 0)
      return 0;
    else if constexpr (accepts<T>(std::make_index_sequence<N - 1>()))
      return least_arguments<T, N - 1>();
    else
      return N;
  }
  template <class T, size_t N = least_arguments<T>()>
  static AnyValue run(T& module, std::vector<AnyValue>& arguments) {
    if (arguments.size() == N) return call(module, arguments, std::make_index_sequence<N>());
    if constexpr (N < sizeof...(P))
      return run<T, N + 1>(module, arguments);
    else
      wrong_argument_count(typeid(T), least_arguments<T>(), N, arguments.size());
  }
};
template <class M, class R, class... P>
struct Signature<R (M::*)(P...) const> : Signature<R (M::*)(P...)> {};
template <class M, class R, class... P>
struct Signature<R (M::*)(P...) noexcept> : Signature<R (M::*)(P...)> {};
template <class M, class R, class... P>
struct Signature<R (M::*)(P...) const noexcept> : Signature<R (M::*)(P...)> {};

template <class T>
concept ForwardsTensor = requires(T& module, const Tensor& x) {
  { module.forward(x) } -> std::same_as<Tensor>;
};

template <class T>
AnyValue forward_any(Module& base, std::vector<AnyValue>& arguments) {
  T& module = dynamic_cast<T&>(base);
  if constexpr (requires { module.any_forward(arguments); }) {
    return module.any_forward(arguments);
  } else if constexpr (requires { &T::forward; }) {
    return Signature<decltype(&T::forward)>::run(module, arguments);
  } else {
    static_assert(
        ForwardsTensor<T>,
        "a module in an AnyModule needs a forward() that is not overloaded, or takes one Tensor");
    if (arguments.size() != 1) wrong_argument_count(typeid(T), 1, 1, arguments.size());
    return AnyValue(module.forward(argument<const Tensor&>(arguments, 0)));
  }
}

template <class T>
const ForwardTable& forward_table() {
  Tensor (*tensor)(Module&, const Tensor&) = nullptr;
  if constexpr (ForwardsTensor<T>) {
    tensor = [](Module& module, const Tensor& x) -> Tensor {
      // A T by construction; static_cast where there is no virtual base.
      if constexpr (requires { static_cast<T&>(module); })
        return static_cast<T&>(module).forward(x);
      else
        return dynamic_cast<T&>(module).forward(x);
    };
  }
  static const ForwardTable table{typeid(T), tensor, forward_any<T>};
  return table;
}

}  // namespace detail

// Copies share the module. Members throw Error if it is empty.
class AnyModule {
 public:
  AnyModule() = default;
  template <std::derived_from<Module> T>
  AnyModule(const std::shared_ptr<T>& module)  // NOLINT
      : module_(detail::module_pointer(module)), table_(&detail::forward_table<T>()) {}
  template <class T>
  AnyModule(const ModuleHolder<T>& module) : AnyModule(module.ptr()) {}  // NOLINT
  // Copies or moves the module into a shared one.
  template <class T>
  requires std::derived_from<std::remove_cvref_t<T>, Module>
  explicit AnyModule(T&& module)
      : AnyModule(std::make_shared<std::remove_cvref_t<T>>(std::forward<T>(module))) {}
  AnyModule(const AnyModule& other)
      : module_(detail::follow_clone(other.module_)), table_(other.table_) {}
  AnyModule(AnyModule&&) noexcept = default;
  AnyModule& operator=(const AnyModule&) = default;
  AnyModule& operator=(AnyModule&&) noexcept = default;

  // module->forward(arguments...), as an R. The arguments must have the exact types of forward()'s
  // parameters and the result that of R; otherwise throws TypeError, or Error if their number is
  // wrong.
  template <class R = Tensor, class... Arguments>
  R forward(Arguments&&... arguments) const {
    if constexpr (std::same_as<R, Tensor> && sizeof...(Arguments) == 1 &&
                  (std::derived_from<std::remove_cvref_t<Arguments>, Tensor> && ...)) {
      if (module_ && table_->tensor) return table_->tensor(*module_, arguments...);
    }
    return any_forward({AnyValue(std::forward<Arguments>(arguments))...}).template get<R>();
  }
  AnyValue any_forward(std::vector<AnyValue> arguments) const {
    check("forward");
    return table_->any(*module_, arguments);
  }

  // The module as a reference to its Impl, or as a handle: get<nn::LinearImpl>().weight,
  // get<nn::Linear>()->weight. Throws TypeError if it is not of exactly that type.
  template <class T>
  decltype(auto) get() const {
    check("get");
    if constexpr (std::derived_from<T, Module>) {
      if (table_->type != typeid(T)) wrong_cast(typeid(T));
      return dynamic_cast<T&>(*module_);
    } else {
      return T(ptr<T>());
    }
  }
  template <class T>
  std::shared_ptr<typename detail::Contained<T>::type> ptr() const {
    return {ptr(), &get<typename detail::Contained<T>::type>()};
  }
  const std::shared_ptr<Module>& ptr() const {
    check("ptr");
    return module_;
  }
  const std::type_info& type_info() const {
    check("type_info");
    return table_->type;
  }
  bool is_empty() const noexcept { return module_ == nullptr; }
  AnyModule clone(const std::optional<Device>& device = std::nullopt) const;

 private:
  void check(const char* function) const {
    TARN_CHECK(module_, "Cannot call ", function, "() on an empty AnyModule");
  }
  [[noreturn]] void wrong_cast(const std::type_info& asked) const;

  std::shared_ptr<Module> module_;
  const detail::ForwardTable* table_ = nullptr;
};

}  // namespace tarn::nn
