#pragma once
// Kernel launches. Included by device.h.
#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
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

/// One argument of a launch. Every eight bytes of what is `seen` are checked as pointers.
struct Argument {
  const void* value;
  std::size_t size;
  bool pointer, seen;
};

/// A kernel, of whatever type, and copies of its arguments.
struct Call {
  void (*kernel)();
  std::vector<const void*> arguments;
  std::unique_ptr<std::byte[]> memory;
};

/// Checks the launch as the runtime does, and its pointers besides, and queues it. `grid.arguments`
/// will be a Call. All kernels share this code: there are many of them.
cudaError_t enqueue(cudaStream_t stream, Grid grid, void (*kernel)(), const Argument* arguments,
                    std::size_t count);

// What lies in the gaps of a structure could look like a pointer. Where the compiler cannot clear
// them (clang 14), only structures that certainly have none are looked into.
#if __has_builtin(__builtin_clear_padding)
template <class T>
void clear_gaps(T& argument) {
  if constexpr (std::is_class_v<T>) __builtin_clear_padding(&argument);
}
template <class T>
inline constexpr bool is_seen = true;
#else
template <class T>
void clear_gaps(T&) {}
template <class T>
inline constexpr bool is_seen = !std::is_class_v<T> || std::has_unique_object_representations_v<T>;
#endif

template <class... Parameters, std::size_t... I>
void run([[maybe_unused]] const Call& call, std::index_sequence<I...>) {
  reinterpret_cast<void (*)(Parameters...)>(call.kernel)(
      *static_cast<const Parameters*>(call.arguments[I])...);
}

}  // namespace cuda_emulator

namespace tarn::gpu {

template <class... Parameters>
cudaError_t launch(void (*kernel)(Parameters...), cuda_emulator::Blocks blocks, dim3 threads,
                   std::size_t dynamic_shared_bytes, cudaStream_t stream,
                   std::type_identity_t<Parameters>... arguments) {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...),
                "kernel parameters are copied to the device byte by byte");
  static_assert((0 + ... + sizeof(Parameters)) <= 4096, "kernel parameters exceed 4 KiB");
  static_assert(((alignof(Parameters) <= alignof(std::max_align_t)) && ...));
  (cuda_emulator::clear_gaps(arguments), ...);
  const std::array<cuda_emulator::Argument, sizeof...(Parameters)> list = {
      {{&arguments, sizeof(Parameters), std::is_pointer_v<Parameters>,
        cuda_emulator::is_seen<Parameters>}...}};
  const auto run = [](const void* call) {
    cuda_emulator::run<Parameters...>(*static_cast<const cuda_emulator::Call*>(call),
                                      std::index_sequence_for<Parameters...>{});
  };
  return cuda_emulator::enqueue(
      stream, {run, nullptr, blocks.shape, threads, dynamic_shared_bytes, blocks.where},
      reinterpret_cast<void (*)()>(kernel), list.data(), list.size());
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
