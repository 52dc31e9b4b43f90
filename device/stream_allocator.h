#pragma once
// The caching allocator of a device whose work runs in streams: pure bookkeeping, over an interface
// of the device. Internal to device/.
//
// A block belongs to the stream it was allocated for. Freed, it may be handed out again for that
// stream at once, because the stream's work runs in order; no call to the device is made. A block
// that other streams used as well waits for them first.
//
// Requests are rounded up to 512 bytes. Those up to 1 MiB are cut from segments of 2 MiB, larger
// ones from segments of 20 MiB or, from 10 MiB on, of their own size in steps of 2 MiB. The
// smallest free block that fits is split, and freed neighbours are merged.
//
// What is allocated while a graph is captured comes from a pool of its own, whose memory nobody
// else is given as long as the graph may be replayed.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>
#include <vector>

namespace tarn::detail {

// What the allocator needs of a device. Streams and events are the device's own handles.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;
  // nullptr when the device has not that much memory left.
  virtual void* map(size_t bytes) = 0;
  // Waits for the work that uses the memory.
  virtual void unmap(void* memory) noexcept = 0;
  // An event that occurs when the work enqueued on `stream` so far is done.
  virtual void* record(void* stream) noexcept = 0;
  virtual bool has_occurred(void* event) noexcept = 0;
  virtual void wait(void* event) noexcept = 0;
  virtual void release(void* event) noexcept = 0;
};

// Every function is thread-safe.
class StreamAllocator {
 public:
  // `direct`: nothing is cached; each block is mapped and unmapped alone, as checking tools need.
  explicit StreamAllocator(DeviceMemory& device, bool direct = false)
      : device_(device), direct_(direct) {}
  ~StreamAllocator();
  StreamAllocator(const StreamAllocator&) = delete;
  StreamAllocator& operator=(const StreamAllocator&) = delete;

  // `bytes` > 0, for work on `stream`; 512-byte aligned if the device's memory is. When the device
  // refuses, all that is cached is given back and the request tried again; then nullptr. `pool`: 0
  // for the memory that all share, or one of make_pool(), where `direct` does not hold.
  void* allocate(size_t bytes, void* stream, uint64_t pool = 0);
  // Throws Error if `block` is not live: freed twice, or not from here.
  void deallocate(void* block);
  // Work on `stream`, enqueued by the time the block is freed, uses it as well.
  void record_stream(void* block, void* stream);
  // Waits for blocks that other streams use and gives all cached segments back, but those of pools;
  // their size.
  size_t trim();

  uint64_t make_pool();
  // Gives the pool's memory back to the device, live blocks once they are freed. No work that uses
  // freed ones may be left.
  void release_pool(uint64_t pool);

  struct Counts {
    size_t allocated = 0;  // live blocks, rounded up
    size_t reserved = 0;   // held from the device: live and cached
    size_t peak_allocated = 0, peak_reserved = 0;
  };
  Counts counts() const;
  void reset_peaks();

 private:
  struct Block;
  struct BySize {
    bool operator()(const Block* a, const Block* b) const;
  };
  // The free blocks of one stream and pool, of small or of large segments.
  struct Arena {
    void* stream;
    bool small;
    uint64_t pool;
    bool caches;
    std::set<Block*, BySize> free{};
    std::vector<Block*> held{};  // of a pool: freed, but other streams may use them in replays
    size_t segments = 0;
  };
  struct Block {
    void* memory;
    size_t size;
    Arena* arena;
    Block* before = nullptr;  // neighbours in the segment
    Block* behind = nullptr;
    bool live = false;
    std::vector<void*> other_streams{};
    size_t open_events = 0;
  };
  struct Awaited {
    void* event;
    Block* block;
  };

  // Whether the block is all of its segment.
  static bool is_whole(const Block& block);
  Arena& arena(void* stream, bool small, uint64_t pool);
  Block* take(Arena& arena, size_t size);
  Block* map_segment(Arena& arena, size_t size);
  void split(Block& block, size_t size);
  void give_back(Block* block);
  void unmap(Block* block);
  void collect(bool wait);
  size_t unmap_cached(uint64_t pool);

  DeviceMemory& device_;
  const bool direct_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Arena>> arenas_;
  std::unordered_map<void*, std::unique_ptr<Block>> blocks_;  // live, awaited and free
  std::deque<Awaited> awaited_;
  uint64_t last_pool_ = 0;
  Counts counts_;
};

}  // namespace tarn::detail
