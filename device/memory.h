// Bytes on any device: the one door for what lies above this layer.
#pragma once

#include <cstddef>

#include "tarn/device/allocator.h"
#include "tarn/device/device.h"

namespace tarn {

// `bytes` uninitialised bytes on a device, aligned to 64 on the CPU and to 512 on CUDA, for the
// calling thread's current stream; nullptr for 0. Throws OutOfMemoryError once the device has none
// left and its cache was emptied, or DeviceError for a device that is not there.
[[nodiscard]] void* allocate(size_t bytes, Device device);
// Takes back what the allocate above returned. Works at any time, also at exit.
void deallocate(void* block, size_t bytes, Device device) noexcept;

// Copies between any two places. Both are ordered with the streams of their devices; CPU memory may
// be reused, or read, on return.
void copy_bytes(void* to, Device to_device, const void* from, Device from_device, size_t bytes);

namespace detail {

// Throws DeviceError, saying why this build or machine does not have the CUDA device.
[[noreturn]] void fail_missing(Device device);

}  // namespace detail
}  // namespace tarn
