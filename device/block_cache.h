#pragma once
// Blocks above 64 KiB for the CPU allocator: mapped from the system one by one, cached when freed.
// Internal to device/.

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "tarn/device/size_class.h"

namespace tarn::detail {

// Fresh zeroed pages, or nullptr if the system refuses. `alignment` is a power of two; from 2 MiB
// on the pages are huge where the system allows. Both sizes must be multiples of 4 KiB.
void* map_pages(size_t bytes, size_t alignment) noexcept;
void unmap_pages(void* pages, size_t bytes) noexcept;

// Every function is thread-safe. System calls run outside the lock, so one thread's page faults and
// unmapping do not stop the others.
class BlockCache {
 public:
  // How many cached bytes to keep. A fixed limit comes from TARN_CPU_CACHE_LIMIT (bytes; K, M or G
  // may follow). Without it a program may cache 256 MiB, or as much as its own peak use leaves room
  // for: what is held never exceeds the larger of the peak and 256 MiB above what is live.
  BlockCache();
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  // For kSmallLimit < bytes <= kSizeLimit. A cached block is used if it is at most 25 % too large.
  // nullptr if the system refuses.
  void* allocate(size_t bytes) noexcept;
  // Ends the process if `block` is not live: freed twice, or never allocated here.
  void deallocate(void* block) noexcept;
  // Unmaps all cached blocks; returns their size.
  size_t trim() noexcept;

  struct Counts {
    size_t live_bytes = 0, live_blocks = 0, cached_bytes = 0;
  };
  Counts counts() const noexcept;

 private:
  struct Block {
    Block* newer = nullptr;  // neighbours in the bin, while cached
    Block* older = nullptr;
    void* pages = nullptr;
    uint64_t freed_at = 0;
    int size_class = 0;
    bool live = true;
  };
  // Cached blocks of one size class, by the time they were freed.
  struct Bin {
    Block* newest = nullptr;
    Block* oldest = nullptr;
  };

  size_t limit() const noexcept;
  void push(Block& block) noexcept;
  void unlink(Block& block) noexcept;
  void take(Block& block) noexcept;
  Block* oldest() noexcept;
  size_t shrink(std::unique_lock<std::mutex>& lock, bool everything) noexcept;

  mutable std::mutex mutex_;
  std::unordered_map<void*, Block> blocks_;  // live and cached; its nodes do not move
  Bin bins_[kBigClasses];
  Counts counts_;
  size_t peak_live_ = 0;
  uint64_t clock_ = 0;
  bool fixed_limit_ = false;
  size_t limit_ = size_t{256} << 20;
};

}  // namespace tarn::detail
