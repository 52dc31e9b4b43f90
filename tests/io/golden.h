#pragma once
// Whole files that PyTorch and numpy wrote (tests/golden/torch_files.py).

#include <string>

#include "tarn/io/serialize.h"
#include "tarn/tests/support/golden.h"

namespace tarn::testing {

inline std::string golden_file(const std::string& name) {
  static const Golden golden("torch_files.safetensors");
  const Tensor& bytes = golden[name];
  return {static_cast<const char*>(bytes.data_ptr()), static_cast<size_t>(bytes.numel())};
}
inline Value golden_value(const std::string& name) {
  const std::string file = golden_file(name);
  return load(file.data(), file.size());
}

}  // namespace tarn::testing
