#pragma once
// Kernel launches. Included by device.h.
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "tarn/tests/cuda_emulator/executor.h"

namespace cuda_emulator {

/// The grid's shape, and where the launch stands.
struct Blocks {
  Blocks(dim3 shape, Where where = TARN_EMULATOR_HERE) : shape(shape), where(where) {}
  Blocks(unsigned x, unsigned y = 1, unsigned z = 1, Where where = TARN_EMULATOR_HERE)
      : shape(x, y, z), where(where) {}
  dim3 shape;
  Where where;
};

/// Eight bytes of a kernel's arguments; `pointer` where the parameter is declared as one. Others
/// may still be pointers, in a structure.
struct ArgumentWord {
  std::uintptr_t value;
  bool pointer;
};

struct Launch {
  Grid grid;
  const void* kernel;
  std::shared_ptr<const void> arguments;  ///< what grid.arguments points to
  std::vector<ArgumentWord> words;
};

/// Checks the launch as the runtime does, and its pointers besides, and queues it.
cudaError_t enqueue(cudaStream_t stream, Launch launch);

template <class T>
void append_words(std::vector<ArgumentWord>& words, T argument) {
#if __has_builtin(__builtin_clear_padding)
  // What lies in the gaps of a structure could look like a pointer.
  if constexpr (std::is_class_v<T>) __builtin_clear_padding(&argument);
#endif
  constexpr std::size_t count = (sizeof(T) + 7) / 8;
  std::uintptr_t values[count] = {};
  std::memcpy(values, &argument, sizeof argument);
  for (std::uintptr_t value : values) words.push_back({value, std::is_pointer_v<T>});
}

}  // namespace cuda_emulator

namespace tarn::gpu {

template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), cuda_emulator::Blocks blocks, dim3 threads,
                   std::size_t dynamic_shared_bytes, cudaStream_t stream,
                   Arguments&&... arguments) {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...),
                "kernel parameters are copied to the device byte by byte");
  static_assert((0 + ... + sizeof(Parameters)) <= 4096, "kernel parameters exceed 4 KiB");
  struct Call {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> arguments;
  };
  auto call = std::make_shared<const Call>(
      Call{kernel, {static_cast<Parameters>(std::forward<Arguments>(arguments))...}});
  cuda_emulator::Launch launch;
  std::apply(
      [&](const auto&... argument) { (cuda_emulator::append_words(launch.words, argument), ...); },
      call->arguments);
  launch.grid = {[](const void* opaque) {
                   const auto* call = static_cast<const Call*>(opaque);
                   std::apply(call->kernel, call->arguments);
                 },
                 call.get(),
                 blocks.shape,
                 threads,
                 dynamic_shared_bytes,
                 blocks.where};
  launch.kernel = reinterpret_cast<const void*>(kernel);
  launch.arguments = call;
  return cuda_emulator::enqueue(stream, std::move(launch));
}

}  // namespace tarn::gpu

// What <cuda_runtime.h> gives to nvcc alone.
template <class... Parameters>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute attribute,
                                 int value) {
  return ::cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), attribute, value);
}
template <class... Parameters>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks,
                                                          void (*kernel)(Parameters...),
                                                          int threads, std::size_t dynamic_shared) {
  return ::cudaOccupancyMaxActiveBlocksPerMultiprocessor(
      blocks, reinterpret_cast<const void*>(kernel), threads, dynamic_shared);
}
