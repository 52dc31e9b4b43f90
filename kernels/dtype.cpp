#include "tarn/kernels/dtype.h"

namespace tarn {

const char* to_string(ScalarType type) {
  constexpr const char* kNames[] = {"Byte",  "Char",   "Short", "Int",      "Long",     "Half",
                                    "Float", "Double", "Bool",  "BFloat16", "Undefined"};
  return kNames[static_cast<int>(type)];
}

const char* python_name(ScalarType type) {
  constexpr const char* kNames[] = {"uint8", "int8",     "int16",    "int32",
                                    "int64", "float16",  "float32",  "float64",
                                    "bool",  "bfloat16", "undefined"};
  return kNames[static_cast<int>(type)];
}

std::ostream& operator<<(std::ostream& os, ScalarType type) { return os << to_string(type); }

}  // namespace tarn
