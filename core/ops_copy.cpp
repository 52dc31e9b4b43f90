// Copies: between dtypes and devices, into tensors, and handles without history.
#include <cstring>

#include "tarn/core/factories.h"
#include "tarn/core/grad_state.h"
#include "tarn/core/node.h"
#include "tarn/core/shape.h"
#include "tarn/device/cuda.h"
#include "tarn/device/memory.h"

namespace tarn {
namespace {

// Between devices bytes travel densely, in the smaller of the two dtypes.
void copy_across(const Tensor& out, const Tensor& from) {
  const bool widens = out.element_size() > from.element_size();
  const ScalarType dtype = widens ? from.dtype() : out.dtype();
  const Tensor sent = from.to(dtype).contiguous();
  const bool lands = out.dtype() == dtype && out.is_contiguous();
  const Tensor landing = lands ? out : detail::make_empty(out.sizes(), dtype, out.device());
  copy_bytes(landing.data_ptr(), out.device(), sent.data_ptr(), from.device(), sent.nbytes());
  if (!lands) kernels(out.device()).copy(out.impl().view(), landing.impl().view());
}

// Same shape, any dtypes and devices. Outside of the graph.
void copy_values(const Tensor& out, const Tensor& from) {
  if (!(out.device() == from.device())) return copy_across(out, from.detach());
  const KernelTable& table = kernels(out.device());
  if (!table.copy) missing_kernel("copy_", table);
  table.copy(out.impl().view(), from.impl().view());
}

Tensor copied(const Tensor& x, ScalarType dtype, Device device, MemoryFormat format,
              const char* name) {
  Tensor out = format == MemoryFormat::Preserve ? detail::make_result(x.sizes(), dtype, device, x)
                                                : detail::make_empty(x.sizes(), dtype, device);
  copy_values(out, x);
  if (is_floating_point(dtype) && needs_grad({&x})) {
    record(out, name, {&x}, {},
           [from = x.options()](const Tensor& g, Backward&) { return g.to(from); });
  }
  return out;
}

}  // namespace

Tensor Tensor::to(const TensorOptions& options, bool, bool copy) const {
  TARN_CHECK(!options.requires_grad(),
             "[to] options with requires_grad set to true are not supported: use "
             "requires_grad_() on the result");
  const ScalarType dtype = options.dtype_opt().value_or(this->dtype());
  const Device device = with_index(options.device_opt().value_or(this->device()));
  if (!copy && dtype == this->dtype() && device == this->device()) return *this;
  // Gaps and overlaps are not worth keeping, and nor is the order then.
  const MemoryFormat format =
      is_dense(sizes(), strides()) ? MemoryFormat::Preserve : MemoryFormat::Contiguous;
  return copied(*this, dtype, device, format, "ToCopyBackward0");
}

Tensor Tensor::to(ScalarType dtype, bool non_blocking, bool copy) const {
  if (!copy && dtype == this->dtype()) return *this;
  return to(TensorOptions(dtype), non_blocking, copy);
}

Tensor Tensor::to(Device device, ScalarType dtype, bool non_blocking, bool copy) const {
  return to(TensorOptions(dtype).device(device), non_blocking, copy);
}

Tensor Tensor::to(const Tensor& other, bool non_blocking, bool copy) const {
  return to(other.options(), non_blocking, copy);
}

Tensor Tensor::clone(MemoryFormat format) const {
  return copied(*this, dtype(), device(), format, "CloneBackward0");
}

Tensor Tensor::contiguous() const {
  return is_contiguous() ? *this : clone(MemoryFormat::Contiguous);
}

Tensor Tensor::detach() const { return alias(*this, sizes(), strides(), storage_offset(), false); }

const Tensor& Tensor::detach_() const {
  TARN_CHECK(!is_view(), "Can't detach views in-place. Use detach() instead");
  impl().grad_fn = nullptr;
  impl().requires_grad = false;
  return *this;
}

Tensor Tensor::data() const {
  Tensor t = detach();
  t.impl().own_version = true;
  t.impl().private_version = 0;
  return t;
}

void Tensor::set_data(const Tensor& other) const {
  TARN_CHECK(!requires_grad() || other.is_floating_point(),
             "set_data: a tensor that requires gradients cannot be given data of type ",
             other.dtype());
  TensorImpl& to = impl();
  const TensorImpl& from = other.impl();
  to.storage = from.storage;
  to.dtype = from.dtype;
  to.set_geometry(from.sizes(), from.strides(), from.offset);
  if (to.grad_state && to.grad_state->accumulator) to.grad_state->accumulator->set_output(0, to);
}

const Tensor& Tensor::copy_(const Tensor& source, bool) const {
  if (is_same(source)) return *this;
  if (!is_broadcastable_to(source.sizes(), sizes())) {
    throw ShapeError(str("[copy_] output with shape ", sizes(),
                         " doesn't match the broadcast shape ", source.sizes(),
                         ": the expanded size of the tensor must match the existing size at every "
                         "non-singleton dimension"));
  }
  const bool recorded = is_floating_point() && needs_grad({this, &source});
  check_inplace("copy_", *this, recorded);
  IntrusivePtr<Node> node;
  if (recorded) {
    node = make_node("CopyBackwards", {this, &source}, {}, [](Backward& b) {
      if (b.needs(0)) b[0] = zeros_like(b.grad());
      if (b.needs(1)) b[1] = b.grad();
    });
  }
  {
    const NoGradGuard guard;
    // Bytes that are read and written are read first.
    Tensor from = source.storage().is_same(storage()) ? source.clone() : source;
    // What repeats is sent once.
    if (from.device() != device() && from.numel() < numel()) from = from.to(device());
    copy_values(*this, from.expand(sizes()));
  }
  inplace_history(*this, std::move(node));
  return *this;
}

const Tensor& Tensor::fill_(const Scalar& value) const {
  const bool recorded = needs_grad({this});
  check_inplace("fill_", *this, recorded);
  IntrusivePtr<Node> node;
  if (recorded) {
    node = make_node("FillBackward0", {this}, {},
                     [](const Tensor& g, Backward&) { return zeros_like(g); });
  }
  const KernelTable& table = kernels(device());
  if (!table.fill) missing_kernel("fill_", table);
  table.fill(impl().view(), detail::fill_value(value, dtype()));
  inplace_history(*this, std::move(node));
  return *this;
}

const Tensor& Tensor::fill_(const Tensor& value) const {
  TARN_CHECK(value.dim() == 0, "fill_ only supports 0-dimension value tensor but got tensor with ",
             value.dim(), " dimensions.");
  return copy_(value);
}

const Tensor& Tensor::resize_(IntArrayRef sizes) const {
  TARN_CHECK(!requires_grad(), "cannot resize variables that require grad");
  const Tensor larger = detail::make_empty(sizes, dtype(), device());
  TensorImpl& t = impl();
  const size_t needed = static_cast<size_t>((t.offset + larger.numel()) * element_size());
  if (needed > t.storage.nbytes()) {
    TARN_CHECK(!is_view(), "resize_: a view cannot grow beyond its storage; resize its base");
    // The old bytes keep their place at the front.
    if (t.storage.nbytes() > 0) {
      const int64_t old = std::min<int64_t>(
          static_cast<int64_t>(t.storage.nbytes()) / element_size() - t.offset, larger.numel());
      const Tensor line = from_storage(t.storage, dtype(), {old}, {1}, t.offset);
      copy_values(from_storage(larger.storage(), dtype(), {old}, {1}, 0), line);
    }
    t.storage = larger.storage();
    t.offset = 0;
  }
  t.set_geometry(sizes, contiguous_strides(sizes), t.offset);
  return *this;
}

}  // namespace tarn
