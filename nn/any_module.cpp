#include "tarn/nn/any_module.h"

namespace tarn::nn {

using detail::type_name;

void AnyValue::wrong_type(const std::type_info& asked) const {
  throw TypeError(str("Attempted to cast AnyValue to ", type_name(asked),
                      ", but its actual type is ", type_name(type_info())));
}

void detail::wrong_argument_count(const std::type_info& module, size_t least, size_t most,
                                  size_t given) {
  const std::string expected =
      least == most ? str(most) : str("at least ", least, " argument(s) and at most ", most);
  throw Error(str(type_name(module), "'s forward() method expects ", expected,
                  " argument(s), but received ", given, "."));
}

void detail::wrong_argument_type(size_t position, const std::type_info& wanted,
                                 const std::type_info& given) {
  throw TypeError(str("Expected argument #", position, " to be of type ", type_name(wanted),
                      ", but received value of type ", type_name(given)));
}

void AnyModule::wrong_cast(const std::type_info& asked) const {
  throw TypeError(str("Attempted to cast module of type ", type_name(table_->type), " to type ",
                      type_name(asked)));
}

AnyModule AnyModule::clone(const std::optional<Device>& device) const {
  check("clone");
  AnyModule copy = *this;
  copy.module_ = module_->clone(device);
  return copy;
}

}  // namespace tarn::nn
