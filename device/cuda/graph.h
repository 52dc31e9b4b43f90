// What the rest of device/cuda/ does otherwise while its thread records a graph. Internal.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "tarn/device/cuda.h"

namespace tarn::cuda {

// The pool that memory comes from (device/stream_allocator.h); 0 outside of a recording.
uint64_t capture_pool() noexcept;
// Throws Error if work on this stream of cuda:`device` would not become part of the recording.
void check_captured(cudaStream_t stream, int device);
// A copy that lives as long as the graph, in pinned memory: what a recorded copy reads.
const void* keep_for_graph(const void* host, size_t bytes);

// A stream of the device that is nobody else's meanwhile.
class OwnStream {
 public:
  explicit OwnStream(int device);
  ~OwnStream();
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;
  const Stream& get() const { return stream_; }

 private:
  Stream stream_;
};

}  // namespace tarn::cuda
