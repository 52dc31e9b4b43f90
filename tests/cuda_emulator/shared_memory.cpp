// Shared memory: laid out as the threads of a block ask for it, with gaps that no thread may touch.
#include <sys/mman.h>

#include "tarn/tests/cuda_emulator/executor_state.h"

#if TARN_EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace cuda_emulator {
namespace {

void map_shared_memory() {
  void* memory = mmap(nullptr, shared_arena, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) fail("no memory for the shared memory of a block");
  executor.shared = static_cast<char*>(memory);
#if TARN_EMULATOR_ASAN
  __asan_poison_memory_region(executor.shared, shared_arena);
#endif
}

void* shared_memory(std::size_t bytes, std::size_t alignment) {
  Executor& x = executor;
  if (alignment < 16) alignment = 16;
  std::size_t at = (x.shared_top + shared_redzone + alignment - 1) & ~(alignment - 1);
  x.shared_used += bytes;
  if (x.shared_used > shared_bytes || at + bytes + shared_redzone > shared_arena)
    fail("a block of %zu bytes of shared memory; the device has %zu", x.shared_used, shared_bytes);
  x.shared_top = at + bytes;
  char* memory = x.shared + at;
#if TARN_EMULATOR_ASAN
  __asan_unpoison_memory_region(memory, bytes);
#endif
  fill_unwritten(memory, bytes);
  return memory;
}

}  // namespace

void* static_shared(const void* key, std::size_t size, std::size_t alignment, Where where) {
  Executor& x = executor;
  std::size_t total = size;
  for (unsigned i = 0; i < x.array_count; ++i) {
    if (x.arrays[i].key == key) return x.arrays[i].memory;
    total += x.arrays[i].size;
  }
  if (total > static_shared_bytes || x.array_count == max_shared_arrays)
    fail("%zu bytes of static shared memory at %s:%d; a kernel may have %zu", total, where.file,
         where.line, static_shared_bytes);
  void* memory = shared_memory(size, alignment);
  x.arrays[x.array_count++] = {key, memory, size};
  return memory;
}

void* dynamic_shared() {
  Executor& x = executor;
  if (!x.dynamic) x.dynamic = shared_memory(x.grid->dynamic_shared, 128);
  return x.dynamic;
}

void reset_shared_memory() {
  Executor& x = executor;
  if (!x.shared) map_shared_memory();
#if TARN_EMULATOR_ASAN
  __asan_poison_memory_region(x.shared, x.shared_top + shared_redzone);
#endif
  // Laid anew, the memory has no past that ThreadSanitizer could take for a race with this block.
  if (TARN_EMULATOR_TSAN && x.shared_top > 0)
    mmap(x.shared, (x.shared_top + page - 1) & ~(page - 1), PROT_READ | PROT_WRITE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  x.shared_top = x.shared_used = 0;
  x.array_count = 0;
  x.dynamic = nullptr;
}

}  // namespace cuda_emulator
