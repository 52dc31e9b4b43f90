#include "tarn/device/stream_allocator.h"

#include <map>
#include <set>
#include <thread>
#include <vector>

#include "tarn/device/check.h"
#include "tarn/tests/support/catch.h"

using namespace tarn;
using detail::StreamAllocator;

namespace {

constexpr size_t kMiB = size_t{1} << 20;

// A device of `capacity` bytes that hands out addresses and keeps books. Events occur when told to.
class FakeDevice final : public detail::DeviceMemory {
 public:
  explicit FakeDevice(size_t capacity) : capacity_(capacity) {}

  void* map(size_t bytes) override {
    ++maps;
    if (held + bytes > capacity_) return nullptr;
    held += bytes;
    void* memory = reinterpret_cast<void*>(next_);
    next_ += bytes + kMiB;  // never neighbours
    segments[memory] = bytes;
    return memory;
  }
  void unmap(void* memory) noexcept override {
    held -= segments.at(memory);
    segments.erase(memory);
  }
  void* record(void* stream) noexcept override {
    if (!can_record) return nullptr;
    recorded.push_back(stream);
    return reinterpret_cast<void*>(recorded.size());
  }
  bool has_occurred(void* event) noexcept override { return occurred.contains(event); }
  void wait(void* event) noexcept override { occurred.insert(event); }
  void release(void* event) noexcept override { released.insert(event); }

  std::map<void*, size_t> segments;
  size_t held = 0;
  int maps = 0;
  bool can_record = true;
  std::vector<void*> recorded;
  std::set<void*> occurred, released;

 private:
  const size_t capacity_;
  uintptr_t next_ = uintptr_t{1} << 40;
};

void* const kA = reinterpret_cast<void*>(uintptr_t{0xA});
void* const kB = reinterpret_cast<void*>(uintptr_t{0xB});

}  // namespace

TEST_CASE("a freed device block is handed out again on its stream, and on no other") {
  FakeDevice device(100 * kMiB);
  StreamAllocator blocks(device);
  void* first = blocks.allocate(1000, kA);
  blocks.deallocate(first);
  CHECK(blocks.allocate(600, kA) == first);
  CHECK(device.maps == 1);
  blocks.deallocate(first);
  CHECK(blocks.allocate(1000, kB) != first);
  CHECK(device.maps == 2);
}

TEST_CASE("requests take segments of 2 MiB, of 20 MiB, or of their own size") {
  FakeDevice device(200 * kMiB);
  StreamAllocator blocks(device);
  const auto grows_by = [&](size_t bytes) {
    const size_t before = device.held;
    CHECK(blocks.allocate(bytes, kA) != nullptr);
    return device.held - before;
  };
  CHECK(grows_by(1) == 2 * kMiB);
  CHECK(grows_by(kMiB) == 0);  // fits behind the first
  CHECK(grows_by(kMiB) == 2 * kMiB);
  CHECK(grows_by(kMiB + 1) == 20 * kMiB);
  CHECK(grows_by(9 * kMiB) == 0);
  CHECK(grows_by(10 * kMiB) == 10 * kMiB);
  CHECK(grows_by(31 * kMiB) == 32 * kMiB);
  CHECK(blocks.counts().reserved == device.held);
}

TEST_CASE("blocks of one segment do not overlap, and whatever the order of freeing they merge") {
  FakeDevice device(4 * kMiB);
  StreamAllocator blocks(device);
  const std::vector<std::vector<size_t>> orders = {{0, 1, 2}, {2, 1, 0}, {0, 2, 1},
                                                   {1, 0, 2}, {1, 2, 0}, {2, 0, 1}};
  for (const auto& order : orders) {
    std::vector<char*> parts;
    for (size_t size : {512u, 4096u, 100u})
      parts.push_back(static_cast<char*>(blocks.allocate(size, kA)));
    CHECK(parts[1] - parts[0] == 512);
    CHECK(parts[2] - parts[1] == 4096);
    for (size_t i : order) blocks.deallocate(parts[i]);
    // The segment is whole again only if all were merged: it can be given back.
    CHECK(blocks.trim() == 2 * kMiB);
    CHECK(device.held == 0);
  }
}

TEST_CASE("the smallest free block that fits is taken") {
  FakeDevice device(2 * kMiB);
  StreamAllocator blocks(device);
  void* large = blocks.allocate(8192, kA);
  void* wall = blocks.allocate(512, kA);
  void* small = blocks.allocate(2048, kA);
  void* end = blocks.allocate(512, kA);
  blocks.deallocate(large);
  blocks.deallocate(small);
  CHECK(blocks.allocate(2000, kA) == small);
  CHECK(blocks.allocate(4096, kA) == large);
  blocks.deallocate(wall);
  blocks.deallocate(end);
}

