#include "tarn/device/allocator.h"

#include <cstdint>
#include <limits>
#include <set>
#include <vector>

#include "tarn/device/size_class.h"
#include "tarn/tests/device/block.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/sanitizers.h"

using namespace tarn;
using detail::block_size;
using testing::Block;
using testing::kAddressSanitizer;
using testing::kBlockSizes;
using testing::kKiB;
using testing::kMiB;

TEST_CASE("size classes cover every request and waste at most a quarter") {
  using namespace detail;
  for (int i = 1; i < kSmallClasses; ++i) REQUIRE(small_class_size(i) > small_class_size(i - 1));
  for (int i = 1; i < kBigClasses; ++i) REQUIRE(big_class_size(i) > big_class_size(i - 1));
  for (int i = 0; i < kSmallClasses; ++i) {
    const size_t size = small_class_size(i);
    REQUIRE(size % kAlignment == 0);
    REQUIRE(small_class(size) == i);
    REQUIRE(small_class(size - 63) == i);
    if (size < kSmallLimit) REQUIRE(small_class(size + 1) == i + 1);
    if (size > 256) REQUIRE(size - (small_class_size(i - 1) + 1) < size / 4);
  }
  for (int i = 0; i < kBigClasses; ++i) {
    const size_t size = big_class_size(i);
    REQUIRE(size % kBigUnit == 0);
    REQUIRE(big_class(size) == i);
    if (i + 1 < kBigClasses) REQUIRE(big_class(size + 1) == i + 1);
    const size_t least = i == 0 ? kSmallLimit + 1 : big_class_size(i - 1) + 1;
    REQUIRE(size - least <= least / 8);
  }
}

TEST_CASE("blocks of every size are aligned to 64 bytes, distinct and writable to the last byte") {
  std::vector<Block> blocks;
  for (int round = 0; round < 3; ++round) {
    for (const size_t bytes : kBlockSizes) {
      blocks.emplace_back(bytes, static_cast<unsigned>(blocks.size()));
      CHECK(reinterpret_cast<uintptr_t>(blocks.back().data) % 64 == 0);
    }
  }
  std::set<void*> addresses;
  for (const Block& block : blocks) addresses.insert(block.data);
  CHECK(addresses.size() == blocks.size());
  for (Block& block : blocks) CHECK(block.release());
}

TEST_CASE("allocating zero bytes gives nullptr, and freeing nullptr does nothing") {
  const MemoryStats before = memory_stats();
  CHECK(allocate(0) == nullptr);
  deallocate(nullptr, 0);
  deallocate(nullptr, 100);
  deallocate(nullptr, 10 * kMiB);
  CHECK(memory_stats().live_blocks == before.live_blocks);
}

TEST_CASE("a freed block is handed out again") {
  if (kAddressSanitizer) return;
  for (const size_t bytes : kBlockSizes) {
    CAPTURE(bytes);
    void* first = allocate(bytes);
    deallocate(first, bytes);
    void* second = allocate(bytes);
    CHECK(first == second);
    deallocate(second, bytes);
  }
}

TEST_CASE("a cached large block serves a request it exceeds by at most a quarter") {
  if (kAddressSanitizer) return;
  trim();
  void* big = allocate(20 * kMiB);
  deallocate(big, 20 * kMiB);
  void* smaller = allocate(17 * kMiB);
  CHECK(smaller == big);
  CHECK(memory_stats().allocated >= 20 * kMiB);
  deallocate(smaller, 17 * kMiB);
  void* too_small = allocate(12 * kMiB);
  CHECK(too_small != big);
  deallocate(too_small, 12 * kMiB);
}

TEST_CASE("large blocks start at a huge page") {
  if (kAddressSanitizer) return;
  for (const size_t bytes : {2 * kMiB, 3 * kMiB, 64 * kMiB}) {
    void* block = allocate(bytes);
    CHECK(reinterpret_cast<uintptr_t>(block) % (2 * kMiB) == 0);
    deallocate(block, bytes);
  }
}

TEST_CASE("memory_stats counts live bytes and blocks exactly, over all tiers") {
  trim();
  const MemoryStats before = memory_stats();
  std::vector<Block> blocks;
  size_t expected = 0;
  for (int round = 0; round < 40; ++round) {
    const size_t bytes = kBlockSizes[static_cast<size_t>(round) % kBlockSizes.size()];
    blocks.emplace_back(bytes, static_cast<unsigned>(round));
    expected += block_size(bytes);
    const MemoryStats now = memory_stats();
    REQUIRE(now.allocated - before.allocated == expected);
    REQUIRE(now.live_blocks - before.live_blocks == blocks.size());
    REQUIRE(now.reserved >= now.allocated);
    REQUIRE(now.peak_allocated >= now.allocated);
  }
  while (!blocks.empty()) {
    expected -= block_size(blocks.back().bytes);
    CHECK(blocks.back().release());
    blocks.pop_back();
    REQUIRE(memory_stats().allocated - before.allocated == expected);
  }
  CHECK(memory_stats().live_blocks == before.live_blocks);
}

