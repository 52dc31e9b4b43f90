// TensorDataContainer and tensor(): tensors from numbers in the source text.
#include <algorithm>
#include <cstring>

#include "tarn/core/factories.h"
#include "tarn/core/shape.h"
#include "tarn/kernels/kernel_table.h"

namespace tarn {
namespace detail {
namespace {

// "2" or "2 3".
std::string join(IntArrayRef sizes) {
  std::string text;
  for (int64_t size : sizes) text += str(text.empty() ? "" : " ", size);
  return text;
}

}  // namespace

TensorDataContainer::TensorDataContainer(std::initializer_list<TensorDataContainer> list)
    : dtype_(list.begin()->dtype_), list_(list) {
  const TensorDataContainer& first = *list.begin();
  for (const TensorDataContainer& part : list) {
    if (!first.sizes().equals(part.sizes())) {
      throw ShapeError(str("[tensor] Expected all sub-lists to have sizes: ", join(first.sizes()),
                           " (e.g. ", first, "), but got sub-list ", part,
                           " with sizes: ", join(part.sizes())));
    }
    if (first.dtype_ != part.dtype_) {
      throw TypeError(
          str("[tensor] Expected all elements of the tensor to have the same scalar type: ",
              first.dtype_, ", but got element of scalar type: ", part.dtype_));
    }
  }
  sizes_.push_back(static_cast<int64_t>(list.size()));
  sizes_.append(first.sizes());
}

TensorDataContainer::TensorDataContainer(const void* values, size_t count, ScalarType dtype)
    : kind_(Kind::Values), sizes_{static_cast<int64_t>(count)}, dtype_(dtype) {
  tensor_ = make_empty(sizes_, dtype, kCPU);
  if (count > 0) std::memcpy(tensor_.data_ptr(), values, tensor_.nbytes());
}

TensorDataContainer::TensorDataContainer(const std::vector<bool>& values)
    : kind_(Kind::Values), sizes_{static_cast<int64_t>(values.size())}, dtype_(kBool) {
  tensor_ = make_empty(sizes_, kBool, kCPU);
  std::copy(values.begin(), values.end(), tensor_.data_ptr<bool>());
}

const Scalar& TensorDataContainer::scalar() const {
  TARN_CHECK(is_scalar(),
             "Can only call `scalar()` on a TensorDataContainer that has `is_scalar() == true`");
  return scalar_;
}

const std::initializer_list<TensorDataContainer>& TensorDataContainer::init_list() const {
  TARN_CHECK(
      is_init_list(),
      "Can only call `init_list()` on a TensorDataContainer that has `is_init_list() == true`");
  return list_;
}

const Tensor& TensorDataContainer::tensor() const {
  TARN_CHECK(is_tensor(),
             "Can only call `tensor()` on a TensorDataContainer that has `is_tensor() == true`");
  return tensor_;
}

Tensor TensorDataContainer::to_tensor(const TensorOptions& options) const {
  ScalarType dtype = dtype_;
  if (dtype == kInt) dtype = kLong;
  if (dtype == kDouble || dtype == kFloat) dtype = get_default_dtype();
  Tensor out = make_empty(sizes_, options.dtype_opt().value_or(dtype), kCPU);
  write(out.impl().view());
  out = out.to(options.device(), out.dtype());
  return options.requires_grad() ? out.requires_grad_() : out;
}

void TensorDataContainer::write(const View& out) const {
  if (is_scalar()) {
    visit(out.dtype, [&]<class T>(T) { *out.as<T>() = scalar_.to<T>(); });
  } else if (is_tensor()) {
    if (tensor_.numel() > 0) kernels(kCPU).copy(out, tensor_.impl().view());
  } else {
    View part{out.data, out.sizes + 1, out.strides + 1, out.ndim - 1, out.dtype};
    for (const TensorDataContainer& value : list_) {
      value.write(part);
      part.data = static_cast<char*>(part.data) + out.strides[0] * element_size(out.dtype);
    }
  }
}

std::ostream& operator<<(std::ostream& os, const TensorDataContainer& data) {
  if (data.is_scalar()) {
    return data.scalar_type() == kBool ? os << data.scalar().toLong() : os << data.scalar();
  }
  os << '{';
  if (data.is_init_list()) {
    const char* separator = "";
    for (const TensorDataContainer& part : data.init_list()) {
      os << separator << part;
      separator = ", ";
    }
  } else {
    for (int64_t i = 0; i < data.tensor().numel(); ++i)
      os << (i > 0 ? ", " : "") << data.tensor()[i].item();
  }
  return os << '}';
}

}  // namespace detail

Tensor tensor(const detail::TensorDataContainer& data, const TensorOptions& options) {
  return data.to_tensor(options);
}

}  // namespace tarn
