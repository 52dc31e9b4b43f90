// TensorBase: what a tensor is - shape, dtype, device, storage, gradient state - without
// arithmetic.
//
// Tensor (core/ops.h) adds the operations. Names, argument order and defaults are libtorch's
// (https://pytorch.org/cppdocs/api/classat_1_1_tensor.html).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tarn/core/array_ref.h"
#include "tarn/core/options.h"
#include "tarn/core/scalar.h"
#include "tarn/core/tensor_impl.h"

namespace tarn {

using TensorList = ArrayRef<Tensor>;
namespace cuda {
class Stream;
}
namespace indexing {
class TensorIndex;
}

// The elements of a CPU tensor by index, which is not checked: `auto a = x.accessor<float, 2>();
// a[i][j] = 1;`. Must not outlive the tensor.
template <class T, size_t N>
class TensorAccessor {
 public:
  TensorAccessor(T* data, const int64_t* sizes, const int64_t* strides)
      : data_(data), sizes_(sizes), strides_(strides) {}

  int64_t size(size_t d) const { return sizes_[d]; }
  int64_t stride(size_t d) const { return strides_[d]; }
  IntArrayRef sizes() const { return IntArrayRef(sizes_, N); }
  IntArrayRef strides() const { return IntArrayRef(strides_, N); }
  T* data() const { return data_; }
  // An element, or for N > 1 an accessor of the dimensions that are left.
  decltype(auto) operator[](int64_t i) const {
    T* const position = data_ + i * strides_[0];
    if constexpr (N == 1) {
      return static_cast<T&>(*position);
    } else {
      return TensorAccessor<T, N - 1>(position, sizes_ + 1, strides_ + 1);
    }
  }

 private:
  T* data_;
  const int64_t *sizes_, *strides_;
};

// A shared handle: copying it copies no data. A default-constructed one is undefined. Reading one
// tensor from several threads is safe; writing needs the caller's synchronisation.
class TensorBase {
 public:
  TensorBase() = default;
  explicit TensorBase(IntrusivePtr<TensorImpl> impl) : impl_(std::move(impl)) {}

  // A tensor over existing bytes: element i of dimension d lies strides[d] * i elements further.
  // Throws unless every element lies inside the storage.
  static Tensor from_storage(Storage storage, ScalarType dtype, IntArrayRef sizes,
                             IntArrayRef strides, int64_t storage_offset = 0);

  // --- Identity -----------------------------------------------------------------------------
  bool defined() const { return static_cast<bool>(impl_); }
  void reset() { impl_ = nullptr; }
  bool is_same(const TensorBase& other) const { return impl_ == other.impl_; }
  size_t use_count() const { return impl_ ? impl_->use_count() : 0; }
  TensorImpl* unsafeGetTensorImpl() const { return impl_.get(); }
  // The implementation; throws Error for an undefined tensor.
  TensorImpl& impl() const {
    if (!impl_) [[unlikely]]
      undefined();
    return *impl_;
  }

  // --- Shape --------------------------------------------------------------------------------
  int64_t dim() const { return impl().ndim; }
  int64_t ndimension() const { return dim(); }
  IntArrayRef sizes() const { return impl().sizes(); }
  IntArrayRef strides() const { return impl().strides(); }
  // d may be negative. Throws IndexError out of range.
  int64_t size(int64_t d) const;
  int64_t stride(int64_t d) const;
  int64_t numel() const { return impl().numel; }
  bool is_contiguous() const { return impl().contiguous; }
  int64_t storage_offset() const { return impl().offset; }
  const Storage& storage() const { return impl().storage; }
  bool is_view() const { return static_cast<bool>(impl().base); }
  // The tensor this one is a view of; throws Error if it is not a view.
  Tensor _base() const;