TEST_CASE("the rest of a large block is kept together with it when it is a MiB or less") {
  FakeDevice device(200 * kMiB);
  StreamAllocator blocks(device);
  void* block = blocks.allocate(11 * kMiB + 512, kA);
  CHECK(blocks.counts().allocated == 12 * kMiB);
  blocks.deallocate(block);
  CHECK(blocks.counts().allocated == 0);
  // Of 12 MiB, 2 MiB are used and 10 stay free.
  void* part = blocks.allocate(2 * kMiB, kA);
  CHECK(part == block);
  CHECK(blocks.counts().allocated == 2 * kMiB);
}

TEST_CASE("a block that another stream uses is handed out again only after its event") {
  FakeDevice device(100 * kMiB);
  StreamAllocator blocks(device);
  void* block = blocks.allocate(2 * kMiB, kA);
  blocks.record_stream(block, kA);  // its own: nothing to wait for
  blocks.record_stream(block, kB);
  blocks.record_stream(block, kB);
  blocks.deallocate(block);
  CHECK(device.recorded == std::vector<void*>{kB});
  CHECK(blocks.counts().allocated == 0);

  void* other = blocks.allocate(2 * kMiB, kA);
  CHECK(other != block);
  device.occurred.insert(reinterpret_cast<void*>(uintptr_t{1}));
  CHECK(blocks.allocate(2 * kMiB, kA) == block);
  CHECK(device.released.size() == 1);
}

TEST_CASE("a stream that can no longer be asked holds no block back") {
  FakeDevice device(100 * kMiB);
  device.can_record = false;
  StreamAllocator blocks(device);
  void* block = blocks.allocate(2 * kMiB, kA);
  blocks.record_stream(block, kB);
  blocks.deallocate(block);
  CHECK(blocks.allocate(2 * kMiB, kA) == block);
}

TEST_CASE("when the device has no memory left, cached segments of all streams are given back") {
  FakeDevice device(40 * kMiB);
  StreamAllocator blocks(device);
  void* of_b = blocks.allocate(30 * kMiB, kB);
  CHECK(blocks.allocate(30 * kMiB, kA) == nullptr);
  blocks.deallocate(of_b);
  CHECK(device.held == 30 * kMiB);
  void* of_a = blocks.allocate(32 * kMiB, kA);
  CHECK(of_a != nullptr);
  CHECK(device.held == 32 * kMiB);
  // A refused request changes nothing, and smaller ones still succeed.
  CHECK(blocks.allocate(20 * kMiB, kA) == nullptr);
  CHECK(blocks.counts().allocated == 32 * kMiB);
  // No 20 MiB are left for a segment to share, but what the request needs is.
  CHECK(blocks.allocate(3 * kMiB, kA) != nullptr);
  CHECK(blocks.allocate(SIZE_MAX, kA) == nullptr);
}

TEST_CASE("when the device has no memory left, blocks of other streams are waited for") {
  FakeDevice device(40 * kMiB);
  StreamAllocator blocks(device);
  void* block = blocks.allocate(30 * kMiB, kA);
  blocks.record_stream(block, kB);
  blocks.deallocate(block);
  CHECK(blocks.allocate(30 * kMiB, kA) == block);
  CHECK(device.maps == 2);  // the second was refused
}

TEST_CASE("peaks of device memory are kept until they are reset") {
  FakeDevice device(100 * kMiB);
  StreamAllocator blocks(device);
  void* block = blocks.allocate(30 * kMiB, kA);
  blocks.deallocate(block);
  blocks.trim();
  CHECK(blocks.counts().peak_allocated == 30 * kMiB);
  CHECK(blocks.counts().peak_reserved == 30 * kMiB);
  CHECK(blocks.counts().reserved == 0);
  blocks.reset_peaks();
  CHECK(blocks.counts().peak_allocated == 0);
  CHECK(blocks.counts().peak_reserved == 0);
}

TEST_CASE("direct allocation maps and unmaps each block alone") {
  FakeDevice device(100 * kMiB);
  StreamAllocator blocks(device, /*direct=*/true);
  void* one = blocks.allocate(1000, kA);
  void* two = blocks.allocate(5 * kMiB, kA);
  CHECK(device.segments == std::map<void*, size_t>{{one, 1000}, {two, 5 * kMiB}});
  blocks.deallocate(one);
  CHECK(device.segments.size() == 1);
  blocks.deallocate(two);
  CHECK(device.held == 0);
  CHECK(blocks.counts().reserved == 0);
}

