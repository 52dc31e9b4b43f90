// Launches, and what a program may set and ask about a kernel.
#include <algorithm>
#include <cstring>
#include <map>

#include "tarn/tests/cuda_emulator/api.h"
#include "tarn/tests/cuda_emulator/stream.h"

namespace {

using namespace cuda_emulator;

constexpr std::size_t default_dynamic_shared = std::size_t{48} << 10;
constexpr std::size_t most_dynamic_shared = std::size_t{227} << 10;

std::size_t& dynamic_shared_limit(const void* kernel) {
  // Never destroyed: a thread may still launch kernels while the process ends.
  static auto& limits = *new std::map<const void*, std::size_t>;
  return limits.try_emplace(kernel, default_dynamic_shared).first->second;
}

cudaError_t check_shape(const Grid& grid, const void* kernel) {
  const dim3 &g = grid.blocks, &b = grid.threads;
  unsigned long long threads = static_cast<unsigned long long>(b.x) * b.y * b.z;
  bool valid = threads >= 1 && threads <= 1024 && b.x <= 1024 && b.y <= 1024 && b.z <= 64 &&
               g.x >= 1 && g.x <= 2147483647u && g.y >= 1 && g.y <= 65535 && g.z >= 1 &&
               g.z <= 65535;
  if (!valid)
    return refuse(cudaErrorInvalidConfiguration,
                  "grid (%u,%u,%u), block (%u,%u,%u), launched at "
                  "%s:%d",
                  g.x, g.y, g.z, b.x, b.y, b.z, grid.launched_at.file, grid.launched_at.line);
  if (grid.dynamic_shared > dynamic_shared_limit(kernel))
    return refuse(cudaErrorInvalidValue,
                  "%zu bytes of dynamic shared memory, launched at %s:%d; "
                  "cudaFuncSetAttribute allows this kernel %zu",
                  grid.dynamic_shared, grid.launched_at.file, grid.launched_at.line,
                  dynamic_shared_limit(kernel));
  return cudaSuccess;
}

std::vector<ArgumentWord> words_of(const Argument* arguments, std::size_t count) {
  std::vector<ArgumentWord> words;
  for (const Argument* a = arguments; a != arguments + count; ++a) {
    for (std::size_t at = 0; at < a->size; at += 8) {
      words.push_back({0, a->pointer});
      if (!a->seen) continue;
      std::memcpy(&words.back().value, static_cast<const char*>(a->value) + at,
                  std::min<std::size_t>(8, a->size - at));
    }
  }
  return words;
}

std::shared_ptr<const Call> copy_of(void (*kernel)(), const Argument* arguments,
                                    std::size_t count) {
  const auto room = [](std::size_t bytes) {
    constexpr std::size_t unit = alignof(std::max_align_t);
    return (bytes + unit - 1) / unit * unit;
  };
  auto call = std::make_shared<Call>();
  call->kernel = kernel;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < count; ++i) bytes += room(arguments[i].size);
  call->memory = std::make_unique<std::byte[]>(bytes);
  std::byte* at = call->memory.get();
  for (std::size_t i = 0; i < count; ++i) {
    std::memcpy(at, arguments[i].value, arguments[i].size);
    call->arguments.push_back(at);
    at += room(arguments[i].size);
  }
  return call;
}

}  // namespace

cudaError_t cuda_emulator::enqueue(cudaStream_t handle, Grid grid, void (*kernel)(),
                                   const Argument* arguments, std::size_t count) {
  return api("cudaLaunchKernel", [&] {
    CUstream_st* stream = find_stream(handle);
    if (!stream) return refuse(cudaErrorInvalidResourceHandle, "no such stream");
    if (stream->device != current_device())
      return refuse(cudaErrorInvalidResourceHandle,
                    "the stream is of cuda:%d, but cuda:%d is "
                    "current",
                    stream->device, current_device());
    if (cudaError_t error = check_shape(grid, reinterpret_cast<const void*>(kernel))) return error;
    std::vector<ArgumentWord> words = words_of(arguments, count);
    if (cudaError_t error = check_pointers(words, stream->device)) return error;
    const auto call = copy_of(kernel, arguments, count);
    grid.arguments = call.get();
    return submit(stream, {[grid, call] { run_grid(grid); }, nullptr, std::move(words)});
  });
}

extern "C" {

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  return api("cudaFuncSetAttribute", [&] {
    if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
        static_cast<std::size_t>(value) > most_dynamic_shared)
      return refuse(cudaErrorInvalidValue, "attribute %d cannot be set to %d", attribute, value);
    dynamic_shared_limit(kernel) =
        std::max(default_dynamic_shared, static_cast<std::size_t>(value));
    return cudaSuccess;
  });
}

// As if registers were no limit.
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* kernel,
                                                          int threads, std::size_t shared) {
  return api("cudaOccupancyMaxActiveBlocksPerMultiprocessor", [&] {
    if (threads < 1 || threads > 1024) return cudaErrorInvalidValue;
    if (shared > dynamic_shared_limit(kernel)) return cudaErrorInvalidValue;
    std::size_t reserved = 1024, available = std::size_t{228} << 10;
    int warps = (threads + 31) / 32;
    *blocks = std::min({32, 64 / warps, static_cast<int>(available / (shared + reserved))});
    return cudaSuccess;
  });
}

}  // extern "C"
