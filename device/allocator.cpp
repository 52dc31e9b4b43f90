#include "tarn/device/allocator.h"

#include <atomic>
#include <cstdlib>

#include "tarn/device/block_cache.h"
#include "tarn/device/sanitizers.h"
#include "tarn/device/size_class.h"
#include "tarn/device/small_pool.h"

namespace tarn {

namespace {

using namespace detail;

std::atomic<size_t> peak{0};

void raise_peak(size_t bytes) noexcept {
  size_t seen = peak.load(std::memory_order_relaxed);
  while (seen < bytes && !peak.compare_exchange_weak(seen, bytes, std::memory_order_relaxed)) {
  }
}

// Everything but the peak.
MemoryStats current_stats() noexcept;

[[noreturn, gnu::cold]] void throw_out_of_memory(size_t bytes) {
  const MemoryStats stats = current_stats();
  throw OutOfMemoryError(str("[allocate] out of memory: ", bytes, " bytes requested on cpu, ",
                             stats.reserved, " bytes held, ", stats.allocated, " of them in use"));
}

}  // namespace

#if !TARN_ADDRESS_SANITIZER

namespace {

[[gnu::tls_model("initial-exec")]] thread_local constinit ThreadCache thread_cache;

struct Pools {
  SmallPool small;
  BlockCache big;
};

// Never destroyed: static objects free their tensors after everything else is gone.
Pools& pools() {
  static Pools* const instance = new Pools;
  return *instance;
}

MemoryStats current_stats() noexcept {
  MemoryStats stats;
  const BlockCache::Counts big = pools().big.counts();
  const SmallPool::Counts small = pools().small.counts();
  stats.allocated = big.live_bytes + small.live_bytes;
  stats.live_blocks = big.live_blocks + small.live_blocks;
  stats.reserved = big.live_bytes + big.cached_bytes + small.slab_bytes;
  return stats;
}

// The exact sum walks all threads, so it is taken only if the upper bound is a new peak.
void note_peak() noexcept {
  const size_t bound = pools().big.counts().live_bytes + pools().small.handed_out();
  if (bound > peak.load(std::memory_order_relaxed)) raise_peak(current_stats().allocated);
}

// Gives the first `length` blocks of a list to the pool.
void flush(FreeList& list, int size_class, size_t length) noexcept {
  if (length == 0) return;
  FreeBlock* const batch = list.head;
  FreeBlock* last = batch;
  for (size_t i = 1; i < length; ++i) last = last->next;
  list.head = last->next;
  last->next = nullptr;
  list.resize(list.size() - length);
  pools().small.give_batch(size_class, batch, length);
}

void flush_all(ThreadCache& cache) noexcept {
  for (int i = 0; i < kSmallClasses; ++i) flush(cache.lists[i], i, cache.lists[i].size());
}

struct ThreadExit {
  ~ThreadExit() {
    ThreadCache& cache = thread_cache;
    flush_all(cache);
    pools().small.remove(cache);
    for (FreeList& list : cache.lists) list.capacity = 0;
    cache.state = ThreadCache::State::Ended;
  }
};

// On a thread's first miss. Not on the fast path: a thread_local with a destructor costs a guard.
void start_thread_cache(ThreadCache& cache) noexcept {
  static thread_local ThreadExit at_exit;
  static_cast<void>(at_exit);
  for (int i = 0; i < kSmallClasses; ++i) {
    cache.lists[i].capacity = static_cast<uint32_t>(2 * batch_limit(i));
  }
  pools().small.add(cache);
  cache.state = ThreadCache::State::Ready;
}

size_t empty_caches() noexcept {
  flush_all(thread_cache);
  return pools().small.trim() + pools().big.trim();
}

void* allocate_small_slow(int size_class) noexcept {
  ThreadCache& cache = thread_cache;
  if (cache.state == ThreadCache::State::New) start_thread_cache(cache);
  size_t length = 0;
  FreeBlock* block = pools().small.take_batch(size_class, length);
  if (!block) return nullptr;
  if (length > 1) {
    if (cache.state == ThreadCache::State::Ready) {
      cache.lists[size_class].head = block->next;
      cache.lists[size_class].resize(length - 1);
    } else {
      pools().small.give_batch(size_class, block->next, length - 1);
    }
  }
  note_peak();
  return block;
}

[[gnu::noinline]] void* allocate_slow(size_t bytes) {
  if (bytes == 0) return nullptr;
  if (bytes > kSizeLimit) throw_out_of_memory(bytes);
  const auto attempt = [bytes] {
    return bytes <= kSmallLimit ? allocate_small_slow(small_class(bytes))
                                : pools().big.allocate(bytes);
  };
  void* block = attempt();
  if (!block) [[unlikely]] {
    empty_caches();
    block = attempt();
    if (!block) throw_out_of_memory(bytes);
  }
  if (bytes > kSmallLimit) note_peak();
  return block;
}

[[gnu::noinline]] void deallocate_slow(void* memory, size_t bytes) noexcept {
  if (!memory || bytes == 0) return;
  if (bytes > kSmallLimit) return pools().big.deallocate(memory);
  const int size_class = small_class(bytes);
  ThreadCache& cache = thread_cache;
  FreeList& list = cache.lists[size_class];
  if (cache.state == ThreadCache::State::New) start_thread_cache(cache);
  if (cache.state == ThreadCache::State::Ended) {
    FreeBlock* block = static_cast<FreeBlock*>(memory);
    block->next = nullptr;
    return pools().small.give_batch(size_class, block, 1);
  }
  if (list.size() >= list.capacity) flush(list, size_class, batch_limit(size_class));
  list.push(memory);
}

}  // namespace

void* allocate(size_t bytes) {
  if (bytes - 1 < kSmallLimit) [[likely]] {
    FreeList& list = thread_cache.lists[small_class(bytes)];
    if (list.head) [[likely]]
      return list.pop();
  }
  return allocate_slow(bytes);
}

void deallocate(void* block, size_t bytes) noexcept {
  if (bytes - 1 < kSmallLimit && block) [[likely]] {
    FreeList& list = thread_cache.lists[small_class(bytes)];
    if (list.size() < list.capacity) [[likely]]
      return list.push(block);
  }
  deallocate_slow(block, bytes);
}

size_t trim() noexcept { return empty_caches(); }

#else
// Every request has its own malloc block here: overruns, use after free and leaks of tensors are
// then found, which no cache of reused blocks allows.

namespace {

std::atomic<size_t> live_bytes{0};
std::atomic<size_t> live_blocks{0};

MemoryStats current_stats() noexcept {
  MemoryStats stats;
  stats.allocated = stats.reserved = live_bytes.load();
  stats.live_blocks = live_blocks.load();
  return stats;
}

}  // namespace

void* allocate(size_t bytes) {
  if (bytes == 0) return nullptr;
  // AddressSanitizer ends the process when asked for more than this.
  if (bytes > size_t{1} << 38) throw_out_of_memory(bytes);
  void* block = nullptr;
  if (posix_memalign(&block, kAlignment, bytes) != 0) throw_out_of_memory(bytes);
  ++live_blocks;
  raise_peak(live_bytes += block_size(bytes));
  return block;
}

void deallocate(void* block, size_t bytes) noexcept {
  if (!block) return;
  --live_blocks;
  live_bytes -= block_size(bytes);
  std::free(block);
}

size_t trim() noexcept { return 0; }

#endif

void empty_cache() noexcept { trim(); }

MemoryStats memory_stats() noexcept {
  MemoryStats stats = current_stats();
  raise_peak(stats.allocated);
  stats.peak_allocated = peak.load(std::memory_order_relaxed);
  return stats;
}

void reset_peak_memory_stats() noexcept {
  peak.store(current_stats().allocated, std::memory_order_relaxed);
}

}  // namespace tarn
