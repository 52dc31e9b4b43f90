// The CUDA devices of this machine: how many there are, waiting for them, their memory, streams.
// Source: https://pytorch.org/cppdocs/api/namespace_torch__cuda.html,
// https://pytorch.org/docs/stable/cuda.html.
//
// Where this build of Tarn has no CUDA, or the machine no driver or no device, device_count() is 0
// and everything else here throws DeviceError, saying which. Nothing below touches CUDA before one
// of these functions, or a CUDA tensor, is asked for.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tarn/device/device.h"

struct CUstream_st;
struct CUevent_st;

namespace tarn::cuda {

// How many CUDA devices tensors can live on; found once.
int64_t device_count() noexcept;
inline bool is_available() noexcept { return device_count() > 0; }

// The device that -1 stands for in the functions below, and "cuda" without a number everywhere: the
// calling thread's, 0 to begin with.
int64_t current_device();
// Throws DeviceError for a device that is not there.
void set_device(int64_t index);

}  // namespace tarn::cuda

namespace tarn {

// The device of a tensor made on `device`: "cuda" stands for the current one, or for cuda:0 where
// there is none.
inline Device with_index(Device device) {
  if (device.is_cpu() || device.has_index()) return device;
  return Device(kCUDA, cuda::is_available() ? cuda::current_device() : 0);
}

}  // namespace tarn

namespace tarn::cuda {

// Sets the current device for its lifetime.
class CUDAGuard {
 public:
  explicit CUDAGuard(int64_t index) : before_(cuda::current_device()) { set_index(index); }
  explicit CUDAGuard(Device device) : before_(cuda::current_device()) { set_device(device); }
  ~CUDAGuard() { cuda::set_device(before_); }
  CUDAGuard(const CUDAGuard&) = delete;
  CUDAGuard& operator=(const CUDAGuard&) = delete;

  void set_index(int64_t index) { cuda::set_device(index); }
  void set_device(Device device) { set_index(with_index(device).index()); }
  Device original_device() const { return Device(kCUDA, before_); }
  Device current_device() const { return Device(kCUDA, cuda::current_device()); }

 private:
  const int64_t before_;
};

// Waits for all work of a device. Errors of work that ran meanwhile surface here.
void synchronize(int64_t device = -1);

// --- Memory --------------------------------------------------------------------------------------
// Bytes in live tensors (in steps of 512), and bytes held from the device: these and cached ones.
size_t memory_allocated(int64_t device = -1);
size_t memory_reserved(int64_t device = -1);
// The highest values since the start or the last reset.
size_t max_memory_allocated(int64_t device = -1);
size_t max_memory_reserved(int64_t device = -1);
void reset_peak_memory_stats(int64_t device = -1);
// Gives the cached memory of all devices back to them.
void empty_cache();

// --- Streams -------------------------------------------------------------------------------------
// A queue of work. Each device has one that all threads use unless they choose another; what runs
// in different streams is in no order until one waits for the other. A handle: copies are the same
// stream.
class Stream {
 public:
  // One of a few streams the device has besides its default one, taken in turn. Below 0 the
  // priority is high: what is enqueued there starts before what waits in others.
  explicit Stream(int64_t device = -1, int priority = 0);

  Device device() const { return Device(kCUDA, device_); }
  DeviceIndex device_index() const { return static_cast<DeviceIndex>(device_); }
  // The cudaStream_t, for libraries and kernels of the user's.
  CUstream_st* stream() const { return handle_; }
  operator CUstream_st*() const { return handle_; }  // NOLINT
  // Waits for the work enqueued so far.
  void synchronize() const;
  // Whether that work is done.
  bool query() const;
  // What is enqueued here from now on runs behind what `other` has been given so far.
  void wait_stream(const Stream& other) const;
  friend bool operator==(const Stream&, const Stream&) = default;

 private:
  friend Stream default_stream(int64_t device);
  friend Stream current_stream(int64_t device);
  friend class OwnStream;
  Stream(int64_t device, CUstream_st* handle) : device_(device), handle_(handle) {}
  int64_t device_;
  CUstream_st* handle_;
};

// The stream of the device that work goes to where nobody has chosen another.
Stream default_stream(int64_t device = -1);
// Where the calling thread's work on the device goes.
Stream current_stream(int64_t device = -1);
// Makes `stream` its device's current one in this thread. Tensors belong to the stream that was
// current when they were made: let streams wait for one another before they share tensors, and
// keep a tensor alive until other streams are done with it or tell it by Tensor::record_stream().
void set_stream(const Stream& stream);

// Makes `stream` its device's current one, and this device the current one, for its lifetime.
class StreamGuard {
 public:
  explicit StreamGuard(const Stream& stream)
      : device_(stream.device()), before_(current_stream(stream.device_index())) {
    set_stream(stream);
  }
  ~StreamGuard() { set_stream(before_); }
  StreamGuard(const StreamGuard&) = delete;
  StreamGuard& operator=(const StreamGuard&) = delete;

 private:
  const CUDAGuard device_;
  const Stream before_;
};

// A point in the work of a stream, to wait for or to measure time by.
class Event {
 public:
  explicit Event(bool enable_timing = false) : timed_(enable_timing) {}
  ~Event();
  Event(Event&& other) noexcept;
  Event& operator=(Event&& other) noexcept;

  // The point is the end of what `stream` has been given so far; by default the current stream of
  // the current device. Again: it moves there. Throws Error for a stream of another device than at
  // first.
  void record() { record(current_stream()); }
  void record(const Stream& stream);
  // What `stream` is given from now on runs behind the point. Where there is none yet, this and
  // synchronize() do nothing, and query() is true.
  void wait(const Stream& stream) const;
  // Waits until the point is reached.
  void synchronize() const;
  // Whether it is.
  bool query() const;
  // Milliseconds from this point to the one of `end`. Throws Error unless both events measure time,
  // were recorded on one device and have been reached.
  float elapsed_time(const Event& end) const;

 private:
  CUevent_st* handle_ = nullptr;
  int64_t device_ = -1;
  bool timed_;
};

// The block of device memory that `data` points to (the start of a tensor's storage) is also used
// by `stream`: once freed, it is not handed out again before the work enqueued there by then is
// done.
void record_stream(void* data, const Stream& stream);

}  // namespace tarn::cuda
