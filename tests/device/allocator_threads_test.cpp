#include "tarn/device/allocator.h"

#include <atomic>
#include <deque>
#include <fstream>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tarn/device/size_class.h"
#include "tarn/tests/device/block.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/sanitizers.h"

using namespace tarn;
using detail::block_size;
using testing::Block;
using testing::kAddressSanitizer;
using testing::kKiB;
using testing::kMiB;
using testing::kThreadSanitizer;

namespace {

size_t resident_bytes() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return std::stoul(line.substr(6)) * kKiB;
  }
  return 0;
}

}  // namespace

TEST_CASE("memory_stats sees blocks of other threads, running and ended") {
  const MemoryStats before = memory_stats();
  std::vector<Block> blocks;
  std::thread([&] {
    for (unsigned i = 0; i < 100; ++i) blocks.emplace_back(200, i);
  }).join();
  CHECK(memory_stats().live_blocks - before.live_blocks == 100);
  CHECK(memory_stats().allocated - before.allocated == 100 * block_size(200));
  std::atomic<int> stage{0};
  std::thread running([&] {
    for (Block& block : blocks) block.release();
    stage = 1;
    while (stage == 1) std::this_thread::yield();
  });
  while (stage == 0) std::this_thread::yield();
  CHECK(memory_stats().live_blocks == before.live_blocks);
  CHECK(memory_stats().allocated == before.allocated);
  stage = 2;
  running.join();
}

TEST_CASE("threads allocate, check and free each other's blocks") {
  const int threads = 4;
  const int rounds = kThreadSanitizer ? 2'000 : 20'000;
  std::mutex mutex;
  std::deque<Block> shared;
  std::atomic<int> corrupt{0};
  const MemoryStats before = memory_stats();
  std::vector<std::thread> workers;
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      std::vector<Block> own;
      for (int i = 0; i < rounds; ++i) {
        const size_t limit = random() % 50 == 0 ? 3 * kMiB : random() % 4 == 0 ? 70'000 : 2'000;
        own.emplace_back(1 + random() % limit, random());
        if (random() % 2 == 0) {
          std::lock_guard lock(mutex);
          shared.push_back(own.back());
          own.pop_back();
          if (shared.size() > 100) {
            own.push_back(shared.front());
            shared.pop_front();
          }
        }
        while (own.size() > 50) {
          const size_t pick = random() % own.size();
          if (!own[pick].release()) ++corrupt;
          own[pick] = own.back();
          own.pop_back();
        }
        if (i % 5'000 == 100) trim();
        if (i % 1'000 == 7 && memory_stats().live_blocks > 100'000) ++corrupt;
      }
      for (Block& block : own) corrupt += !block.release();
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (Block& block : shared) corrupt += !block.release();
  CHECK(corrupt == 0);
  CHECK(memory_stats().live_blocks == before.live_blocks);
  CHECK(memory_stats().allocated == before.allocated);
}

TEST_CASE("a producer that only allocates and a consumer that only frees do not grow the memory") {
  std::mutex mutex;
  std::deque<Block> queue;
  std::atomic<bool> done{false};
  std::atomic<int> corrupt{0};
  const MemoryStats before = memory_stats();
  std::thread consumer([&] {
    while (true) {
      const bool last = done;
      std::deque<Block> taken;
      {
        std::lock_guard lock(mutex);
        taken.swap(queue);
      }
      for (Block& block : taken) corrupt += !block.release();
      if (last && taken.empty()) break;
      if (taken.empty()) std::this_thread::yield();
    }
  });
  for (unsigned i = 0; i < 50'000; ++i) {
    while (true) {
      std::lock_guard lock(mutex);
      if (queue.size() > 500) continue;
      queue.emplace_back(1000, i);
      break;
    }
  }
  done = true;
  consumer.join();
  CHECK(corrupt == 0);
  // 50 MB went through; at most 501 blocks lived at a time, and each side caches a few batches.
  CHECK(memory_stats().reserved <= before.reserved + 4 * kMiB);
  CHECK(memory_stats().live_blocks == before.live_blocks);
}

TEST_CASE("two thousand short threads do not grow the resident memory") {
  if (kAddressSanitizer || kThreadSanitizer) return;
  const auto run_thread = [] {
    std::thread([] {
      std::vector<Block> blocks;
      for (unsigned i = 0; i < 60; ++i) blocks.emplace_back(100 + 1000 * (i % 60), i);
      for (Block& block : blocks) block.release();
    }).join();
  };
  for (int i = 0; i < 20; ++i) run_thread();
  const size_t before = resident_bytes();
  const size_t reserved = memory_stats().reserved;
  REQUIRE(before > 0);
  for (int i = 0; i < 2'000; ++i) run_thread();
  CHECK(resident_bytes() <= before + kMiB);
  CHECK(memory_stats().reserved == reserved);
}

TEST_CASE("random sizes settle: after warm-up the held memory stays") {
  if (kAddressSanitizer) return;
  std::mt19937 random(3);
  const auto step = [&] {
    std::vector<Block> blocks;
    const size_t batch = 1 + random() % 256;
    for (const size_t width : {784u, 256u, 256u, 10u}) blocks.emplace_back(batch * width * 4, 1u);
    for (Block& block : blocks) block.release();
  };
  for (int i = 0; i < 3'000; ++i) step();
  const size_t reserved = memory_stats().reserved;
  for (int i = 0; i < 10'000; ++i) step();
  CHECK(memory_stats().reserved == reserved);
}
