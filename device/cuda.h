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

namespace tarn::cuda {

// How many CUDA devices tensors can live on; found once.
int64_t device_count() noexcept;
inline bool is_available() noexcept { return device_count() > 0; }

// The device that -1 stands for in the functions below: the calling thread's, 0 to begin with.
// Device("cuda") is always cuda:0.
int64_t current_device();
// Throws DeviceError for a device that is not there.
void set_device(int64_t index);
// Sets the current device for its lifetime.
class CUDAGuard {
 public:
  explicit CUDAGuard(int64_t index) : before_(current_device()) { set_device(index); }
  explicit CUDAGuard(Device device) : CUDAGuard(device.ordinal()) {}
  ~CUDAGuard() { set_device(before_); }
  CUDAGuard(const CUDAGuard&) = delete;
  CUDAGuard& operator=(const CUDAGuard&) = delete;

 private:
  int64_t before_;
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
  // One of a few streams the device has besides its default one, taken in turn.
  explicit Stream(int64_t device = -1);

  Device device() const { return Device(kCUDA, device_); }
  // The cudaStream_t.
  void* stream() const { return handle_; }
  // Waits for the work enqueued so far.
  void synchronize() const;
  // Whether that work is done.
  bool query() const;
  // What is enqueued here from now on runs behind what `other` has been given so far.
  void wait_stream(const Stream& other) const;
  friend bool operator==(const Stream&, const Stream&) = default;

 private:
  friend Stream current_stream(int64_t device);
  friend class OwnStream;
  Stream(int64_t device, void* handle) : device_(device), handle_(handle) {}
  int64_t device_;
  void* handle_;
};

// Where the calling thread's work on the device goes.
Stream current_stream(int64_t device = -1);

// Makes `stream` its device's current one in this thread. Tensors belong to the stream that was
// current when they were made: let streams wait for one another before they share tensors, and
// keep a tensor alive until other streams are done with it or name these with record_stream().
class StreamGuard {
 public:
  explicit StreamGuard(const Stream& stream);
  ~StreamGuard();
  StreamGuard(const StreamGuard&) = delete;
  StreamGuard& operator=(const StreamGuard&) = delete;

 private:
  friend Stream current_stream(int64_t device);
  const Stream stream_;
  StreamGuard* const outer_;
};

// The block of device memory that `data` points to (the start of a tensor's storage) is also used
// by `stream`: once freed, it is not handed out again before the work enqueued there by then is
// done.
void record_stream(void* data, const Stream& stream);

}  // namespace tarn::cuda
