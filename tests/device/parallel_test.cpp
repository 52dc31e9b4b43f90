#include "tarn/device/parallel.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "tarn/device/check.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/run_self.h"
#include "tarn/tests/support/sanitizers.h"

using namespace tarn;

namespace {

class Threads {
 public:
  explicit Threads(int n) { set_num_threads(n); }
  ~Threads() { set_num_threads(before_); }

 private:
  const int before_ = get_num_threads();
};

using Pieces = std::vector<std::pair<int64_t, int64_t>>;

Pieces pieces(int64_t begin, int64_t end, int64_t grain) {
  Pieces result;
  std::mutex mutex;
  parallel_for(begin, end, grain, [&](int64_t b, int64_t e) {
    std::lock_guard lock(mutex);
    result.emplace_back(b, e);
  });
  std::sort(result.begin(), result.end());
  return result;
}

}  // namespace

TEST_CASE("parallel_for covers every item exactly once for any range, grain and thread count") {
  for (const int threads : {1, 2, 3, 8}) {
    const Threads guard(threads);
    for (const int64_t begin : {-5, 0, 3}) {
      for (const int64_t count : {0, 1, 2, 7, 64, 1000}) {
        for (const int64_t grain : {-1, 0, 1, 3, 64, 5000}) {
          CAPTURE(threads, begin, count, grain);
          std::vector<std::atomic<int>> seen(static_cast<size_t>(count));
          parallel_for(begin, begin + count, grain, [&](int64_t b, int64_t e) {
            for (int64_t i = b; i < e; ++i) ++seen[static_cast<size_t>(i - begin)];
          });
          CHECK(std::all_of(seen.begin(), seen.end(), [](const auto& n) { return n == 1; }));
        }
      }
    }
  }
}

TEST_CASE("a reversed range calls nothing") {
  bool called = false;
  parallel_for(5, 3, 1, [&](int64_t, int64_t) { called = true; });
  CHECK_FALSE(called);
}

TEST_CASE("the pieces follow from range, grain and thread count alone") {
  {
    const Threads guard(4);
    const Pieces expected{{0, 3}, {3, 6}, {6, 8}, {8, 10}};
    for (int run = 0; run < 20; ++run) CHECK(pieces(0, 10, 1) == expected);
    CHECK(pieces(0, 10, 5) == Pieces{{0, 5}, {5, 10}});
    CHECK(pieces(0, 10, 9) == Pieces{{0, 5}, {5, 10}});
    CHECK(pieces(0, 10, 10) == Pieces{{0, 10}});
    CHECK(pieces(100, 103, 1) == Pieces{{100, 101}, {101, 102}, {102, 103}});
  }
  const Threads guard(1);
  CHECK(pieces(0, 10, 1) == Pieces{{0, 10}});
}

TEST_CASE("a range near the limits of int64 does not overflow") {
  const Threads guard(4);
  const int64_t last = std::numeric_limits<int64_t>::max();
  const Pieces split = pieces(0, last, last / 3);
  REQUIRE(split.size() == 4);
  CHECK(split.front().first == 0);
  CHECK(split.back().second == last);
  for (size_t i = 1; i < split.size(); ++i) CHECK(split[i].first == split[i - 1].second);
}

TEST_CASE("pieces run on several threads, and a short range runs in the caller") {
  const Threads guard(2);
  std::set<std::thread::id> ids;
  std::mutex mutex;
  const auto note = [&](int64_t, int64_t) {
    std::lock_guard lock(mutex);
    ids.insert(std::this_thread::get_id());
  };
  parallel_for(0, 2, 1, note);
  CHECK(ids.size() == 2);
  CHECK(ids.count(std::this_thread::get_id()) == 1);
  ids.clear();
  parallel_for(0, 2, 2, note);
  CHECK(ids == std::set<std::thread::id>{std::this_thread::get_id()});
}

