#include "tarn/device/stream_allocator.h"

#include <algorithm>
#include <utility>

#include "tarn/device/check.h"

namespace tarn::detail {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kUnit = 512;
constexpr size_t kSmall = kMiB;
constexpr size_t kSmallSegment = 2 * kMiB;
constexpr size_t kLargeSegment = 20 * kMiB;
constexpr size_t kShared = 10 * kMiB;  // larger requests have a segment to themselves
constexpr size_t kStep = 2 * kMiB;

constexpr size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

bool StreamAllocator::BySize::operator()(const Block* a, const Block* b) const {
  return a->size != b->size ? a->size < b->size : a->memory < b->memory;
}

bool StreamAllocator::is_whole(const Block& block) { return !block.before && !block.behind; }

StreamAllocator::~StreamAllocator() { trim(); }

StreamAllocator::Arena& StreamAllocator::arena(void* stream, bool small, uint64_t pool) {
  for (const auto& known : arenas_) {
    if (known->stream == stream && known->small == small && known->pool == pool) return *known;
  }
  return *arenas_.emplace_back(new Arena{stream, small, pool, pool != 0 || !direct_});
}

void* StreamAllocator::allocate(size_t bytes, void* stream, uint64_t pool) {
  if (bytes > SIZE_MAX / 2) return nullptr;
  const std::lock_guard lock(mutex_);
  collect(/*wait=*/false);
  Arena& own = arena(stream, bytes <= kSmall, pool);
  const size_t size = own.caches ? round_up(bytes, kUnit) : bytes;
  Block* block = take(own, size);
  if (!block) block = map_segment(own, size);
  if (!block) {
    // Blocks that were waited for may fit now, and what others cached is free memory.
    collect(/*wait=*/true);
    block = take(own, size);
    if (!block && unmap_cached(/*pool=*/0) > 0) block = map_segment(own, size);
  }
  if (!block) return nullptr;
  split(*block, size);
  block->live = true;
  counts_.allocated += block->size;
  counts_.peak_allocated = std::max(counts_.peak_allocated, counts_.allocated);
  return block->memory;
}

StreamAllocator::Block* StreamAllocator::take(Arena& arena, size_t size) {
  Block wanted{nullptr, size, nullptr};
  const auto found = arena.free.lower_bound(&wanted);
  if (found == arena.free.end()) return nullptr;
  Block* const block = *found;
  arena.free.erase(found);
  return block;
}

StreamAllocator::Block* StreamAllocator::map_segment(Arena& arena, size_t size) {
  const bool alone = !arena.caches;
  const size_t least = alone ? size : round_up(size, arena.small ? kSmallSegment : kStep);
  const size_t usual = alone || arena.small || size >= kShared ? least : kLargeSegment;
  size_t segment = usual;
  void* memory = device_.map(segment);
  if (!memory && least < usual) memory = device_.map(segment = least);
  if (!memory) return nullptr;
  auto& block = blocks_[memory];
  block = std::make_unique<Block>(Block{memory, segment, &arena});
  ++arena.segments;
  counts_.reserved += segment;
  counts_.peak_reserved = std::max(counts_.peak_reserved, counts_.reserved);
  return block.get();
}

// Keeps `size` bytes and frees the rest, unless a large block's rest is too small to be of use.
void StreamAllocator::split(Block& block, size_t size) {
  const size_t rest = block.size - size;
  if (rest < (block.arena->small ? kUnit : kSmall)) return;
  void* const memory = static_cast<char*>(block.memory) + size;
  auto& behind = blocks_[memory];
  behind = std::make_unique<Block>(Block{memory, rest, block.arena, &block, block.behind});
  if (block.behind) block.behind->before = behind.get();
  block.behind = behind.get();
  block.size = size;
  block.arena->free.insert(behind.get());
}

void StreamAllocator::deallocate(void* memory) {
  const std::lock_guard lock(mutex_);
  const auto found = blocks_.find(memory);
  TARN_CHECK(found != blocks_.end() && found->second->live,
             "[deallocate] device memory was freed twice, or never allocated: ", memory);
  Block* const block = found->second.get();
  block->live = false;
  counts_.allocated -= block->size;
  Arena& own = *block->arena;
  if (own.pool != 0 && own.caches && !block->other_streams.empty())
    return own.held.push_back(block);
  for (void* stream : block->other_streams) {
    if (void* event = device_.record(stream)) {
      awaited_.push_back({event, block});
      ++block->open_events;
    }
  }
  block->other_streams.clear();
  if (block->open_events == 0) give_back(block);
}

void StreamAllocator::record_stream(void* memory, void* stream) {
  const std::lock_guard lock(mutex_);
  const auto found = blocks_.find(memory);
  TARN_CHECK(found != blocks_.end() && found->second->live,
             "[record_stream] this is no live block of device memory: ", memory);
  Block& block = *found->second;
  auto& others = block.other_streams;
  if (stream == block.arena->stream) return;
  if (std::find(others.begin(), others.end(), stream) == others.end()) others.push_back(stream);
}

// Makes the block free, together with free neighbours.
void StreamAllocator::give_back(Block* block) {
  auto& free = block->arena->free;
  const auto is_free = [&](Block* b) { return b && free.find(b) != free.end(); };
  if (Block* const behind = block->behind; is_free(behind)) {
    free.erase(behind);
    block->size += behind->size;
    block->behind = behind->behind;
    if (block->behind) block->behind->before = block;
    blocks_.erase(behind->memory);
  }
  if (Block* const before = block->before; is_free(before)) {
    free.erase(before);
    before->size += block->size;
    before->behind = block->behind;
    if (before->behind) before->behind->before = before;
    blocks_.erase(block->memory);
    block = before;
  }
  if (!block->arena->caches && is_whole(*block)) return unmap(block);
  free.insert(block);
}

void StreamAllocator::unmap(Block* block) {
  device_.unmap(block->memory);
  counts_.reserved -= block->size;
  --block->arena->segments;
  blocks_.erase(block->memory);
}

// Frees the blocks whose other streams are done with them.
void StreamAllocator::collect(bool wait) {
  while (!awaited_.empty()) {
    const auto [event, block] = awaited_.front();
    if (wait) {
      device_.wait(event);
    } else if (!device_.has_occurred(event)) {
      return;
    }
    awaited_.pop_front();
    device_.release(event);
    if (--block->open_events == 0) give_back(block);
  }
}

size_t StreamAllocator::unmap_cached(uint64_t pool) {
  const size_t before = counts_.reserved;
  for (const auto& arena : arenas_) {
    if (arena->pool != pool) continue;
    for (auto i = arena->free.begin(); i != arena->free.end();) {
      Block* const block = *i;
      const bool whole = is_whole(*block);
      i = whole ? arena->free.erase(i) : std::next(i);
      if (whole) unmap(block);
    }
  }
  return before - counts_.reserved;
}

size_t StreamAllocator::trim() {
  const std::lock_guard lock(mutex_);
  collect(/*wait=*/true);
  return unmap_cached(/*pool=*/0);
}

uint64_t StreamAllocator::make_pool() {
  const std::lock_guard lock(mutex_);
  return ++last_pool_;
}

void StreamAllocator::release_pool(uint64_t pool) {
  const std::lock_guard lock(mutex_);
  for (const auto& arena : arenas_) {
    if (arena->pool != pool) continue;
    arena->caches = false;
    for (Block* const block : std::exchange(arena->held, {})) give_back(block);
  }
  unmap_cached(pool);
  // What was released earlier may have lost its last block since.
  std::erase_if(arenas_, [](const auto& arena) {
    return arena->pool != 0 && !arena->caches && arena->segments == 0;
  });
}

StreamAllocator::Counts StreamAllocator::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void StreamAllocator::reset_peaks() {
  const std::lock_guard lock(mutex_);
  counts_.peak_allocated = counts_.allocated;
  counts_.peak_reserved = counts_.reserved;
}

}  // namespace tarn::detail
