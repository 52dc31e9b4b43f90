#include "tarn/device/memory.h"

#include <cstring>

#if TARN_CUDA
#include "tarn/device/cuda/memory.h"
#include "tarn/device/cuda/runtime.h"
#endif

namespace tarn {

#if TARN_CUDA

void* allocate(size_t bytes, Device device) {
  return device.is_cpu() ? allocate(bytes) : cuda::allocate(bytes, device.ordinal());
}

void deallocate(void* block, size_t bytes, Device device) noexcept {
  device.is_cpu() ? deallocate(block, bytes) : cuda::deallocate(block, device.ordinal());
}

void copy_bytes(void* to, Device to_device, const void* from, Device from_device, size_t bytes) {
  if (bytes == 0) return;
  if (to_device.is_cpu() && from_device.is_cpu()) {
    std::memcpy(to, from, bytes);
  } else if (to_device.is_cpu()) {
    cuda::select(from_device.ordinal());
    cuda::read_back(to, from, bytes);
  } else if (from_device.is_cpu()) {
    cuda::select(to_device.ordinal());
    cuda::send(to, from, bytes);
  } else {
    cuda::copy(to, to_device.ordinal(), from, from_device.ordinal(), bytes);
  }
}

#else

void* allocate(size_t bytes, Device device) {
  if (device.is_cuda()) detail::fail_missing(device);
  return allocate(bytes);
}

void deallocate(void* block, size_t bytes, Device) noexcept { deallocate(block, bytes); }

void copy_bytes(void* to, Device to_device, const void* from, Device from_device, size_t bytes) {
  if (to_device.is_cuda()) detail::fail_missing(to_device);
  if (from_device.is_cuda()) detail::fail_missing(from_device);
  if (bytes > 0) std::memcpy(to, from, bytes);
}

#endif

}  // namespace tarn
