#include "tarn/device/block_cache.h"

#include <sys/mman.h>

#include <cctype>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "tarn/device/check.h"

namespace tarn::detail {

void* map_pages(size_t bytes, size_t alignment) noexcept {
  constexpr size_t kPage = 4096;
  const size_t slack = alignment > kPage ? alignment : 0;
  void* mapped =
      mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  if (slack == 0) return mapped;

  char* const first = static_cast<char*>(mapped);
  const size_t before = (alignment - reinterpret_cast<uintptr_t>(first) % alignment) % alignment;
  char* const pages = first + before;
  if (before > 0) munmap(first, before);
  if (slack > before) munmap(pages + bytes, slack - before);
#ifdef MADV_HUGEPAGE
  if (alignment >= kHugePage) madvise(pages, bytes, MADV_HUGEPAGE);
#endif
  return pages;
}

void unmap_pages(void* pages, size_t bytes) noexcept { munmap(pages, bytes); }

namespace {

// "1048576", "64M", "2g"; false for anything else.
bool parse_bytes(const char* text, size_t& bytes) {
  if (!std::isdigit(static_cast<unsigned char>(text[0]))) return false;
  char* rest = nullptr;
  const unsigned long long value = std::strtoull(text, &rest, 10);
  int shift = 0;
  switch (std::toupper(static_cast<unsigned char>(*rest))) {
    case 'K':
      shift = 10, ++rest;
      break;
    case 'M':
      shift = 20, ++rest;
      break;
    case 'G':
      shift = 30, ++rest;
      break;
    default:
      break;
  }
  if (*rest != '\0' || value > (kSizeLimit >> shift)) return false;
  bytes = static_cast<size_t>(value) << shift;
  return true;
}

}  // namespace

BlockCache::BlockCache() {
  const char* text = std::getenv("TARN_CPU_CACHE_LIMIT");
  if (!text) return;
  fixed_limit_ = parse_bytes(text, limit_);
  if (!fixed_limit_) {
    // Not warn(): a handler may allocate a tensor, and this runs inside the first allocation.
    std::fprintf(stderr,
                 "Warning: [allocate] TARN_CPU_CACHE_LIMIT='%s' is not a number of bytes such as "
                 "268435456 or 256M; ignored\n",
                 text);
  }
}

void* BlockCache::allocate(size_t bytes) noexcept {
  const int wanted = big_class(bytes);
  {
    std::lock_guard lock(mutex_);
    for (int i = wanted; i < kBigClasses && (i == wanted || big_class_size(i) - bytes <= bytes / 4);
         ++i) {
      if (Block* block = bins_[i].newest) {
        unlink(*block);
        counts_.cached_bytes -= big_class_size(i);
        take(*block);
        return block->pages;
      }
    }
  }
  const size_t size = big_class_size(wanted);
  void* pages = map_pages(size, size >= kHugePage ? kHugePage : 1);
  if (!pages) return nullptr;
  std::lock_guard lock(mutex_);
  try {
    Block& block = blocks_[pages];
    block.pages = pages;
    block.size_class = wanted;
    take(block);
    return pages;
  } catch (const std::bad_alloc&) {
    unmap_pages(pages, size);
    return nullptr;
  }
}

void BlockCache::deallocate(void* pages) noexcept {
  std::unique_lock lock(mutex_);
  const auto found = blocks_.find(pages);
  if (found == blocks_.end() || !found->second.live) {
    std::fprintf(stderr,
                 "tarn: [deallocate] block %p is not live: freed twice, or never allocated\n",
                 pages);
    std::abort();
  }
  Block& block = found->second;
  const size_t size = big_class_size(block.size_class);
  counts_.live_bytes -= size;
  --counts_.live_blocks;
  counts_.cached_bytes += size;
  push(block);
  shrink(lock, false);
}

size_t BlockCache::trim() noexcept {
  std::unique_lock lock(mutex_);
  return shrink(lock, true);
}

BlockCache::Counts BlockCache::counts() const noexcept {
  std::lock_guard lock(mutex_);
  return counts_;
}

size_t BlockCache::limit() const noexcept {
  if (fixed_limit_) return limit_;
  const size_t below_peak = peak_live_ - counts_.live_bytes;
  return below_peak > limit_ ? below_peak : limit_;
}

void BlockCache::push(Block& block) noexcept {
  Bin& bin = bins_[block.size_class];
  block.live = false;
  block.freed_at = ++clock_;
  block.newer = nullptr;
  block.older = bin.newest;
  (bin.newest ? bin.newest->newer : bin.oldest) = &block;
  bin.newest = &block;
}

void BlockCache::unlink(Block& block) noexcept {
  Bin& bin = bins_[block.size_class];
  (block.newer ? block.newer->older : bin.newest) = block.older;
  (block.older ? block.older->newer : bin.oldest) = block.newer;
}

void BlockCache::take(Block& block) noexcept {
  block.live = true;
  counts_.live_bytes += big_class_size(block.size_class);
  ++counts_.live_blocks;
  if (counts_.live_bytes > peak_live_) peak_live_ = counts_.live_bytes;
}

BlockCache::Block* BlockCache::oldest() noexcept {
  Block* found = nullptr;
  for (const Bin& bin : bins_) {
    if (bin.oldest && (!found || bin.oldest->freed_at < found->freed_at)) found = bin.oldest;
  }
  return found;
}

size_t BlockCache::shrink(std::unique_lock<std::mutex>& lock, bool everything) noexcept {
  size_t released = 0;
  while (counts_.cached_bytes > (everything ? 0 : limit())) {
    Block* const block = oldest();
    void* const pages = block->pages;
    const size_t size = big_class_size(block->size_class);
    unlink(*block);
    counts_.cached_bytes -= size;
    blocks_.erase(pages);
    lock.unlock();
    unmap_pages(pages, size);
    released += size;
    lock.lock();
  }
  return released;
}

}  // namespace tarn::detail
