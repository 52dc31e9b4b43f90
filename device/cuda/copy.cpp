// Copies to, from and between CUDA devices.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "tarn/device/capture.h"
#include "tarn/device/cuda/fault.h"
#include "tarn/device/cuda/graph.h"
#include "tarn/device/cuda/made_once.h"
#include "tarn/device/cuda/memory.h"
#include "tarn/device/cuda/runtime.h"
#include "tarn/device/device.h"

namespace tarn::cuda {
namespace {

// Buffers of pinned memory, which a device reads and writes at full speed: while it works on some,
// the CPU fills or empties another. For the device that is selected when they are made.
class Staging {
 public:
  Staging(size_t piece, size_t count) : piece_(piece), buffers_(count) {
    void* bytes;
    TARN_CUDA_CHECK(cudaHostAlloc(&bytes, piece * count, cudaHostAllocPortable));
    for (Buffer& buffer : buffers_) {
      buffer.bytes = bytes;
      bytes = static_cast<char*>(bytes) + piece;
      TARN_CUDA_CHECK(cudaEventCreateWithFlags(&buffer.done, cudaEventDisableTiming));
    }
  }

  void send(void* device, const void* host, size_t bytes, cudaStream_t stream) {
    const std::lock_guard lock(mutex_);
    for (size_t at = 0; at < bytes; at += piece_) {
      const size_t size = std::min(piece_, bytes - at);
      Buffer& buffer = next();
      TARN_CUDA_CHECK(cudaEventSynchronize(buffer.done));
      std::memcpy(buffer.bytes, static_cast<const char*>(host) + at, size);
      enqueue(static_cast<char*>(device) + at, buffer.bytes, size, cudaMemcpyHostToDevice, stream,
              buffer);
    }
  }

  void read_back(void* host, const void* device, size_t bytes, cudaStream_t stream) {
    const std::lock_guard lock(mutex_);
    const Buffer* before = nullptr;
    size_t size_before = 0;
    char* to = static_cast<char*>(host);
    const auto empty = [&] {
      if (!before) return;
      TARN_CUDA_CHECK(cudaEventSynchronize(before->done));
      std::memcpy(to, before->bytes, size_before);
      to += size_before;
    };
    for (size_t at = 0; at < bytes; at += piece_) {
      const size_t size = std::min(piece_, bytes - at);
      Buffer& buffer = next();
      TARN_CUDA_CHECK(cudaEventSynchronize(buffer.done));
      enqueue(buffer.bytes, static_cast<const char*>(device) + at, size, cudaMemcpyDeviceToHost,
              stream, buffer);
      empty();
      before = &buffer;
      size_before = size;
    }
    empty();
  }

 private:
  struct Buffer {
    void* bytes;
    cudaEvent_t done;  // with the last copy from or to the buffer
  };
  Buffer& next() { return buffers_[turn_++ % buffers_.size()]; }
  static void enqueue(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                      cudaStream_t stream, const Buffer& buffer) {
    TARN_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, kind, stream));
    TARN_CUDA_CHECK(cudaEventRecord(buffer.done, stream));
  }

  const size_t piece_;
  std::mutex mutex_;
  std::vector<Buffer> buffers_;
  size_t turn_ = 0;
};

// Many small copies may be on their way at once; large ones need no more than two buffers.
constexpr size_t kSmall = size_t{64} << 10, kSmallCount = 64;
constexpr size_t kLarge = size_t{4} << 20, kLargeCount = 2;

// The selected device's for copies of this size.
Staging& staging(size_t bytes) {
  static constinit MadeOnce<Staging> small, large;
  if (bytes <= kSmall) {
    return small.get(selected(), [] { return new Staging(kSmall, kSmallCount); });
  }
  return large.get(selected(), [] { return new Staging(kLarge, kLargeCount); });
}

// --- Between devices -----------------------------------------------------------------------------