  // --- Type and place -----------------------------------------------------------------------
  ScalarType dtype() const { return impl().dtype; }
  ScalarType scalar_type() const { return impl().dtype; }
  int64_t element_size() const { return tarn::element_size(dtype()); }
  int64_t itemsize() const { return element_size(); }
  size_t nbytes() const { return static_cast<size_t>(numel() * element_size()); }
  bool is_floating_point() const { return tarn::is_floating_point(dtype()); }
  bool is_signed() const { return tarn::is_signed(dtype()); }
  Device device() const { return impl().storage.device(); }
  Layout layout() const { return kStrided; }
  bool is_cpu() const { return device().is_cpu(); }
  bool is_cuda() const { return device().is_cuda(); }
  int64_t get_device() const { return device().index(); }
  // dtype and device; never requires_grad.
  TensorOptions options() const { return TensorOptions(dtype()).device(device()); }
  // Tells that `stream` also uses this CUDA memory: once freed, it is not handed out again before
  // the work enqueued there by then is done. Throws DeviceError if the devices differ.
  void record_stream(const cuda::Stream& stream) const;
  // "CPUFloatType"
  std::string toString() const;

  // --- Elements -----------------------------------------------------------------------------
  // The first element's address. The typed form throws TypeError unless T is the dtype's type.
  void* data_ptr() const { return impl().data(); }
  template <class T>
  T* data_ptr() const {
    if (dtype() != ScalarTypeOf<T>) wrong_data_type(ScalarTypeOf<T>);
    return static_cast<T*>(data_ptr());
  }
  template <class T>
  T* mutable_data_ptr() const {
    return data_ptr<T>();
  }
  template <class T>
  const T* const_data_ptr() const {
    return data_ptr<std::remove_const_t<T>>();
  }
  // Throws Error unless the tensor has N dimensions and is on the CPU.
  template <class T, size_t N>
  TensorAccessor<T, N> accessor() const& {
    static_assert(N > 0, "accessor is for tensors with dimensions; for one element use item<T>()");
    check_accessor(N);
    return TensorAccessor<T, N>(data_ptr<T>(), sizes().data(), strides().data());
  }
  template <class T, size_t N>
  TensorAccessor<T, N> accessor() && = delete;
  // The value of a one-element tensor, copied from its device. Throws Error for other sizes.
  Scalar item() const;
  template <class T>
  T item() const {
    return item().to<T>();
  }

  // --- Autograd -----------------------------------------------------------------------------
  bool requires_grad() const;
  // Only floating-point leaves may be asked to require gradients.
  const Tensor& requires_grad_(bool value = true) const;
  const Tensor& set_requires_grad(bool value) const { return requires_grad_(value); }
  bool is_leaf() const;
  // The operation that made this tensor, null for leaves.
  IntrusivePtr<Node> grad_fn() const;
  uint32_t output_nr() const { return impl().output_nr; }
  // The accumulated gradient: undefined until backward() reaches this leaf. Reading it of a
  // non-leaf that does not retain its gradient warns.
  const Tensor& grad() const;
  Tensor& mutable_grad() const;
  // Keeps the gradient of a non-leaf as well.
  void retain_grad() const;
  bool retains_grad() const;
  // In-place writes so far to the bytes this tensor views.
  int64_t _version() const;
  // Gradients of this tensor with respect to the leaves, added to their grad(). `gradient` may be
  // left out for one-element tensors. `inputs` restricts the leaves.
  void backward(const Tensor& gradient, std::optional<bool> retain_graph = std::nullopt,
                bool create_graph = false, std::optional<TensorList> inputs = std::nullopt) const;
  void backward() const;
  void remove_hook(unsigned position) const;

 protected:
  [[noreturn]] static void undefined();
  [[noreturn]] void wrong_data_type(ScalarType asked) const;
  void check_accessor(size_t dims) const;
  unsigned add_hook(std::function<Tensor(const Tensor&)> hook) const;

  IntrusivePtr<TensorImpl> impl_;
};

}  // namespace tarn
