#pragma once
// For the emulator's own tests: a stream, and vectors on the device.
#include <string>
#include <utility>
#include <vector>
#include "tarn/tests/support/catch.h"

#include "tarn/tests/cuda_emulator/device.h"
#include "tarn/tests/cuda_emulator/settings.h"

inline void check(cudaError_t error) {
  INFO(cudaGetErrorName(error));
  REQUIRE(error == cudaSuccess);
}

class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }
  void wait() const { check(cudaStreamSynchronize(stream_)); }

 private:
  cudaStream_t stream_ = nullptr;
};

/// Device memory that holds `size` elements.
template <class T>
class Buffer {
 public:
  explicit Buffer(std::size_t size) : size_(size) { check(cudaMalloc(&memory_, size * sizeof(T))); }
  explicit Buffer(const std::vector<T>& values) : Buffer(values.size()) {
    check(cudaMemcpy(memory_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  ~Buffer() { cudaFree(memory_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  operator T*() const { return memory_; }

  /// What the stream sees when it gets here.
  std::vector<T> read(cudaStream_t stream) const {
    std::vector<T> values(size_);
    check(
        cudaMemcpyAsync(values.data(), memory_, size_ * sizeof(T), cudaMemcpyDeviceToHost, stream));
    check(cudaStreamSynchronize(stream));
    return values;
  }

 private:
  T* memory_ = nullptr;
  std::size_t size_;
};

/// Sets one of the emulator's settings until the end of the scope.
template <class T>
class Setting {
 public:
  Setting(T& setting, T value) : setting_(setting), old_(std::exchange(setting, value)) {}
  ~Setting() { setting_ = old_; }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;

 private:
  T& setting_;
  T old_;
};

template <class T, int N>
using Arr = T[N];
