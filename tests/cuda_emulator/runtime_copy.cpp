// Copies and fills. Every range is checked when the call is made; the bytes move when the stream
// gets there.
#include <cstring>
#include <memory>
#include <vector>

#include "tarn/tests/cuda_emulator/api.h"
#include "tarn/tests/cuda_emulator/memory.h"
#include "tarn/tests/cuda_emulator/settings.h"
#include "tarn/tests/cuda_emulator/stream.h"

using namespace cuda_emulator;

namespace {

// Rows of `width` bytes, `pitch` bytes apart; a plain copy is one row.
template <class Byte>
struct Rows {
  Byte* begin;
  std::size_t pitch, width, height;

  Byte* row(std::size_t i) const { return begin + i * pitch; }
  std::size_t extent() const { return height == 0 ? 0 : (height - 1) * pitch + width; }
  bool on_device() const { return is_device_memory(begin); }
  bool pinned() const {
    const Block* block = find_block(begin);
    return block && block->kind != Block::device_memory;
  }
};
using Target = Rows<char>;
using Source = Rows<const char>;

template <class Byte>
cudaError_t check_range(const Rows<Byte>& rows, const char* what) {
  if (!rows.begin) return cudaErrorInvalidValue;
  const Block* block = find_block(rows.begin);
  if (!rows.on_device() && !block) return cudaSuccess;  // pageable memory
  if (block && rows.begin + rows.extent() <= block->begin + block->size) return cudaSuccess;
  return refuse(cudaErrorInvalidValue,
                "%s of %zu bytes at %p leaves its allocation (%s, %zu bytes "
                "to its end)",
                what, rows.extent(), static_cast<const void*>(rows.begin),
                describe(rows.begin).c_str(),
                block ? static_cast<std::size_t>(block->begin + block->size - rows.begin) : 0);
}

cudaError_t check_direction(bool from_device, bool to_device, cudaMemcpyKind kind) {
  bool right = true;
  switch (kind) {
    case cudaMemcpyHostToHost:
      right = !from_device && !to_device;
      break;
    case cudaMemcpyHostToDevice:
      right = !from_device && to_device;
      break;
    case cudaMemcpyDeviceToHost:
      right = from_device && !to_device;
      break;
    case cudaMemcpyDeviceToDevice:
      right = from_device && to_device;
      break;
    case cudaMemcpyDefault:
      break;
  }
  if (right) return cudaSuccess;
  return refuse(cudaErrorInvalidValue,
                "copy kind %d, but the source is %s memory and the target %s "
                "memory",
                kind, from_device ? "device" : "host", to_device ? "device" : "host");
}

void move_rows(const Target& to, const Source& from) {
  int a = device_of(from.begin), b = device_of(to.begin);
  Access access((a >= 0 ? 1u << a : 0u) | (b >= 0 ? 1u << b : 0u));
  for (std::size_t i = 0; i < to.height; ++i) std::memcpy(to.row(i), from.row(i), to.width);
  const Settings& s = settings();
  if (a >= 0 && a == s.bad_peer_from && b == s.bad_peer_to && to.extent() > 0)
    to.begin[to.width / 2] = static_cast<char>(~to.begin[to.width / 2]);
}

cudaError_t copy(const Target& to, const Source& from, cudaMemcpyKind kind, cudaStream_t handle) {
  CUstream_st* stream = find_stream(handle);
  if (!stream) return refuse(cudaErrorInvalidResourceHandle, "no such stream");
  if (to.width == 0 || to.height == 0) return cudaSuccess;
  if (to.width > to.pitch || from.width > from.pitch) return cudaErrorInvalidValue;
  if (cudaError_t error = check_range(to, "the target")) return error;
  if (cudaError_t error = check_range(from, "the source")) return error;
  if (cudaError_t error = check_direction(from.on_device(), to.on_device(), kind)) return error;
  bool pageable_target = !to.on_device() && !to.pinned();
  bool pageable_source = !from.on_device() && !from.pinned();
  if (stream->capture && (pageable_target || pageable_source)) {
    stream->capture->valid = false;
    return refuse(cudaErrorStreamCaptureUnsupported,
                  "a copy of pageable host memory cannot be captured; the capture is lost");
  }
  if (pageable_source) {
    // The real one has read the source before it returns.
    auto staged = std::make_shared<std::vector<char>>(to.width * to.height);
    for (std::size_t i = 0; i < to.height; ++i)
      std::memcpy(staged->data() + i * to.width, from.row(i), to.width);
    Source source{staged->data(), to.width, to.width, to.height};
    cudaError_t error = submit(stream, {[staged, to, source] { move_rows(to, source); }});
    if (pageable_target) drain(stream);
    return error;
  }
  cudaError_t error = submit(stream, {[to, from] { move_rows(to, from); }});
  if (pageable_target) drain(stream);
  return error;
}

cudaError_t copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                 cudaStream_t stream) {
  return copy({static_cast<char*>(to), bytes, bytes, 1},
              {static_cast<const char*>(from), bytes, bytes, 1}, kind, stream);
}

cudaError_t fill(void* memory, int value, std::size_t bytes, cudaStream_t handle) {
  CUstream_st* stream = find_stream(handle);
  if (!stream) return refuse(cudaErrorInvalidResourceHandle, "no such stream");
  if (bytes == 0) return cudaSuccess;
  Target target{static_cast<char*>(memory), bytes, bytes, 1};
  if (!target.on_device() && !target.pinned())
    return refuse(cudaErrorInvalidValue, "%p is pageable host memory", memory);
  if (cudaError_t error = check_range(target, "the target")) return error;
  return submit(stream, {[target, value] {
                  int device = device_of(target.begin);
                  Access access(device >= 0 ? 1u << device : 0u);
                  std::memset(target.begin, value, target.width);
                }});
}

}  // namespace

extern "C" {

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return api("cudaMemcpyAsync", [&] { return copy(to, from, bytes, kind, stream); });
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return api("cudaMemcpy", [&] {
    if (cudaError_t error = check_no_capture()) return error;
    if (cudaError_t error = copy(to, from, bytes, kind, nullptr)) return error;
    // Copies inside a device may go on after the call.
    if (!is_device_memory(to) || !is_device_memory(from)) drain(find_stream(nullptr));
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from,
                              std::size_t from_pitch, std::size_t width, std::size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
  return api("cudaMemcpy2DAsync", [&] {
    return copy({static_cast<char*>(to), to_pitch, width, height},
                {static_cast<const char*>(from), from_pitch, width, height}, kind, stream);
  });
}

cudaError_t cudaMemcpyPeerAsync(void* to, int to_device, const void* from, int from_device,
                                std::size_t bytes, cudaStream_t stream) {
  return api("cudaMemcpyPeerAsync", [&] {
    if (bytes > 0 && (device_of(to) != to_device || device_of(from) != from_device))
      return refuse(cudaErrorInvalidValue,
                    "from cuda:%d to cuda:%d, but the source is %s and the "
                    "target %s",
                    from_device, to_device, describe(from).c_str(), describe(to).c_str());
    return copy(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
  });
}

cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream) {
  return api("cudaMemsetAsync", [&] { return fill(memory, value, bytes, stream); });
}

cudaError_t cudaMemset(void* memory, int value, std::size_t bytes) {
  return api("cudaMemset", [&] {
    if (cudaError_t error = check_no_capture()) return error;
    return fill(memory, value, bytes, nullptr);
  });
}

}  // extern "C"
