// What many threads and many epochs do: no oversubscription, no leak, no race (under TSan).

#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>

#include "tarn/device/parallel.h"
#include "tarn/io/data/data.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/run_self.h"
#include "tarn/tests/support/sanitizers.h"
#include "tarn/tests/support/tensors.h"

using namespace tarn;
using namespace tarn::data;
using namespace tarn::testing;

namespace {

// Images with labels, random crops and noise: what a worker does in a real program.
auto images(int64_t count) {
  return datasets::TensorDataset(rand({count, 1, 12, 12}), arange(count))
      .map(transforms::Normalize<>(0.5, 0.5))
      .map(transforms::TensorLambda<>([](Tensor x) {
        const auto at = randint(4, {1}).item<int64_t>();
        return x.narrow(2, at, 8) + randn({1, 12, 8}) * 0.1;
      }))
      .map(transforms::Stack<>());
}

size_t resident_bytes() {
  size_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

std::set<std::string> threads() {
  std::set<std::string> ids;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task"))
    ids.insert(task.path().filename());
  return ids;
}

// Those of `before` may have ended meanwhile, or may be on their way to their end.
size_t threads_since(const std::set<std::string>& before) {
  std::set<std::string> now = threads();
  std::erase_if(now, [&](const std::string& id) { return before.count(id) > 0; });
  return now.size();
}

}  // namespace

TEST_CASE("ops in a worker use its thread alone, ops in the caller all of them") {
  struct Probe : datasets::Dataset<Probe, bool> {
    bool get(size_t) override {
      std::atomic<int> pieces{0};
      parallel_for(0, 1000, 1, [&](int64_t, int64_t) { ++pieces; });
      return pieces == 1;
    }
    std::optional<size_t> size() const override { return 8; }
  };
  const int before = get_num_threads();
  set_num_threads(4);
  auto threaded = make_data_loader(Probe(), DataLoaderOptions(2).workers(2));
  for (auto& batch : *threaded) {
    for (const bool alone : batch) CHECK(alone);
  }
  auto plain = make_data_loader(Probe(), 2);
  for (auto& batch : *plain) {
    for (const bool alone : batch) CHECK_FALSE(alone);
  }
  set_num_threads(before);
}

TEST_CASE("a loader has the threads it was asked for, and none afterwards") {
  std::thread([] {}).join();  // with the first thread ThreadSanitizer begins one of its own
  const std::set<std::string> before = threads();
  {
    auto loader = make_data_loader(images(20), DataLoaderOptions(2).workers(5));
    CHECK(threads_since(before) == 5);
    for (auto& batch : *loader) CHECK(batch.data.dim() == 4);
    CHECK(threads_since(before) == 5);
  }
  // A joined thread may be listed for a moment longer.
  for (int i = 0; i < 100 && threads_since(before) > 0; ++i) usleep(10000);
  CHECK(threads_since(before) == 0);
}

TEST_CASE("batches are the same bits for 0, 1, 2 and 8 workers over several epochs") {
  const auto epochs = [](size_t workers) {
    manual_seed(11);
    auto loader = make_data_loader(images(60), DataLoaderOptions(7).workers(workers));
    std::vector<float> numbers;
    std::vector<int64_t> targets;
    for (int epoch = 0; epoch < 3; ++epoch) {
      for (auto& batch : *loader) {
        for (const float x : elements<float>(batch.data)) numbers.push_back(x);
        for (const int64_t y : elements<int64_t>(batch.target)) targets.push_back(y);
      }
      numbers.push_back(rand({}).item<float>());  // the model's own draws
    }
    return std::pair(numbers, targets);
  };
  const auto expected = epochs(0);
  for (const size_t workers : {1, 2, 8}) {
    CAPTURE(workers);
    CHECK(epochs(workers) == expected);
  }
}

TEST_CASE("many short epochs with breaks and exceptions of many workers race nowhere") {
  struct Faulty : datasets::Dataset<Faulty, Tensor> {
    Tensor get(size_t index) override {
      if (index % 17 == 5) throw ValueError("badness");
      return rand({8}) + static_cast<double>(index);
    }
    std::optional<size_t> size() const override { return 40; }
  };
  auto loader = make_data_loader(Faulty(), DataLoaderOptions(2).workers(4));
  int failures = 0, batches = 0;
  for (int epoch = 0; epoch < 50; ++epoch) {
    try {
      for (auto& batch : *loader) {
        batches += batch.size() == 2;
        if (epoch % 3 == 0 && batches % 5 == 4) break;
      }
    } catch (const WorkerException& error) {
      ++failures;
      CHECK(std::string(error.what()).ends_with("badness"));
    }
  }
  CHECK(failures > 10);
  CHECK(batches > 50);
}

TEST_CASE("200 epochs with workers do not grow the process") {
  if (kAddressSanitizer || kThreadSanitizer) return;  // their shadow memory grows by itself
  manual_seed(0);
  auto loader = make_data_loader(images(256), DataLoaderOptions(32).workers(2));
  const auto epochs = [&](int count) {
    for (int i = 0; i < count; ++i) {
      // A new loader now and then: threads end and begin.
      if (i % 20 == 19) loader = make_data_loader(images(256), DataLoaderOptions(32).workers(2));
      for (auto& batch : *loader) REQUIRE(batch.data.numel() > 0);
    }
  };
  epochs(40);
  const size_t before = resident_bytes();
  epochs(200);
  const size_t after = resident_bytes();
  CHECK((after > before ? after - before : 0) < (size_t{1} << 20));
}

TEST_CASE("a worker thread that the system refuses is an error, not a crash",
          "[.][child-threads]") {
  rlimit limit{1, 1};
  setrlimit(RLIMIT_NPROC, &limit);
  if (geteuid() == 0 && setuid(65534) != 0) return;  // the limit does not hold for root
  CHECK_THROWS_WITH_TEXT(make_data_loader(images(4), DataLoaderOptions(1).workers(3)),
                         "[DataLoader] cannot start worker 1 of 3: ");
}

TEST_CASE("too many workers for the system end in an error") {
  if (kAddressSanitizer || kThreadSanitizer) return;  // need threads of their own
  const ChildResult child = run_self("[child-threads]");
  INFO(child.output);
  CHECK(child.status == 0);
}

TEST_CASE("an epoch of shuffled MNIST-sized batches takes less than 50 ms of one core", "[speed]") {
  if (kAddressSanitizer || kThreadSanitizer) return;
  const int before = get_num_threads();
  set_num_threads(1);
  auto loader = make_data_loader(
      datasets::TensorDataset(rand({60000, 1, 28, 28}), arange(60000)).map(transforms::Stack<>()),
      256);
  double best = 1e9;
  for (int round = 0; round < 5; ++round) {
    const clock_t start = clock();
    int64_t count = 0;
    for (auto& batch : *loader) count += batch.data.size(0);
    CHECK(count == 60000);
    best = std::min(best, static_cast<double>(clock() - start) / CLOCKS_PER_SEC);
  }
  set_num_threads(before);
  WARN("an epoch took " << best * 1e3 << " ms");
  CHECK(best < 0.2);
}
