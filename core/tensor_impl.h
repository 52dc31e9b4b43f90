// TensorImpl: what a Tensor handle points to. Internal; programs use Tensor.
#pragma once

#include <memory>

#include "tarn/core/small_vector.h"
#include "tarn/core/storage.h"
#include "tarn/kernels/view.h"

namespace tarn {

class Tensor;
class Node;

// Gradient state that only leaves and tensors with special treatment need.
struct GradState;

struct TensorImpl final : RefCounted {
  TensorImpl(Storage storage, ScalarType dtype, IntArrayRef sizes, IntArrayRef strides,
             int64_t offset);
  // Contiguous.
  TensorImpl(Storage storage, ScalarType dtype, IntArrayRef sizes);
  ~TensorImpl();
  static void dispose(TensorImpl* impl) noexcept { delete impl; }

  // Replaces the geometry, keeping storage and dtype.
  void set_geometry(IntArrayRef sizes, IntArrayRef strides, int64_t offset);

  IntArrayRef sizes() const { return {dims, static_cast<size_t>(ndim)}; }
  IntArrayRef strides() const { return {dims + ndim, static_cast<size_t>(ndim)}; }
  void* data() const { return static_cast<char*>(storage.data()) + offset * element_size(dtype); }
  View view() const { return {data(), dims, dims + ndim, ndim, dtype}; }

  Storage storage;
  int64_t offset = 0;  // in elements, from the start of the storage
  int64_t numel = 0;
  int64_t* dims;  // ndim sizes, then ndim strides
  int32_t ndim = 0;
  ScalarType dtype;
  bool contiguous = true;
  bool requires_grad = false;      // asked for by the user; leaves only
  bool own_version = false;        // Tensor::data(): writes are not counted on the storage
  bool made_without_grad = false;  // a view created under NoGradGuard
  uint32_t output_nr = 0;

  // Autograd. grad_fn is null for leaves. `base` is set on views: the tensor whose storage this is,
  // never itself a view; grad_fn_version is the storage's version grad_fn was made for.
  IntrusivePtr<Node> grad_fn;
  IntrusivePtr<TensorImpl> base;
  uint32_t grad_fn_version = 0;
  uint32_t private_version = 0;  // used instead of the storage's when own_version
  std::unique_ptr<GradState> grad_state;

 private:
  void reserve_dims(size_t n);
  void release_dims();
  static constexpr int kInlineDims = 5;
  int64_t inline_dims_[2 * kInlineDims];
};

}  // namespace tarn
