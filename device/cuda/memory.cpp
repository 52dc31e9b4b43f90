#include "tarn/device/cuda/memory.h"

#include <cstdlib>
#include <string_view>

#include "tarn/device/capture.h"
#include "tarn/device/cuda.h"
#include "tarn/device/cuda/graph.h"
#include "tarn/device/cuda/made_once.h"
#include "tarn/device/cuda/runtime.h"
#include "tarn/device/stream_allocator.h"

namespace tarn::cuda {
namespace {

class CudaMemory final : public detail::DeviceMemory {
 public:
  explicit CudaMemory(int device) : device_(device) {}

  void* map(size_t bytes) override {
    const SelectGuard guard(device_);
    void* memory = nullptr;
    const cudaError_t error = cudaMalloc(&memory, bytes);
    if (error == cudaSuccess) return memory;
    if (error != cudaErrorMemoryAllocation) fail(error, "cudaMalloc");
    static_cast<void>(cudaGetLastError());
    return nullptr;
  }
  // The calls below fail only where the process is ending and the device is already gone, or where
  // work before them failed, which the next checked call reports.
  void unmap(void* memory) noexcept override { static_cast<void>(cudaFree(memory)); }
  void* record(void* stream) noexcept override {
    try {
      const SelectGuard guard(device_);
      return record_event(static_cast<cudaStream_t>(stream));
    } catch (const DeviceError&) {
      return nullptr;
    }
  }
  bool has_occurred(void* event) noexcept override {
    return cudaEventQuery(static_cast<cudaEvent_t>(event)) != cudaErrorNotReady;
  }
  void wait(void* event) noexcept override {
    static_cast<void>(cudaEventSynchronize(static_cast<cudaEvent_t>(event)));
  }
  void release(void* event) noexcept override {
    static_cast<void>(cudaEventDestroy(static_cast<cudaEvent_t>(event)));
  }

 private:
  const int device_;
};

struct Pool {
  explicit Pool(int device) : memory(device), blocks(memory, is_direct()) {}
  static bool is_direct() {
    const char* setting = std::getenv("TARN_CUDA_ALLOC");
    if (!setting || std::string_view(setting) == "cached") return false;
    if (std::string_view(setting) == "direct") return true;
    throw ValueError(str("[cuda] TARN_CUDA_ALLOC is '", setting, "', expected cached or direct"));
  }
  CudaMemory memory;
  detail::StreamAllocator blocks;
};

constinit MadeOnce<Pool> pools;

Pool& pool(int device) {
  return pools.get(device, [&] { return new Pool(device); });
}

[[noreturn, gnu::cold]] void throw_out_of_memory(size_t bytes, int device) {
  size_t free = 0, total = 0;
  TARN_CUDA_CHECK(cudaMemGetInfo(&free, &total));
  const auto counts = pool(device).blocks.counts();
  throw OutOfMemoryError(str(
      "[allocate] out of memory: ", bytes, " bytes requested on cuda:", device, ", which has ",
      free, " of ", total, " bytes free; this program holds ", counts.reserved, " bytes there, ",
      counts.allocated, " of them in use. HINT: free tensors or use smaller ", "batches"));
}

detail::StreamAllocator::Counts counts(int64_t device) {
  return pool(device_or_current(device)).blocks.counts();
}

}  // namespace

void* allocate(size_t bytes, int device) {
  select(device);
  if (bytes == 0) return nullptr;
  void* block = pool(device).blocks.allocate(bytes, stream(), capture_pool());
  if (!block) throw_out_of_memory(bytes, device);
  return block;
}

void deallocate(void* block, int device) noexcept {
  if (!block) return;
  pool(device).blocks.deallocate(block);
}

void trim(int device) { pool(device).blocks.trim(); }
uint64_t make_pool(int device) { return pool(device).blocks.make_pool(); }
void release_pool(uint64_t id, int device) { pool(device).blocks.release_pool(id); }

Scratch::Scratch(size_t bytes) : data_(allocate(bytes, selected())), device_(selected()) {}

Scratch::~Scratch() { deallocate(data_, device_); }

size_t memory_allocated(int64_t device) { return counts(device).allocated; }
size_t memory_reserved(int64_t device) { return counts(device).reserved; }
size_t max_memory_allocated(int64_t device) { return counts(device).peak_allocated; }
size_t max_memory_reserved(int64_t device) { return counts(device).peak_reserved; }
void reset_peak_memory_stats(int64_t device) {
  pool(device_or_current(device)).blocks.reset_peaks();
}

void empty_cache() {
  static_cast<void>(device_or_current(-1));
  check_not_capturing("empty_cache");
  for (int device = 0; device < kMaxDevices; ++device) {
    if (Pool* known = pools.find(device)) known->blocks.trim();
  }
}

void record_stream(void* data, const Stream& stream) {
  pool(static_cast<int>(stream.device().index())).blocks.record_stream(data, stream.stream());
}

}  // namespace tarn::cuda
