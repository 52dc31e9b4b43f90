#include "tarn/device/allocator.h"

#include <sys/resource.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tarn/tests/device/block.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/run_self.h"
#include "tarn/tests/support/sanitizers.h"

using namespace tarn;
using testing::Block;
using testing::kAddressSanitizer;
using testing::kMiB;
using testing::kThreadSanitizer;

TEST_CASE("child: run into an address space limit", "[.][child-limit]") {
  void* cached = allocate(128 * kMiB);
  rlimit limit{};
  getrlimit(RLIMIT_AS, &limit);
  std::ifstream statm("/proc/self/statm");
  size_t pages = 0;
  statm >> pages;
  limit.rlim_cur = pages * 4096 + 32 * kMiB;
  setrlimit(RLIMIT_AS, &limit);
  CHECK_THROWS_AS(allocate(100 * kMiB), OutOfMemoryError);
  deallocate(cached, 128 * kMiB);
  // Fits only once the cached block, too large for it, has been given back.
  void* second = allocate(80 * kMiB);
  CHECK(second != nullptr);
  std::vector<void*> small;
  CHECK_THROWS_AS(
      [&] {
        while (true) small.push_back(allocate(50'000));
      }(),
      OutOfMemoryError);
  CHECK(small.size() > 100);
  for (void* block : small) deallocate(block, 50'000);
  deallocate(second, 80 * kMiB);
}

TEST_CASE("when the system refuses, the cache is emptied and the request retried once") {
  if (kAddressSanitizer || kThreadSanitizer) return;
  const auto child = testing::run_self("[child-limit]", "TARN_CPU_CACHE_LIMIT=1G");
  INFO(child.output);
  CHECK(child.status == 0);
}

TEST_CASE("child: cache under a limit", "[.][child-cache-limit]") {
  std::vector<void*> blocks;
  for (int i = 0; i < 10; ++i) blocks.push_back(allocate(8 * kMiB));
  for (void* block : blocks) deallocate(block, 8 * kMiB);
  const MemoryStats stats = memory_stats();
  WARN("cached=" << (stats.reserved - stats.allocated) / kMiB / 8 << ".");
}

TEST_CASE("TARN_CPU_CACHE_LIMIT bounds what is cached") {
  if (kAddressSanitizer) return;
  const auto cached_with = [](const char* environment) {
    return testing::run_self("[child-cache-limit]", environment).output;
  };
  // Cached blocks of 9 MiB (the class of 8 MiB) that fit, as multiples of 8 MiB.
  CHECK(cached_with("TARN_CPU_CACHE_LIMIT=0").find("cached=0.") != std::string::npos);
  CHECK(cached_with("TARN_CPU_CACHE_LIMIT=32M").find("cached=4.") != std::string::npos);
  CHECK(cached_with("TARN_CPU_CACHE_LIMIT=33554432").find("cached=4.") != std::string::npos);
  CHECK(cached_with("TARN_CPU_CACHE_LIMIT=1g").find("cached=10.") != std::string::npos);
  for (const char* wrong :
       {"TARN_CPU_CACHE_LIMIT=many", "TARN_CPU_CACHE_LIMIT=-1", "TARN_CPU_CACHE_LIMIT=5X",
        "TARN_CPU_CACHE_LIMIT=99999999999999999999"}) {
    const std::string output = cached_with(wrong);
    CAPTURE(wrong, output);
    CHECK(output.find("is not a number of bytes") != std::string::npos);
    CHECK(output.find("cached=10.") != std::string::npos);
  }
}

TEST_CASE("child: oldest cached blocks leave first", "[.][child-oldest]") {
  void* old_one = allocate(20 * kMiB);
  void* new_one = allocate(40 * kMiB);
  deallocate(old_one, 20 * kMiB);
  deallocate(new_one, 40 * kMiB);
  CHECK(memory_stats().reserved >= 40 * kMiB);
  CHECK(memory_stats().reserved < 60 * kMiB);
  void* again = allocate(40 * kMiB);
  CHECK(again == new_one);
  deallocate(again, 40 * kMiB);
}

TEST_CASE("when the cache is full, the block unused for longest is given back") {
  if (kAddressSanitizer) return;
  const auto child = testing::run_self("[child-oldest]", "TARN_CPU_CACHE_LIMIT=50M");
  INFO(child.output);
  CHECK(child.status == 0);
}

TEST_CASE("child: free a large block twice", "[.][child-double-free]") {
  void* block = allocate(3 * kMiB);
  deallocate(block, 3 * kMiB);
  deallocate(block, 3 * kMiB);
}

TEST_CASE("freeing a large block twice ends the process with a message") {
  const auto child = testing::run_self("[child-double-free]");
  INFO(child.output);
  CHECK(child.status != 0);
  CHECK(child.output.find(kAddressSanitizer ? "double-free" : "freed twice") != std::string::npos);
}

namespace {

// Frees blocks of each tier while the thread or the process ends: after the thread's cache has gone
// if it was built before the thread's first allocation.
struct LateUser {
  std::vector<Block> blocks;
  bool announce = false;
  void fill(bool say_so) {
    announce = say_so;
    for (const size_t bytes : {100ul, 5'000ul, 100'000ul, 3 * kMiB}) blocks.emplace_back(bytes, 5u);
  }
  ~LateUser() {
    if (blocks.empty()) return;
    for (Block& block : blocks) {
      if (!block.release()) std::abort();
    }
    for (int i = 0; i < 1'000; ++i) {
      if (!Block(500, 1).release() || !Block(100'000, 2).release()) std::abort();
    }
    if (announce) std::puts("late user done");
  }
};

LateUser static_user;
thread_local LateUser thread_user;

}  // namespace

TEST_CASE("child: free at exit", "[.][child-exit]") {
  // Touching the thread's object before its first allocation makes it outlive the thread's cache.
  std::thread([] {
    thread_user.blocks.reserve(8);
    thread_user.fill(true);
  }).join();
  thread_user.blocks.reserve(8);
  thread_user.fill(true);
  static_user.fill(true);
}

TEST_CASE("destructors of static and thread_local objects may use the allocator") {
  const auto child = testing::run_self("[child-exit]");
  INFO(child.output);
  CHECK(child.status == 0);
  size_t done = 0;
  for (size_t at = 0; (at = child.output.find("late user done", at)) != std::string::npos; ++at)
    ++done;
  CHECK(done == 3);
}

TEST_CASE("a thread that frees in a late destructor leaves nothing behind") {
  const MemoryStats before = memory_stats();
  for (int i = 0; i < 20; ++i) {
    std::thread([] {
      thread_user.blocks.reserve(8);
      thread_user.fill(false);
    }).join();
  }
  CHECK(memory_stats().live_blocks == before.live_blocks);
  CHECK(memory_stats().allocated == before.allocated);
}

TEST_CASE("child: read a freed block", "[.][child-use-after-free]") {
  auto* block = static_cast<volatile char*>(allocate(100));
  deallocate(const_cast<char*>(block), 100);
  WARN("read " << int{block[10]});
}

TEST_CASE("child: write past a block", "[.][child-overrun]") {
  auto* block = static_cast<volatile char*>(allocate(100));
  block[100] = 1;
  deallocate(const_cast<char*>(block), 100);
}

TEST_CASE("child: leak a block", "[.][child-leak]") {
  // Many, because a stale register or stack slot may still hold the address of one.
  std::atomic<void*> last{nullptr};
  for (int i = 0; i < 10; ++i) last = allocate(100);
  last = nullptr;
}

TEST_CASE("AddressSanitizer finds use after free, overruns and leaks of blocks") {
  if (!kAddressSanitizer) return;
  const auto use_after_free = testing::run_self("[child-use-after-free]");
  CHECK(use_after_free.status != 0);
  CHECK(use_after_free.output.find("heap-use-after-free") != std::string::npos);
  const auto overrun = testing::run_self("[child-overrun]");
  CHECK(overrun.status != 0);
  CHECK(overrun.output.find("heap-buffer-overflow") != std::string::npos);
  const auto leak = testing::run_self("[child-leak]", "ASAN_OPTIONS=detect_leaks=1");
  CHECK(leak.status != 0);
  CHECK(leak.output.find("LeakSanitizer: detected memory leaks") != std::string::npos);
}
