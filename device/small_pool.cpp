#include "tarn/device/small_pool.h"

#include <new>

#include "tarn/device/block_cache.h"

namespace tarn::detail {

namespace {

constexpr size_t kSlabSize = size_t{1} << 20;

}  // namespace

// The first 64 bytes of a 1 MiB-aligned region that is cut, front to back, into blocks of one
// class.
struct alignas(kAlignment) SmallPool::Slab {
  Slab* next;
  int size_class;
  size_t carved;  // blocks cut off so far
  size_t free;    // those of them in the pool; set and used by trim only

  bool is_idle() const { return free == carved; }
  size_t left() const { return (kSlabSize - sizeof(Slab)) / small_class_size(size_class) - carved; }
  FreeBlock* carve() {
    char* const blocks = reinterpret_cast<char*>(this) + sizeof(Slab);
    return reinterpret_cast<FreeBlock*>(blocks + carved++ * small_class_size(size_class));
  }
  static Slab* of(const void* block) {
    return reinterpret_cast<Slab*>(reinterpret_cast<uintptr_t>(block) & ~(kSlabSize - 1));
  }
};

FreeBlock* SmallPool::take_batch(int size_class, size_t& length) noexcept {
  std::lock_guard lock(mutex_);
  Class& own = classes_[size_class];
  FreeBlock* batch = own.batches;
  if (batch) {
    own.batches = batch->next_batch;
    length = batch->batch_length;
    own.free -= length;
  } else {
    batch = carve(size_class, length);
    if (!batch) return nullptr;
  }
  handed_out_.fetch_add(length * small_class_size(size_class), std::memory_order_relaxed);
  return batch;
}

void SmallPool::give_batch(int size_class, FreeBlock* batch, size_t length) noexcept {
  std::lock_guard lock(mutex_);
  handed_out_.fetch_sub(length * small_class_size(size_class), std::memory_order_relaxed);
  push_batch(classes_[size_class], batch, length);
}

void SmallPool::add(ThreadCache& cache) noexcept {
  std::lock_guard lock(mutex_);
  cache.next = threads_;
  if (threads_) threads_->previous = &cache;
  threads_ = &cache;
}

void SmallPool::remove(ThreadCache& cache) noexcept {
  std::lock_guard lock(mutex_);
  (cache.previous ? cache.previous->next : threads_) = cache.next;
  if (cache.next) cache.next->previous = cache.previous;
}

SmallPool::Counts SmallPool::counts() noexcept {
  std::lock_guard lock(mutex_);
  Counts counts;
  for (int i = 0; i < kSmallClasses; ++i) {
    size_t idle = classes_[i].free;
    for (const ThreadCache* thread = threads_; thread; thread = thread->next) {
      idle += thread->lists[i].size();
    }
    // Another thread may be moving a batch right now, which then counts twice.
    const size_t live = classes_[i].carved - std::min(idle, classes_[i].carved);
    counts.live_blocks += live;
    counts.live_bytes += live * small_class_size(i);
  }
  counts.slab_bytes = slab_count_ * kSlabSize;
  return counts;
}

size_t SmallPool::trim() noexcept {
  std::lock_guard lock(mutex_);
  for (Slab* slab = slabs_; slab; slab = slab->next) slab->free = 0;
  for (const Class& own : classes_) {
    for (FreeBlock* batch = own.batches; batch; batch = batch->next_batch) {
      for (FreeBlock* block = batch; block; block = block->next) ++Slab::of(block)->free;
    }
  }
  for (int i = 0; i < kSmallClasses; ++i) drop_blocks_of_idle_slabs(i);

  size_t released = 0;
  for (Slab** link = &slabs_; *link;) {
    Slab* const slab = *link;
    if (!slab->is_idle()) {
      link = &slab->next;
      continue;
    }
    *link = slab->next;
    Class& own = classes_[slab->size_class];
    own.carved -= slab->carved;
    if (own.current == slab) own.current = nullptr;
    unmap_pages(slab, kSlabSize);
    --slab_count_;
    released += kSlabSize;
  }
  return released;
}

void SmallPool::push_batch(Class& own, FreeBlock* batch, size_t length) noexcept {
  batch->batch_length = length;
  batch->next_batch = own.batches;
  own.batches = batch;
  own.free += length;
}

FreeBlock* SmallPool::carve(int size_class, size_t& length) noexcept {
  Class& own = classes_[size_class];
  if (!own.current || own.current->left() == 0) {
    void* const pages = map_pages(kSlabSize, kSlabSize);
    if (!pages) return nullptr;
    own.current = new (pages) Slab{slabs_, size_class, 0, 0};
    slabs_ = own.current;
    ++slab_count_;
  }
  // Cutting writes into the blocks, which makes their pages resident: at most 16 KiB at a time.
  const size_t wanted = (size_t{16} << 10) / small_class_size(size_class);
  length = std::clamp<size_t>(wanted, 1, std::min(own.current->left(), batch_limit(size_class)));
  FreeBlock* const chain = own.current->carve();
  FreeBlock* last = chain;
  for (size_t i = 1; i < length; ++i) last = last->next = own.current->carve();
  last->next = nullptr;
  own.carved += length;
  return chain;
}

void SmallPool::drop_blocks_of_idle_slabs(int size_class) noexcept {
  Class& own = classes_[size_class];
  FreeBlock* batch = own.batches;
  own.batches = nullptr;
  own.free = 0;
  FreeBlock* chain = nullptr;
  size_t length = 0;
  while (batch) {
    FreeBlock* const next_batch = batch->next_batch;
    for (FreeBlock* block = batch; block;) {
      FreeBlock* const next = block->next;
      if (!Slab::of(block)->is_idle()) {
        block->next = chain;
        chain = block;
        if (++length == batch_limit(size_class)) {
          push_batch(own, chain, length);
          chain = nullptr;
          length = 0;
        }
      }
      block = next;
    }
    batch = next_batch;
  }
  if (chain) push_batch(own, chain, length);
}

}  // namespace tarn::detail
