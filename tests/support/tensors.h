#pragma once
// Tensors for tests, made without any operation.

#include <cstring>
#include <initializer_list>
#include <vector>

#include "tarn/core/tensor.h"

namespace tarn::testing {

// A contiguous tensor of dtype T holding `values` in order.
template <typename T>
Tensor make_tensor(const std::vector<T>& values, const std::vector<int64_t>& sizes) {
  const Storage storage = Storage::allocate(values.size() * sizeof(T), kCPU);
  if (!values.empty()) std::memcpy(storage.data(), values.data(), values.size() * sizeof(T));
  std::vector<int64_t> strides(sizes.size());
  int64_t stride = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= sizes[i] > 1 ? sizes[i] : 1;
  }
  return Tensor::from_storage(storage, ScalarTypeOf<T>, sizes, strides, 0);
}

// A second tensor over the storage of `base`.
inline Tensor view_of(const Tensor& base, const std::vector<int64_t>& sizes,
                      const std::vector<int64_t>& strides, int64_t offset) {
  return Tensor::from_storage(base.storage(), base.scalar_type(), sizes, strides, offset);
}

// The elements in logical order.
template <typename T>
std::vector<T> elements(const Tensor& tensor) {
  const Tensor dense = tensor.detach().cpu().contiguous();
  const T* data = dense.data_ptr<T>();
  return std::vector<T>(data, data + dense.numel());
}

}  // namespace tarn::testing