TEST_CASE("a pool's memory goes to nobody else before the pool is released, then to the device") {
  for (const bool direct : {false, true}) {
    FakeDevice device(100 * kMiB);
    StreamAllocator blocks(device, direct);
    const uint64_t pool = blocks.make_pool(), other = blocks.make_pool();
    void* first = blocks.allocate(1000, kA, pool);
    blocks.deallocate(first);
    CHECK(blocks.allocate(600, kA) != first);
    CHECK(blocks.allocate(600, kA, other) != first);
    CHECK(blocks.allocate(600, kA, pool) == first);
    blocks.deallocate(first);
    // What nobody uses stays the pool's, even when the device has no memory left.
    CHECK(blocks.trim() == 0);
    CHECK(blocks.allocate(99 * kMiB, kA) == nullptr);
    CHECK(device.segments.contains(first));
    blocks.release_pool(pool);
    CHECK_FALSE(device.segments.contains(first));
    CHECK(blocks.counts().reserved == device.held);
  }
}

TEST_CASE("a block that outlives its pool goes back to the device when it is freed") {
  FakeDevice device(100 * kMiB);
  StreamAllocator blocks(device);
  const uint64_t pool = blocks.make_pool();
  void *freed = blocks.allocate(1000, kA, pool), *kept = blocks.allocate(1000, kA, pool);
  void* large = blocks.allocate(30 * kMiB, kB, pool);
  blocks.deallocate(freed);
  blocks.release_pool(pool);
  CHECK(device.held == 32 * kMiB);
  blocks.deallocate(large);
  CHECK(device.held == 2 * kMiB);
  CHECK(blocks.allocate(1000, kA) != freed);
  blocks.deallocate(kept);
  CHECK_FALSE(device.segments.contains(freed));
}

TEST_CASE("a pool's block that another stream uses is not handed out again, nor waited for") {
  FakeDevice device(100 * kMiB);
  StreamAllocator blocks(device);
  const uint64_t pool = blocks.make_pool();
  void* block = blocks.allocate(2 * kMiB, kA, pool);
  blocks.record_stream(block, kB);
  blocks.deallocate(block);
  CHECK(device.recorded.empty());
  CHECK(blocks.allocate(2 * kMiB, kA, pool) != block);
  CHECK_THROWS_WITH_TEXT(blocks.deallocate(block), "freed twice");
  blocks.release_pool(pool);
  CHECK(device.segments.size() == 1);  // of the live block
}

TEST_CASE("freeing device memory twice is an error") {
  FakeDevice device(100 * kMiB);
  StreamAllocator blocks(device);
  void* block = blocks.allocate(1000, kA);
  blocks.deallocate(block);
  CHECK_THROWS_WITH_TEXT(blocks.deallocate(block), "freed twice");
  CHECK_THROWS_WITH_TEXT(blocks.record_stream(block, kB), "no live block");
}

TEST_CASE("random requests never overlap and leave nothing behind") {
  FakeDevice device(600 * kMiB);
  StreamAllocator blocks(device);
  std::map<char*, size_t> live;  // address -> size
  uint64_t state = 7;
  const auto below = [&](uint64_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % n;
  };
  for (int step = 0; step < 20000; ++step) {
    if (live.size() < 100 && below(2) == 0) {
      const size_t bytes = 1 + below(below(8) == 0 ? 4 * kMiB : 20000);
      void* const stream = below(2) == 0 ? kA : kB;
      char* const block = static_cast<char*>(blocks.allocate(bytes, stream));
      REQUIRE(block != nullptr);
      const auto behind = live.lower_bound(block);
      REQUIRE((behind == live.end() || block + bytes <= behind->first));
      REQUIRE((behind == live.begin() ||
               std::prev(behind)->first + std::prev(behind)->second <= block));
      live[block] = bytes;
    } else if (!live.empty()) {
      auto i = live.begin();
      std::advance(i, below(live.size()));
      if (below(4) == 0) blocks.record_stream(i->first, below(2) == 0 ? kA : kB);
      blocks.deallocate(i->first);
      live.erase(i);
    }
  }
  for (const auto& [block, bytes] : live) blocks.deallocate(block);
  blocks.trim();
  CHECK(device.held == 0);
  CHECK(device.released.size() == device.recorded.size());
  CHECK(blocks.counts().allocated == 0);
}

TEST_CASE("threads may allocate and free device memory at once") {
  FakeDevice device(600 * kMiB);
  StreamAllocator blocks(device);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&blocks, t] {
      std::vector<void*> mine;
      for (size_t i = 0; i < 500; ++i) {
        mine.push_back(blocks.allocate(1 + i * 37, t % 2 == 0 ? kA : kB));
        if (i % 3 == 2) {
          blocks.deallocate(mine.back());
          mine.pop_back();
        }
      }
      for (void* block : mine) blocks.deallocate(block);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(blocks.counts().allocated == 0);
  blocks.trim();
  CHECK(device.held == 0);
}
