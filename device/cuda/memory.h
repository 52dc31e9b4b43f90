// CUDA's half of device/memory.h. Internal.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tarn::cuda {

// For the calling thread's stream of cuda:`device`, which becomes the selected device.
void* allocate(size_t bytes, int device);
void deallocate(void* block, int device) noexcept;
// Gives what the device's memory has cached back to it.
void trim(int device);
// device/stream_allocator.h's, of the device.
uint64_t make_pool(int device);
void release_pool(uint64_t pool, int device);

// Between two CUDA devices, or within one; ordered with the thread's streams of both. Two devices
// talk directly once a first copy between them has arrived whole, else through CPU memory: some
// machines lose bytes on the direct way. The environment variable TARN_P2P says off (never
// directly), on (without the first test) or auto.
void copy(void* to, int to_device, const void* from, int from_device, size_t bytes);

}  // namespace tarn::cuda
