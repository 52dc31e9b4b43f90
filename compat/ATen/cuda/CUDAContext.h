// libtorch's names of Tarn's streams, guards and events (device/cuda.h), in at::cuda, c10::cuda and
// torch::cuda alike.
// Source: https://docs.pytorch.org/cppdocs/notes/tensor_cuda_stream.html.
#pragma once

#include <torch/torch.h>

#include <list>

namespace tarn::cuda {

using CUDAStream = Stream;
using CUDAStreamGuard = StreamGuard;

inline CUDAStream getStreamFromPool(bool isHighPriority = false, DeviceIndex device = -1) {
  return Stream(device, isHighPriority ? -1 : 0);
}
inline CUDAStream getStreamFromPool(int priority, DeviceIndex device = -1) {
  return Stream(device, priority);
}
inline CUDAStream getDefaultCUDAStream(DeviceIndex device = -1) { return default_stream(device); }
inline CUDAStream getCurrentCUDAStream(DeviceIndex device = -1) { return current_stream(device); }
inline void setCurrentCUDAStream(const CUDAStream& stream) { set_stream(stream); }
inline void device_synchronize() { synchronize(); }

// Chooses streams of several devices for its lifetime; the current device stays.
class CUDAMultiStreamGuard {
 public:
  explicit CUDAMultiStreamGuard(ArrayRef<CUDAStream> streams) {
    for (const CUDAStream& stream : streams) {
      before_.push_front(current_stream(stream.device_index()));
      set_stream(stream);
    }
  }
  ~CUDAMultiStreamGuard() {
    for (const CUDAStream& stream : before_) set_stream(stream);
  }
  CUDAMultiStreamGuard(const CUDAMultiStreamGuard&) = delete;
  CUDAMultiStreamGuard& operator=(const CUDAMultiStreamGuard&) = delete;

 private:
  std::list<CUDAStream> before_;
};

class OptionalCUDAGuard : public torch::OptionalDeviceGuard {
 public:
  using OptionalDeviceGuard::OptionalDeviceGuard;
  explicit OptionalCUDAGuard(DeviceIndex index) { set_index(index); }
  void set_device(Device device) { reset_device(device); }
  void set_index(DeviceIndex index) { reset_device(Device(kCUDA, index)); }
};

// cudaEventDisableTiming, which libtorch's events have unless they are given other flags.
inline constexpr unsigned kEventDisableTiming = 2;

class CUDAEvent : public Event {
 public:
  explicit CUDAEvent(unsigned flags = kEventDisableTiming)
      : Event((flags & kEventDisableTiming) == 0) {}
  void block(const CUDAStream& stream) const { wait(stream); }
};

namespace CUDACachingAllocator {

inline void emptyCache() { empty_cache(); }
inline void resetPeakStats(DeviceIndex device) { reset_peak_memory_stats(device); }

}  // namespace CUDACachingAllocator
}  // namespace tarn::cuda
