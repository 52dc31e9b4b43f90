// Launches, and what a program may set and ask about a kernel.
#include <algorithm>
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

cudaError_t check_shape(const Launch& launch) {
  const dim3 &g = launch.grid.blocks, &b = launch.grid.threads;
  unsigned long long threads = static_cast<unsigned long long>(b.x) * b.y * b.z;
  bool valid = threads >= 1 && threads <= 1024 && b.x <= 1024 && b.y <= 1024 && b.z <= 64 &&
               g.x >= 1 && g.x <= 2147483647u && g.y >= 1 && g.y <= 65535 && g.z >= 1 &&
               g.z <= 65535;
  if (!valid)
    return refuse(cudaErrorInvalidConfiguration,
                  "grid (%u,%u,%u), block (%u,%u,%u), launched at "
                  "%s:%d",
                  g.x, g.y, g.z, b.x, b.y, b.z, launch.grid.launched_at.file,
                  launch.grid.launched_at.line);
  if (launch.grid.dynamic_shared > dynamic_shared_limit(launch.kernel))
    return refuse(cudaErrorInvalidValue,
                  "%zu bytes of dynamic shared memory, launched at %s:%d; "
                  "cudaFuncSetAttribute allows this kernel %zu",
                  launch.grid.dynamic_shared, launch.grid.launched_at.file,
                  launch.grid.launched_at.line, dynamic_shared_limit(launch.kernel));
  return cudaSuccess;
}

}  // namespace

cudaError_t cuda_emulator::enqueue(cudaStream_t handle, Launch launch) {
  return api("cudaLaunchKernel", [&] {
    CUstream_st* stream = find_stream(handle);
    if (!stream) return refuse(cudaErrorInvalidResourceHandle, "no such stream");
    if (stream->device != current_device())
      return refuse(cudaErrorInvalidResourceHandle,
                    "the stream is of cuda:%d, but cuda:%d is "
                    "current",
                    stream->device, current_device());
    if (cudaError_t error = check_shape(launch)) return error;
    if (cudaError_t error = check_pointers(launch.words, stream->device)) return error;
    std::vector<ArgumentWord> words = std::move(launch.words);
    return submit(stream, {[launch = std::move(launch)] { run_grid(launch.grid); }, nullptr,
                           std::move(words)});
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