TEST_CASE("the peak is the highest amount since the last reset") {
  trim();  // a cached block may be larger than what it serves
  reset_peak_memory_stats();
  const MemoryStats before = memory_stats();
  CHECK(before.peak_allocated == before.allocated);
  for (const size_t bytes : {100 * kKiB, 3 * kMiB}) {
    CAPTURE(bytes);
    reset_peak_memory_stats();
    void* a = allocate(bytes);
    void* b = allocate(bytes);
    deallocate(a, bytes);
    void* c = allocate(bytes);
    deallocate(b, bytes);
    deallocate(c, bytes);
    CHECK(memory_stats().peak_allocated - before.allocated == 2 * block_size(bytes));
    CHECK(memory_stats().allocated == before.allocated);
    reset_peak_memory_stats();
    CHECK(memory_stats().peak_allocated == before.allocated);
  }
  std::vector<void*> blocks(10'000);
  for (void*& block : blocks) block = allocate(500);
  for (void* block : blocks) deallocate(block, 500);
  const size_t peak = memory_stats().peak_allocated - before.allocated;
  CHECK(peak <= 10'000 * block_size(500));
  CHECK(peak >= 9'000 * block_size(500));
}

TEST_CASE("trim gives everything cached back to the system") {
  std::vector<Block> blocks;
  for (unsigned i = 0; i < 200; ++i) blocks.emplace_back(kBlockSizes[i % kBlockSizes.size()], i);
  Block survivor(300, 1);
  for (Block& block : blocks) CHECK(block.release());
  const MemoryStats before = memory_stats();
  const size_t released = trim();
  const MemoryStats after = memory_stats();
  CHECK(before.reserved - after.reserved == released);
  CHECK(after.allocated == before.allocated);
  if (!kAddressSanitizer) CHECK(released >= 20 * kMiB);
  CHECK(trim() == 0);
  CHECK(survivor.intact());
  // What is left are the slabs that hold the survivor and blocks of the test program itself.
  CHECK(after.reserved - after.allocated <= (after.live_blocks + 1) * kMiB);
  CHECK(survivor.release());
  std::vector<Block> again;
  for (unsigned i = 0; i < 200; ++i) again.emplace_back(kBlockSizes[i % kBlockSizes.size()], i);
  for (Block& block : again) CHECK(block.release());
  empty_cache();
  CHECK(memory_stats().reserved <= after.reserved);
}

TEST_CASE("trim keeps free blocks of a slab that is in use, and they still work") {
  std::vector<Block> blocks;
  for (unsigned i = 0; i < 30'000; ++i) blocks.emplace_back(100, i);
  std::vector<Block> kept;
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (i % 1000 == 0) {
      kept.push_back(blocks[i]);
    } else {
      REQUIRE(blocks[i].release());
    }
  }
  trim();
  blocks.clear();
  for (unsigned i = 0; i < 40'000; ++i) blocks.emplace_back(100, i + 7);
  std::set<void*> addresses;
  for (const Block& block : blocks) addresses.insert(block.data);
  for (const Block& block : kept) addresses.insert(block.data);
  CHECK(addresses.size() == blocks.size() + kept.size());
  bool intact = true;
  for (Block& block : kept) intact &= block.release();
  for (Block& block : blocks) intact &= block.release();
  CHECK(intact);
}

TEST_CASE("an absurd request is refused with both figures, and the allocator goes on") {
  const MemoryStats before = memory_stats();
  for (const size_t bytes : {std::numeric_limits<size_t>::max(), size_t{1} << 60,
                             (size_t{1} << 47) + 1, size_t{1} << 47}) {
    CAPTURE(bytes);
    CHECK_THROWS_AS(allocate(bytes), OutOfMemoryError);
    CHECK_THROWS_WITH_TEXT(allocate(bytes), str(bytes, " bytes requested"));
    CHECK_THROWS_WITH_TEXT(allocate(bytes), " bytes held");
  }
  CHECK(memory_stats().allocated == before.allocated);
  CHECK(memory_stats().live_blocks == before.live_blocks);
  Block block(1000, 1);
  CHECK(block.release());
}