void copy_directly(void* to, int to_device, const void* from, int from_device, size_t bytes) {
  const cudaStream_t source = stream_of(from_device), target = stream_of(to_device);
  // What the target still reads of the old bytes comes first, and what it does next comes behind.
  make_wait(source, to_device, target);
  select(from_device);
  TARN_CUDA_CHECK(cudaMemcpyPeerAsync(to, to_device, from, from_device, bytes, source));
  make_wait(target, from_device, source);
  select(to_device);
}

void copy_through_host(void* to, int to_device, const void* from, int from_device, size_t bytes) {
  const auto buffer = std::make_unique_for_overwrite<char[]>(bytes);
  select(from_device);
  read_back(buffer.get(), from, bytes);
  select(to_device);
  send(to, buffer.get(), bytes);
}

// Whether a pattern arrives unchanged.
bool arrives_whole(int to_device, int from_device) {
  constexpr size_t kBytes = size_t{1} << 20;
  std::vector<unsigned char> sent(kBytes), received(kBytes);
  uint32_t state = 1;
  for (unsigned char& byte : sent) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<unsigned char>(state >> 24);
  }
  select(from_device);
  const Scratch from(kBytes);
  send(from.data(), sent.data(), kBytes);
  select(to_device);
  const Scratch to(kBytes);
  send(to.data(), received.data(), kBytes);
  copy_directly(to.data(), to_device, from.data(), from_device, kBytes);
  read_back(received.data(), to.data(), kBytes);
  return sent == received;
}

void enable_peer_access(int to_device, int from_device) {
  int possible = 0;
  TARN_CUDA_CHECK(cudaDeviceCanAccessPeer(&possible, from_device, to_device));
  if (!possible) return;  // the driver then takes a way of its own
  select(from_device);
  const cudaError_t error = cudaDeviceEnablePeerAccess(to_device, 0);
  if (error == cudaErrorPeerAccessAlreadyEnabled) {
    static_cast<void>(cudaGetLastError());
  } else if (error != cudaSuccess) {
    fail(error, "cudaDeviceEnablePeerAccess");
  }
}

enum class Way : char { kDirect, kThroughHost };

Way find_way(int to_device, int from_device) {
  const char* setting = std::getenv("TARN_P2P");
  const std::string_view mode = setting ? setting : "auto";
  if (mode == "off") return Way::kThroughHost;
  if (mode != "on" && mode != "auto") {
    throw ValueError(str("[cuda] TARN_P2P is '", mode, "', expected auto, on or off"));
  }
  enable_peer_access(to_device, from_device);
  if (mode == "on" || arrives_whole(to_device, from_device)) return Way::kDirect;
  warn(str("copies from cuda:", from_device, " to cuda:", to_device,
           " arrive damaged, so they go through the CPU's memory from now on"));
  return Way::kThroughHost;
}

Way way(int to_device, int from_device) {
  static constinit MadeOnce<Way, size_t{kMaxDevices} * kMaxDevices> ways;
  return ways.get(from_device * kMaxDevices + to_device,
                  [&] { return new Way(find_way(to_device, from_device)); });
}

}  // namespace

void read_back(void* host, const void* device, size_t bytes) {
  check_not_capturing("copy to the CPU");
  staging(bytes).read_back(host, device, bytes, stream());
  throw_fault(selected());
}

void send(void* device, const void* host, size_t bytes) {
  if (capture_id() != 0) [[unlikely]] {
    const cudaStream_t to = stream();
    TARN_CUDA_CHECK(
        cudaMemcpyAsync(device, keep_for_graph(host, bytes), bytes, cudaMemcpyHostToDevice, to));
    return;
  }
  staging(bytes).send(device, host, bytes, stream());
}

void copy(void* to, int to_device, const void* from, int from_device, size_t bytes) {
  if (to_device == from_device) {
    select(to_device);
    TARN_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream()));
  } else if (way(to_device, from_device) == Way::kDirect) {
    copy_directly(to, to_device, from, from_device, bytes);
  } else {
    copy_through_host(to, to_device, from, from_device, bytes);
  }
}

}  // namespace tarn::cuda
