#pragma once
// Uses a loaded value in full, for a sanitizer to object to.

#include <cstdint>
#include <unordered_set>

#include "tarn/core/value.h"

namespace tarn::testing {

// The sum of all bytes from the first to the last that an element of a tensor of `value` lies in.
// They lie in the tensor's storage, whatever the strides; containers are visited once, as they may
// hold each other many times over.
class ElementReader {
 public:
  uint64_t sum = 0;

  void read(const Value& value) {
    if (value.is_tensor()) read(value.to_tensor());
    const bool is_dict = value.is_dict();
    if (!is_dict && !value.is_list() && !value.is_tuple()) return;
    if (!seen_.insert(value.identity()).second) return;
    if (is_dict) {
      for (const auto& [key, element] : value.entries()) read(element);
      read(value.metadata());
    } else {
      for (const Value& element : value) read(element);
    }
  }

 private:
  void read(const Tensor& tensor) {
    if (tensor.numel() == 0) return;
    int64_t last = 0;
    for (int64_t d = 0; d < tensor.dim(); ++d) last += (tensor.size(d) - 1) * tensor.stride(d);
    const auto* bytes = static_cast<const unsigned char*>(tensor.data_ptr());
    for (int64_t i = 0; i < (last + 1) * tensor.element_size(); ++i) sum += bytes[i];
  }

  std::unordered_set<const void*> seen_;
};

}  // namespace tarn::testing
