// TensorOptions: dtype, device and requires_grad of a tensor to be made.
#pragma once

#include <optional>
#include <string>

#include "tarn/device/device.h"
#include "tarn/kernels/dtype.h"

namespace tarn {

// The dtype of new floating-point tensors; float32 unless set. Only floating-point types are
// allowed.
ScalarType get_default_dtype();
void set_default_dtype(ScalarType dtype);

enum class Layout : int8_t { Strided };
inline constexpr Layout kStrided = Layout::Strided;

// The order of a copy's elements in memory: rows one after another, or as in the tensor copied.
enum class MemoryFormat : int8_t { Contiguous, Preserve };

// Each part may be left unset; factories fill in the default. Setters return a changed copy:
// `zeros({2, 3}, dtype(kDouble).device("cuda:0").requires_grad(true))`.
class TensorOptions {
 public:
  TensorOptions() = default;
  TensorOptions(ScalarType dtype) : dtype_(dtype) {}  // NOLINT
  TensorOptions(Device device) : device_(device) {}   // NOLINT
  TensorOptions(DeviceType type) : device_(type) {}   // NOLINT
  // A template, so that the number 0 is not taken for a null string: arange(10, 0).
  template <class T>
  requires(std::is_convertible_v<T, const char*> && !std::is_null_pointer_v<T>)
      TensorOptions(const T& device)
      : device_(Device(device)) {}                                       // NOLINT
  TensorOptions(const std::string& device) : device_(Device(device)) {}  // NOLINT
  TensorOptions(DeviceType type, int64_t index) : device_(Device(type, index)) {}
  TensorOptions(Layout) {}  // NOLINT

  TensorOptions dtype(std::optional<ScalarType> dtype) const {
    TensorOptions r = *this;
    r.dtype_ = dtype;
    return r;
  }
  template <class T>
  TensorOptions dtype() const {
    return dtype(ScalarTypeOf<T>);
  }
  TensorOptions device(std::optional<Device> device) const {
    TensorOptions r = *this;
    r.device_ = device;
    return r;
  }
  TensorOptions device(DeviceType type, int64_t index) const { return device(Device(type, index)); }
  TensorOptions device_index(int64_t index) const { return device(Device(kCUDA, index)); }
  TensorOptions requires_grad(std::optional<bool> requires_grad) const {
    TensorOptions r = *this;
    r.requires_grad_ = requires_grad;
    return r;
  }
  TensorOptions layout(Layout) const { return *this; }

  ScalarType dtype() const { return dtype_.value_or(get_default_dtype()); }
  Device device() const { return device_.value_or(Device(kCPU)); }
  bool requires_grad() const { return requires_grad_.value_or(false); }
  Layout layout() const { return kStrided; }
  bool has_dtype() const { return dtype_.has_value(); }
  bool has_device() const { return device_.has_value(); }
  bool has_requires_grad() const { return requires_grad_.has_value(); }
  std::optional<ScalarType> dtype_opt() const { return dtype_; }
  std::optional<Device> device_opt() const { return device_; }

  friend bool operator==(const TensorOptions& a, const TensorOptions& b) {
    return a.dtype() == b.dtype() && a.device() == b.device() &&
           a.requires_grad() == b.requires_grad();
  }

 private:
  std::optional<ScalarType> dtype_;
  std::optional<Device> device_;
  std::optional<bool> requires_grad_;
};

inline TensorOptions dtype(ScalarType dtype) { return TensorOptions(dtype); }
inline TensorOptions device(Device device) { return TensorOptions(device); }
inline TensorOptions device_index(int64_t index) { return TensorOptions().device_index(index); }
inline TensorOptions layout(Layout layout) { return TensorOptions(layout); }
inline TensorOptions requires_grad(bool value = true) {
  return TensorOptions().requires_grad(value);
}

}  // namespace tarn
