// What CUDA code of every layer stands on: checked calls, and the device and stream that the
// calling thread's kernels go to. Internal; compiled only where Tarn is built with CUDA.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace tarn::cuda {

// Throws OutOfMemoryError or DeviceError "[cuda] <call>: <error's name and text>".
[[noreturn]] void fail(cudaError_t error, const char* call);

#define TARN_CUDA_CHECK(call)                                                                     \
  do {                                                                                            \
    if (const cudaError_t error = (call); error != cudaSuccess) ::tarn::cuda::fail(error, #call); \
  } while (false)

// What a query of a stream or an event answers: whether its work is done. Throws as fail() does.
bool is_done(cudaError_t answer, const char* query);

// Makes cuda:`index` the device that this thread's kernels run on until the next call: kernels()
// and the memory functions do so first. Costs a comparison when nothing changes. Throws DeviceError
// for a device that is not there.
void select(int index);
// The device selected last by this thread.
int selected();
// Selects a device for a while.
class SelectGuard {
 public:
  explicit SelectGuard(int index);
  ~SelectGuard();
  SelectGuard(const SelectGuard&) = delete;
  SelectGuard& operator=(const SelectGuard&) = delete;

 private:
  int before_;
};
// The number itself, or the thread's current device (device/cuda.h) for -1. Throws DeviceError for
// a device that is not there.
int device_or_current(int64_t index);

// The stream that work of this thread on the selected device goes to, or on cuda:`index`.
cudaStream_t stream();
cudaStream_t stream_of(int index);
// An event that occurs when the work on `stream`, of the selected device, is done. The caller's.
cudaEvent_t record_event(cudaStream_t stream);
// What `waiting` is given from now on runs behind what `awaited`, a stream of cuda:`device`, has
// been given so far.
void make_wait(cudaStream_t waiting, int device, cudaStream_t awaited);

// Temporary device memory of a kernel call on the selected device, valid for work enqueued on
// stream() until it goes out of scope, and reusable by later work on that stream right after.
// 512-byte aligned.
class Scratch {
 public:
  explicit Scratch(size_t bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  void* data() const { return data_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_;
  int device_;
};

// Copies `bytes` from device memory to `host` and waits for them: the one way for a kernel to learn
// something.
void read_back(void* host, const void* device, size_t bytes);
// Copies `bytes` of host memory to device memory on stream(). `host` may be reused on return.
void send(void* device, const void* host, size_t bytes);

// Of the selected device.
int multiprocessors();

}  // namespace tarn::cuda