TEST_CASE("a parallel sum is right, and writes of the pieces are visible to the caller") {
  const Threads guard(4);
  std::vector<int64_t> values(100'000);
  for (int round = 1; round <= 50; ++round) {
    const auto n = static_cast<int64_t>(values.size());
    parallel_for(0, n, 1000, [&](int64_t b, int64_t e) {
      for (int64_t i = b; i < e; ++i) values[static_cast<size_t>(i)] = i * round;
    });
    const int64_t sum = std::accumulate(values.begin(), values.end(), int64_t{0});
    CHECK(sum == n * (n - 1) / 2 * round);
  }
}

TEST_CASE("an exception of any piece reaches the caller and the next region works") {
  const Threads guard(4);
  for (const int64_t bad : {0, 500, 999}) {
    const auto run = [&] {
      parallel_for(0, 1000, 1, [&](int64_t b, int64_t e) {
        if (b <= bad && bad < e) throw ValueError(str("item ", bad));
      });
    };
    CHECK_THROWS_AS(run(), ValueError);
    CHECK_THROWS_WITH_TEXT(run(), str("item ", bad));
  }
  const auto all = [] {
    parallel_for(0, 4, 1, [](int64_t, int64_t) { throw std::logic_error("x"); });
  };
  CHECK_THROWS_AS(all(), std::logic_error);
  std::atomic<int64_t> total{0};
  parallel_for(0, 1000, 1, [&](int64_t b, int64_t e) { total += e - b; });
  CHECK(total == 1000);
  CHECK_FALSE(in_parallel_region());
}

TEST_CASE("a nested parallel_for runs inline in the thread of its piece") {
  const Threads guard(4);
  CHECK_FALSE(in_parallel_region());
  std::atomic<int> inner_calls{0}, wrong{0};
  parallel_for(0, 4, 1, [&](int64_t, int64_t) {
    if (!in_parallel_region()) ++wrong;
    const auto outer = std::this_thread::get_id();
    parallel_for(0, 1000, 1, [&](int64_t b, int64_t e) {
      ++inner_calls;
      if (b != 0 || e != 1000 || std::this_thread::get_id() != outer) ++wrong;
    });
    if (!in_parallel_region()) ++wrong;
  });
  CHECK(inner_calls == 4);
  CHECK(wrong == 0);
  CHECK_FALSE(in_parallel_region());
}

TEST_CASE("a loop that runs inline is not a parallel region") {
  const Threads guard(4);
  bool inside = true;
  parallel_for(0, 3, 10, [&](int64_t, int64_t) { inside = in_parallel_region(); });
  CHECK_FALSE(inside);
}

TEST_CASE("the function object is called in place, not copied") {
  const Threads guard(2);
  struct Counter {
    std::atomic<int> calls{0};
    void operator()(int64_t, int64_t) { ++calls; }
  } counter;
  parallel_for(0, 2, 1, counter);
  CHECK(counter.calls == 2);
  const auto move_only = [p = std::make_unique<int>(3)](int64_t, int64_t) { return *p; };
  parallel_for(0, 2, 1, move_only);
}

TEST_CASE("several threads may run parallel_for at once") {
  const Threads guard(2);
  std::vector<std::thread> callers;
  std::atomic<int64_t> total{0};
  for (int t = 0; t < 3; ++t) {
    callers.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        parallel_for(0, 100, 10, [&](int64_t b, int64_t e) { total += e - b; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(total == 3 * 50 * 100);
}

TEST_CASE("set_num_threads takes effect and refuses what makes no sense") {
  const Threads guard(get_num_threads());
  set_num_threads(3);
  CHECK(get_num_threads() == 3);
  CHECK_THROWS_WITH_TEXT(set_num_threads(0), "positive number of threads");
  CHECK_THROWS_WITH_TEXT(set_num_threads(-4), "got -4");
  CHECK_THROWS_AS(set_num_threads(1'000'000), ValueError);
  CHECK(get_num_threads() == 3);
}

TEST_CASE("child: print the number of threads", "[.][child-threads]") {
  WARN("threads=" << get_num_threads() << ".");
}

TEST_CASE("the number of threads starts from OMP_NUM_THREADS, else from the CPUs allowed") {
  const auto threads_with = [](const char* environment) {
    return testing::run_self("[child-threads]", environment).output;
  };
  CHECK(threads_with("OMP_NUM_THREADS=5").find("threads=5.") != std::string::npos);
  CHECK(threads_with("OMP_NUM_THREADS=3,2").find("threads=3.") != std::string::npos);
  CHECK(threads_with("OMP_NUM_THREADS= taskset -c 0").find("threads=1.") != std::string::npos);
  CHECK(threads_with("OMP_NUM_THREADS=zero taskset -c 0").find("threads=1.") != std::string::npos);
}

#ifdef _OPENMP

TEST_CASE("the program's OpenMP settings are neither used nor changed") {
  const Threads guard(2);
  const int before = omp_get_max_threads();
  omp_set_num_threads(7);
  CHECK(get_num_threads() == 2);
  CHECK(pieces(0, 100, 1).size() == 2);
  CHECK(omp_get_max_threads() == 7);
  if (!testing::kThreadSanitizer) {
    std::atomic<int> team{0};
    parallel_for(0, 100, 1, [&](int64_t, int64_t) { team = omp_get_num_threads(); });
    CHECK(team == 2);
  }
  set_num_threads(3);
  CHECK(pieces(0, 100, 1).size() == 3);
  CHECK(omp_get_max_threads() == 7);
  omp_set_num_threads(before);
}

TEST_CASE("inside an OpenMP region of the program a parallel_for runs inline") {
  if (testing::kThreadSanitizer) return;
  const Threads guard(4);
  std::atomic<int> calls{0}, wrong{0};
#pragma omp parallel num_threads(2)
  parallel_for(0, 100, 1, [&](int64_t b, int64_t e) {
    ++calls;
    if (b != 0 || e != 100 || !in_parallel_region()) ++wrong;
  });
  CHECK(calls == 2);
  CHECK(wrong == 0);
}

#endif

TEST_CASE("under a SerialGuard parallel_for runs inline, on that thread and until the guard ends") {
  const Threads guard(4);
  {
    const SerialGuard serial;
    CHECK(in_parallel_region());
    CHECK(pieces(0, 100, 1) == Pieces{{0, 100}});
    {
      const SerialGuard nested;
      CHECK(pieces(0, 100, 1) == Pieces{{0, 100}});
    }
    CHECK(pieces(0, 100, 1) == Pieces{{0, 100}});
    std::thread([] { CHECK_FALSE(in_parallel_region()); }).join();
  }
  CHECK_FALSE(in_parallel_region());
  CHECK(pieces(0, 100, 1).size() == 4);
}
