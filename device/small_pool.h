#pragma once
// The tier of the CPU allocator for blocks up to 64 KiB: per-thread free lists over a shared pool.
// Internal to device/.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "tarn/device/size_class.h"

namespace tarn::detail {

// The first bytes of a free block. Blocks travel between threads in batches: chains whose first
// block also holds the batch's length and the link to the next batch.
struct [[gnu::may_alias]] FreeBlock {
  FreeBlock* next;
  FreeBlock* next_batch;
  size_t batch_length;
};

// Blocks that move between a thread and the pool at a time: 64 KiB of them, but 4 to 512.
constexpr size_t batch_limit(int size_class) {
  return std::clamp<size_t>((size_t{64} << 10) / small_class_size(size_class), 4, 512);
}

// One size class of one thread.
struct FreeList {
  FreeBlock* head = nullptr;
  // Written by the owner alone; atomic so that memory_stats may read it meanwhile. Plain loads and
  // stores are all it costs.
  std::atomic<uint32_t> length{0};
  uint32_t capacity = 0;

  uint32_t size() const { return length.load(std::memory_order_relaxed); }
  void resize(size_t n) { length.store(static_cast<uint32_t>(n), std::memory_order_relaxed); }
  FreeBlock* pop() {
    FreeBlock* block = head;
    head = block->next;
    resize(size() - 1);
    return block;
  }
  void push(void* memory) {
    FreeBlock* block = static_cast<FreeBlock*>(memory);
    block->next = head;
    head = block;
    resize(size() + 1);
  }
};

// Constant-initialized and trivially destructible, so that access needs no guard and works until
// the thread's last instruction.
struct ThreadCache {
  enum class State : uint8_t { New, Ready, Ended };
  FreeList lists[kSmallClasses];
  ThreadCache* previous = nullptr;
  ThreadCache* next = nullptr;
  State state = State::New;
};

// What all threads share of the small tier: slabs, and batches of free blocks cut from them.
// Every function is thread-safe.
class SmallPool {
 public:
  // A chain of free blocks of one class and its length; nullptr if the system refuses a new slab.
  FreeBlock* take_batch(int size_class, size_t& length) noexcept;
  // Takes a chain of `length` blocks, ended by a null link.
  void give_batch(int size_class, FreeBlock* batch, size_t length) noexcept;

  // Makes a thread's cache known to counts(). remove() must come before the cache goes away.
  void add(ThreadCache& cache) noexcept;
  void remove(ThreadCache& cache) noexcept;

  // Bytes in use or in a thread's cache: an upper bound of what is live.
  size_t handed_out() const noexcept { return handed_out_.load(std::memory_order_relaxed); }

  struct Counts {
    size_t live_bytes = 0, live_blocks = 0, slab_bytes = 0;
  };
  Counts counts() noexcept;

  // Unmaps every slab whose blocks are all in the pool; returns the bytes given back.
  size_t trim() noexcept;

 private:
  struct Slab;
  struct Class {
    FreeBlock* batches = nullptr;
    Slab* current = nullptr;  // the slab new blocks are cut from
    size_t free = 0;          // blocks in the batches
    size_t carved = 0;        // blocks cut from all slabs of the class
  };

  static void push_batch(Class& own, FreeBlock* batch, size_t length) noexcept;
  FreeBlock* carve(int size_class, size_t& length) noexcept;
  void drop_blocks_of_idle_slabs(int size_class) noexcept;

  std::mutex mutex_;
  Class classes_[kSmallClasses];
  Slab* slabs_ = nullptr;
  size_t slab_count_ = 0;
  ThreadCache* threads_ = nullptr;
  std::atomic<size_t> handed_out_{0};
};

}  // namespace tarn::detail
