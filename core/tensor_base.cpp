#include "tarn/core/tensor_base.h"

#include <cstring>

#include "tarn/core/factories.h"
#include "tarn/core/grad_state.h"
#include "tarn/core/shape.h"
#include "tarn/device/capture.h"
#include "tarn/device/cuda.h"

namespace tarn {

TensorImpl::TensorImpl(Storage s, ScalarType type, IntArrayRef sizes)
    : storage(std::move(s)), dims(inline_dims_), dtype(type) {
  const size_t n = sizes.size();
  if (n > kInlineDims) [[unlikely]]
    reserve_dims(n);
  ndim = static_cast<int32_t>(n);
  int64_t stride = 1;
  for (size_t d = n; d-- > 0;) {
    dims[d] = sizes[d];
    dims[n + d] = stride;
    // Strides of an empty tensor are those it had if its empty dimensions were 1, as in PyTorch.
    stride *= sizes[d] > 0 ? sizes[d] : 1;
  }
  numel = 1;
  for (size_t d = 0; d < n; ++d) numel *= dims[d];
}

TensorImpl::TensorImpl(Storage s, ScalarType type, IntArrayRef sizes, IntArrayRef strides,
                       int64_t at)
    : storage(std::move(s)), dims(inline_dims_), dtype(type) {
  set_geometry(sizes, strides, at);
}

TensorImpl::~TensorImpl() {
  release_dims();
  if (grad_state) grad_state->detach_accumulator();
}

void TensorImpl::reserve_dims(size_t n) {
  if (n > kMaxDims)
    throw ShapeError(str("a tensor has at most ", kMaxDims, " dimensions, got ", n));
  release_dims();
  dims = n > kInlineDims ? static_cast<int64_t*>(allocate(2 * n * sizeof(int64_t))) : inline_dims_;
}

void TensorImpl::release_dims() {
  if (dims != inline_dims_) deallocate(dims, 2 * static_cast<size_t>(ndim) * sizeof(int64_t));
}

void TensorImpl::set_geometry(IntArrayRef sizes, IntArrayRef strides, int64_t at) {
  const size_t n = sizes.size();
  // The arguments may point into dims itself.
  const DimVector new_sizes(sizes), new_strides(strides);
  reserve_dims(n);
  ndim = static_cast<int32_t>(n);
  offset = at;
  std::memcpy(dims, new_sizes.data(), n * sizeof(int64_t));
  std::memcpy(dims + n, new_strides.data(), n * sizeof(int64_t));
  const View v{nullptr, dims, dims + n, ndim, dtype};
  numel = v.numel();
  contiguous = v.is_contiguous();
}

Tensor TensorBase::from_storage(Storage storage, ScalarType dtype, IntArrayRef sizes,
                                IntArrayRef strides, int64_t storage_offset) {
  check_geometry("from_storage", sizes, strides, storage_offset,
                 static_cast<int64_t>(storage.nbytes()) / tarn::element_size(dtype));
  return Tensor(IntrusivePtr<TensorImpl>::adopt(
      new TensorImpl(std::move(storage), dtype, sizes, strides, storage_offset)));
}

void TensorBase::undefined() {
  throw Error("an undefined tensor was used: it was default-constructed or reset");
}

void TensorBase::wrong_data_type(ScalarType asked) const {
  throw TypeError(str("expected scalar type ", asked, " but found ", dtype()));
}

int64_t TensorBase::size(int64_t d) const {
  return sizes()[static_cast<size_t>(wrap_dim("size", d, dim()))];
}

int64_t TensorBase::stride(int64_t d) const {
  return strides()[static_cast<size_t>(wrap_dim("stride", d, dim()))];
}

void TensorBase::check_accessor(size_t dims) const {
  TARN_CHECK(dim() == static_cast<int64_t>(dims), "TensorAccessor expected ", dims,
             " dims but tensor has ", dim());
  if (!is_cpu()) {
    throw DeviceError(str("[accessor] the elements are on ", device(), "\nHINT: use x.cpu()"));
  }
}

Tensor TensorBase::_base() const {
  TARN_CHECK(is_view(), "_base: this tensor is not a view of another");
  return Tensor(impl().base);
}

void TensorBase::record_stream(const cuda::Stream& stream) const {
  if (device() != stream.device()) {
    throw DeviceError(
        str("[record_stream] the tensor is on ", device(), ", the stream of ", stream.device()));
  }
  // What the tensor did not allocate is not handed out again by Tarn.
  const StorageImpl& bytes = *storage().unsafeGetStorageImpl();
  if (bytes.data && !bytes.deleter) cuda::record_stream(bytes.data, stream);
}

std::string TensorBase::toString() const {
  if (!defined()) return "UndefinedType";
  return str(is_cuda() ? "CUDA" : "CPU", dtype(), "Type");
}

Scalar TensorBase::item() const {
  TARN_CHECK(numel() == 1, "a Tensor with ", numel(), " elements cannot be converted to Scalar");
  if (is_cuda()) cuda::check_not_capturing("item");
  const Tensor host = static_cast<const Tensor&>(*this).to(Device(kCPU));
  return visit(dtype(),
               [&](auto tag) { return Scalar(*static_cast<decltype(tag)*>(host.data_ptr())); });
}

}  // namespace tarn
