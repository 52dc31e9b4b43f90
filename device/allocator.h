#pragma once
// The CPU allocator: cached, 64-byte aligned memory for tensors and autograd nodes.
//
// Page faults on fresh memory cost more than most kernels, so freed blocks are kept and handed out
// again. Three tiers by request size:
//   small   <= 64 KiB   per-thread free lists by size class; a hit takes no lock and no atomic
//   medium  <  2 MiB    blocks mapped one by one, cached in shared lists by size class
//   large               the same, 2 MiB-aligned and on huge pages where the system has them
// A block exceeds its request by at most 25 % (requests up to 512 bytes: by less than 64 bytes).
//
// The small tier keeps what it once had until trim(). Above it a program caches up to 256 MiB, or
// more if its own peak use was higher: what is held never exceeds the larger of that peak and 256
// MiB above what is live. The environment variable TARN_CPU_CACHE_LIMIT (bytes; K, M or G may
// follow) sets a fixed limit instead. The block unused for longest goes first.
//
// Thread safety: every function may be called from any thread, and a block may be freed by another
// thread than the one that allocated it. Memory is not zeroed.
//
// Under AddressSanitizer nothing is cached: each block is a malloc block, so that the sanitizer
// finds overruns, use after free and leaks of tensors.

#include <cstddef>
#include <cstdint>

#include "tarn/device/check.h"

namespace tarn {

// Returns `bytes` bytes aligned to 64. allocate(0) returns nullptr, which deallocate accepts.
// Throws OutOfMemoryError when the system refuses the memory even after the cache was emptied.
[[nodiscard]] void* allocate(size_t bytes);

// Gives a block back; `bytes` must be the size it was allocated with. nullptr is ignored. Works at
// any time, also in destructors of static and thread_local objects.
void deallocate(void* block, size_t bytes) noexcept;

// Returns all cached memory to the system, except what other running threads have in their own free
// lists and slabs with a live block in them. The result is the number of bytes given back.
// empty_cache is libtorch's name for it.
size_t trim() noexcept;
void empty_cache() noexcept;

// Counts of the CPU's memory, in bytes unless said otherwise. Those of GPUs are in device/cuda.h.
struct MemoryStats {
  size_t allocated = 0;       // live blocks, as the size of their class
  size_t reserved = 0;        // held from the system: live, cached, and free parts of slabs
  size_t peak_allocated = 0;  // highest `allocated` since the start or the last reset; see below
  size_t live_blocks = 0;     // blocks not yet given back (a count)
};

// The counts, summed over all threads, running and ended. `allocated` and `live_blocks` are exact
// when no other thread is inside the allocator. The small tier keeps no running total (a hit would
// need an atomic), so `peak_allocated` is brought up to date when a small request misses its
// thread's lists, at every larger request and when the stats are read. It may be low by at most the
// small blocks that the threads' lists hold.
MemoryStats memory_stats() noexcept;
// Sets peak_allocated to what is allocated now.
void reset_peak_memory_stats() noexcept;

}  // namespace tarn
