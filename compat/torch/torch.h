// A program written for libtorch compiles against Tarn by this folder's include path alone (CMake
// target Tarn::torch), as far as it keeps to what Tarn has.
//
// `torch`, `at` and `c10` are namespaces that a program may reopen. Those inside torch are other
// names of Tarn's own, so that `nn::Linear` after `using namespace torch` means one thing; they
// cannot be reopened. Layers print themselves as torch::nn::Linear(...).
#pragma once

#include <tarn/tarn.h>

#include <optional>

namespace torch {

using namespace tarn;
namespace autograd = tarn::autograd;
namespace cuda = tarn::cuda;
namespace data = tarn::data;
namespace indexing = tarn::indexing;
namespace nn = tarn::nn;
namespace optim = tarn::optim;

using std::make_optional;
using std::nullopt;
using std::optional;
using Dtype = ScalarType;

// In Tarn a tensor's dtype() is a ScalarType.
inline ScalarType scalarTypeToTypeMeta(ScalarType dtype) { return dtype; }
inline ScalarType typeMetaToScalarType(ScalarType dtype) { return dtype; }

inline std::string toString(ScalarType dtype) { return str(dtype); }
constexpr size_t elementSize(ScalarType dtype) { return static_cast<size_t>(element_size(dtype)); }
constexpr bool isFloatingType(ScalarType dtype) { return is_floating_point(dtype); }
constexpr bool isIntegralType(ScalarType dtype, bool includeBool) {
  return is_integer(dtype) || (includeBool && dtype == kBool);
}

// Makes a CUDA device the current one for its lifetime; for the CPU it does nothing.
class OptionalDeviceGuard {
 public:
  OptionalDeviceGuard() = default;
  explicit OptionalDeviceGuard(std::optional<Device> device) {
    if (device) reset_device(*device);
  }
  void reset_device(Device device) {
    guard_.reset();
    if (device.is_cuda()) guard_.emplace(device);
  }
  void reset() { guard_.reset(); }

 private:
  std::optional<cuda::CUDAGuard> guard_;
};

class DeviceGuard : public OptionalDeviceGuard {
 public:
  explicit DeviceGuard(Device device) : OptionalDeviceGuard(device) {}
};

}  // namespace torch

// Tarn's kernels are its own.
namespace tarn::cuda {
constexpr bool cudnn_is_available() { return false; }
}  // namespace tarn::cuda

namespace at {
using namespace torch;
}
namespace c10 {
using namespace torch;
}
namespace caffe2 {
struct TypeMeta {
  template <class T>
  static constexpr tarn::ScalarType Make() {
    return tarn::ScalarTypeOf<T>;
  }
};
}  // namespace caffe2

namespace tarn::detail {

inline const bool prints_as_torch = (nn::detail::printed_library = "torch", true);

// The text of a failed check that was given none.
inline std::string check_text(const char* condition) {
  return str("Expected ", condition, " to be true, but got false.");
}
template <typename... Args>
std::string check_text(const char* /*condition*/, const Args&... args) {
  return str(args...);
}

}  // namespace tarn::detail

#define TORCH_CHECK_AS(Kind, condition, ...)                                                 \
  do {                                                                                       \
    if (!(condition)) [[unlikely]] {                                                         \
      throw ::tarn::Kind(::tarn::detail::check_text(#condition __VA_OPT__(, ) __VA_ARGS__)); \
    }                                                                                        \
  } while (false)
#define TORCH_CHECK(condition, ...) TORCH_CHECK_AS(Error, condition, __VA_ARGS__)
#define TORCH_CHECK_VALUE(condition, ...) TORCH_CHECK_AS(ValueError, condition, __VA_ARGS__)
#define TORCH_CHECK_INDEX(condition, ...) TORCH_CHECK_AS(IndexError, condition, __VA_ARGS__)
#define TORCH_CHECK_TYPE(condition, ...) TORCH_CHECK_AS(TypeError, condition, __VA_ARGS__)
#define TORCH_CHECK_NOT_IMPLEMENTED(condition, ...) \
  TORCH_CHECK_AS(NotImplementedError, condition, __VA_ARGS__)
#define TORCH_INTERNAL_ASSERT(condition, ...) TORCH_CHECK(condition, __VA_ARGS__)
#define AT_ASSERT(condition, ...) TORCH_CHECK(condition, __VA_ARGS__)
#define TORCH_WARN(...) ::tarn::warn(::tarn::str(__VA_ARGS__))

// The libtorch whose names Tarn follows.
#define TORCH_VERSION_MAJOR 2
#define TORCH_VERSION_MINOR 13
#define TORCH_VERSION_PATCH 0
#define TORCH_VERSION "2.13.0"

#define TORCH_MODULE(Name) TARN_MODULE(Name)
// Tarn finds default arguments of forward() by itself.
#define FORWARD_HAS_DEFAULT_ARGS(...)
#define TORCH_API

// A property of an options class: `TORCH_ARG(double, rate) = 0.1;` declares rate_, a getter
// rate() and a setter rate(value) that returns the object.
#define TORCH_ARG(T, name)                                 \
 public:                                                   \
  auto name(T value)->decltype(*this) {                    \
    this->name##_ = std::move(value);                      \
    return *this;                                          \
  }                                                        \
  const T& name() const noexcept { return this->name##_; } \
  T& name() noexcept { return this->name##_; }             \
                                                           \
 private:                                                  \
  T name##_
