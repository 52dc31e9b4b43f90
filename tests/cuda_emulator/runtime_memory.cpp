// Allocation of device memory and of pinned host memory.
#include "tarn/tests/cuda_emulator/api.h"
#include "tarn/tests/cuda_emulator/memory.h"
#include "tarn/tests/cuda_emulator/settings.h"
#include "tarn/tests/cuda_emulator/stream.h"

using namespace cuda_emulator;

namespace {

cudaError_t give(void** memory, std::size_t bytes) {
  *memory = bytes == 0 ? nullptr : allocate_device(current_device(), bytes);
  return *memory || bytes == 0 ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t take_back(void* memory) {
  if (free_block(memory, Block::device_memory)) return cudaSuccess;
  return refuse(cudaErrorInvalidValue, "%p, %s, is not the beginning of an allocation", memory,
                describe(memory).c_str());
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  return api("cudaMalloc", [&] {
    if (cudaError_t error = check_no_capture()) return error;
    return give(memory, bytes);
  });
}

cudaError_t cudaFree(void* memory) {
  return api("cudaFree", [&] {
    if (cudaError_t error = check_no_capture()) return error;
    if (!memory) return cudaSuccess;
    // The real one waits for the device before the memory is gone.
    if (is_device_memory(memory)) drain_device(device_of(memory));
    return take_back(memory);
  });
}

cudaError_t cudaMallocAsync(void** memory, std::size_t bytes, cudaStream_t handle) {
  return api("cudaMallocAsync", [&] {
    CUstream_st* stream = find_stream(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (stream->capture)
      return refuse(cudaErrorNotSupported, "allocation nodes of graphs are not emulated");
    return give(memory, bytes);
  });
}

cudaError_t cudaFreeAsync(void* memory, cudaStream_t handle) {
  return api("cudaFreeAsync", [&] {
    CUstream_st* stream = find_stream(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (stream->capture)
      return refuse(cudaErrorNotSupported, "allocation nodes of graphs are not emulated");
    return memory ? submit(stream, {[memory] { take_back(memory); }}) : cudaSuccess;
  });
}

cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
  return api("cudaHostAlloc", [&] {
    if (cudaError_t error = check_no_capture()) return error;
    *memory = bytes == 0 ? nullptr : allocate_pinned(bytes);
    return *memory || bytes == 0 ? cudaSuccess : cudaErrorMemoryAllocation;
  });
}

cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  return cudaHostAlloc(memory, bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void* memory) {
  return api("cudaFreeHost", [&] {
    if (cudaError_t error = check_no_capture()) return error;
    if (!memory) return cudaSuccess;
    for (int d = 0; d < settings().devices; ++d) drain_device(d);
    if (free_block(memory, Block::pinned)) return cudaSuccess;
    return refuse(cudaErrorInvalidValue, "%p was not allocated by cudaHostAlloc", memory);
  });
}

cudaError_t cudaHostRegister(void* memory, std::size_t bytes, unsigned) {
  return api("cudaHostRegister", [&] {
    if (cudaError_t error = check_no_capture()) return error;
    if (!memory || bytes == 0 || is_device_memory(memory)) return cudaErrorInvalidValue;
    return register_pinned(memory, bytes) ? cudaSuccess : cudaErrorHostMemoryAlreadyRegistered;
  });
}

cudaError_t cudaHostUnregister(void* memory) {
  return api("cudaHostUnregister", [&] {
    if (cudaError_t error = check_no_capture()) return error;
    return free_block(memory, Block::registered) ? cudaSuccess : cudaErrorHostMemoryNotRegistered;
  });
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  return api("cudaMemGetInfo", [&] {
    *total = settings().capacity;
    *free = *total - bytes_in_use(current_device());
    return cudaSuccess;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* p) {
  return api("cudaPointerGetAttributes", [&] {
    *attributes = {};
    const Block* block = find_block(p);
    attributes->type = cudaMemoryTypeUnregistered;
    attributes->device = -2;  // cudaInvalidDeviceId
    attributes->hostPointer = const_cast<void*>(p);
    if (!block) return cudaSuccess;
    bool on_device = block->kind == Block::device_memory;
    attributes->type = on_device ? cudaMemoryTypeDevice : cudaMemoryTypeHost;
    attributes->device = block->device;
    attributes->devicePointer = const_cast<void*>(p);
    if (on_device) attributes->hostPointer = nullptr;
    return cudaSuccess;
  });
}

}  // extern "C"
