#pragma once
// Device: the place where a tensor's bytes live and its kernels run, as a small value type.

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>

#include "tarn/device/check.h"

namespace tarn {

enum class DeviceType : int8_t { CPU = 0, CUDA = 1 };

inline constexpr DeviceType kCPU = DeviceType::CPU;
inline constexpr DeviceType kCUDA = DeviceType::CUDA;

// libtorch's type of a device number. -1 means "no index given".
using DeviceIndex = int8_t;

// Names one device: a type and an index. `Device d = kCUDA`, `Device d("cuda:1")`,
// `Device d(kCUDA, 1)`. Constructing a Device checks only its form; whether the machine has it is
// found when it is used.
// Source: https://pytorch.org/docs/stable/tensor_attributes.html#torch.device
class Device {
 public:
  using Type = DeviceType;

  // The CPU.
  constexpr Device() noexcept = default;
  // Without an index: cpu, or the current CUDA device.
  constexpr Device(DeviceType type) noexcept : type_(type) {}
  // Throws DeviceError unless index is -1 (none) or 0 for the CPU, -1 to 127 for CUDA.
  constexpr Device(DeviceType type, int64_t index)
      : type_(type), index_(static_cast<DeviceIndex>(index)) {
    if (index < -1 || index > (type == DeviceType::CPU ? 0 : kMaxIndex)) bad_index(type, index);
  }
  // "cpu", "cpu:0", "cuda", "cuda:N" with N in 0..127 and no leading zeros. Throws DeviceError
  // otherwise.
  Device(std::string_view text);
  Device(const std::string& text) : Device(std::string_view(text)) {}
  Device(const char* text) : Device(text ? std::string_view(text) : std::string_view()) {}

  constexpr DeviceType type() const noexcept { return type_; }
  // The index as given, -1 if none was.
  constexpr DeviceIndex index() const noexcept { return index_; }
  constexpr bool has_index() const noexcept { return index_ >= 0; }
  // The number of the device: 0 if no index was given.
  constexpr DeviceIndex ordinal() const noexcept { return index_ < 0 ? DeviceIndex{0} : index_; }
  constexpr bool is_cpu() const noexcept { return type_ == DeviceType::CPU; }
  constexpr bool is_cuda() const noexcept { return type_ == DeviceType::CUDA; }
  // "cpu", "cuda", "cuda:1": as given, and accepted by the constructor.
  std::string str() const;

  // Compared, a missing index means 0: cuda == cuda:0 and cpu == cpu:0.
  friend constexpr bool operator==(Device a, Device b) noexcept {
    return a.type_ == b.type_ && a.ordinal() == b.ordinal();
  }

 private:
  static constexpr int64_t kMaxIndex = 127;
  [[noreturn]] static void bad_index(DeviceType type, int64_t index);

  DeviceType type_ = DeviceType::CPU;
  DeviceIndex index_ = -1;

  friend struct std::hash<Device>;
};

std::ostream& operator<<(std::ostream& stream, DeviceType type);
std::ostream& operator<<(std::ostream& stream, Device device);

}  // namespace tarn

// Agrees with operator==.
template <>
struct std::hash<tarn::Device> {
  size_t operator()(tarn::Device device) const noexcept {
    return (static_cast<size_t>(device.type_) << 8) | static_cast<size_t>(device.ordinal());
  }
};
