#include "tarn/io/data/data_loader.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <iterator>
#include <numeric>
#include <set>
#include <stdexcept>
#include <thread>

#include "tarn/tests/support/catch.h"

using namespace tarn;
using namespace tarn::data;
using namespace std::chrono_literals;

namespace {

// Numbers 1, 2, ...
struct Numbers : datasets::Dataset<Numbers, int> {
  explicit Numbers(size_t n = 100) : count(n) {}
  int get(size_t index) override { return static_cast<int>(index) + 1; }
  std::optional<size_t> size() const override { return count; }
  size_t count;
};

struct Unsized : datasets::Dataset<Unsized, int> {
  int get(size_t index) override { return static_cast<int>(index); }
  std::optional<size_t> size() const override { return std::nullopt; }
};

// Numbers 1, 2, ..., the first only after the gate was opened.
struct Gated : Numbers {
  Gated(std::promise<void>& gate, size_t n) : Numbers(n), opened(gate.get_future()) {}
  int get(size_t index) override {
    if (index == 0) opened.wait();
    return Numbers::get(index);
  }
  std::shared_future<void> opened;
};

// Example i throws if i is in `bad`.
struct Throwing : datasets::Dataset<Throwing, int> {
  explicit Throwing(std::set<size_t> bad_) : bad(std::move(bad_)) {}
  int get(size_t index) override {
    if (bad.count(index)) throw std::invalid_argument("badness");
    return static_cast<int>(index);
  }
  std::optional<size_t> size() const override { return 10; }
  std::set<size_t> bad;
};

template <typename Loader>
std::vector<int> drain(Loader& loader) {
  std::vector<int> all;
  for (auto& batch : loader) all.insert(all.end(), batch.begin(), batch.end());
  return all;
}

std::vector<int> first_numbers(int n) {
  std::vector<int> numbers(static_cast<size_t>(n));
  std::iota(numbers.begin(), numbers.end(), 1);
  return numbers;
}

template <typename Dataset>
auto in_order(Dataset dataset, DataLoaderOptions options) {
  return make_data_loader<samplers::SequentialSampler>(std::move(dataset), options);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

TEST_CASE("loader options have libtorch's defaults") {
  const FullDataLoaderOptions defaults{DataLoaderOptions()};
  CHECK(defaults.batch_size == 1);
  CHECK(defaults.workers == 0);
  CHECK(defaults.max_jobs == 0);
  CHECK_FALSE(defaults.timeout.has_value());
  CHECK(defaults.enforce_ordering);
  CHECK_FALSE(defaults.drop_last);
  const FullDataLoaderOptions some{DataLoaderOptions(32).workers(10)};
  CHECK(some.batch_size == 32);
  CHECK(some.max_jobs == 20);
  CHECK(FullDataLoaderOptions(DataLoaderOptions().workers(10).max_jobs(3)).max_jobs == 3);
  CHECK(in_order(Numbers(), 7)->options().batch_size == 7);
}

TEST_CASE("a batch size of 0 is an error") {
  CHECK_THROWS_AS(make_data_loader(Numbers(), 0), ValueError);
  CHECK_THROWS_WITH_TEXT(make_data_loader(Numbers(), 0), "batch_size must be at least 1, got 0");
}

TEST_CASE("a dataset without a size needs a sampler made by hand") {
  CHECK_THROWS_WITH_TEXT(make_data_loader(Unsized(), 2),
                         "Expected the dataset to be sized in order to construct the Sampler");
  auto loader = make_data_loader(Unsized(), samplers::SequentialSampler(3), 2);
  CHECK(drain(*loader) == std::vector<int>{0, 1, 2});
}

TEST_CASE("a loader gives every example in batches, in order, epoch after epoch") {
  const size_t workers = GENERATE(0, 1, 2, 8);
  auto loader = in_order(Numbers(10), DataLoaderOptions(4).workers(workers));
  for (int epoch = 0; epoch < 3; ++epoch) {
    std::vector<size_t> sizes;
    for (auto& batch : *loader) sizes.push_back(batch.size());
    CHECK(sizes == std::vector<size_t>{4, 4, 2});
    CHECK(drain(*loader) == first_numbers(10));
  }
  CHECK(loader->epoch() == 6);
}

TEST_CASE("drop_last leaves out a last batch that is not full") {
  const size_t workers = GENERATE(0, 2);
  const auto options = DataLoaderOptions(4).workers(workers).drop_last(true);
  CHECK(drain(*in_order(Numbers(10), options)) == first_numbers(8));
  CHECK(drain(*in_order(Numbers(8), options)) == first_numbers(8));
  CHECK(drain(*in_order(Numbers(3), options)).empty());
}

TEST_CASE("a loader of an empty dataset has no batches") {
  const size_t workers = GENERATE(0, 2);
  auto loader = make_data_loader(Numbers(0), DataLoaderOptions(4).workers(workers));
  CHECK(loader->begin() == loader->end());
}

TEST_CASE("max_jobs bounds the batches under way and changes no batch") {
  for (const size_t jobs : {0, 1, 2, 50}) {
    auto loader = in_order(Numbers(40), DataLoaderOptions(3).workers(3).max_jobs(jobs));
    CHECK(drain(*loader) == first_numbers(40));
  }
  // What the sampler has given out when the first batch arrives is max_jobs, and one more for the
  // place that this batch left.
  struct Counting : samplers::SequentialSampler {
    explicit Counting(size_t* count_) : SequentialSampler(1000), count(count_) {}
    std::optional<std::vector<size_t>> next(size_t n) override {
      ++*count;
      return SequentialSampler::next(n);
    }
    size_t* count;
  };
  size_t count = 0;
  auto loader = make_data_loader(Numbers(1000), Counting(&count),
                                 DataLoaderOptions(1).workers(2).max_jobs(5));
  auto iterator = loader->begin();
  CHECK(count == 5);
  CHECK(iterator->at(0) == 1);
  CHECK(count == 6);
}

TEST_CASE("without enforce_ordering a slow batch does not hold up the others") {
  std::promise<void> gate;
  auto loader = in_order(Gated(gate, 10), DataLoaderOptions(1).workers(2).enforce_ordering(false));
  std::vector<int> all;
  for (auto& batch : *loader) {
    if (all.empty()) gate.set_value();
    all.push_back(batch[0]);
  }
  CHECK(all.front() != 1);
  std::sort(all.begin(), all.end());
  CHECK(all == first_numbers(10));
}

TEST_CASE("an iterator is an input iterator that algorithms take") {
  STATIC_REQUIRE(std::input_iterator<Iterator<int>>);
  const size_t workers = GENERATE(0, 2);
  auto loader = in_order(Numbers(5), DataLoaderOptions(2).workers(workers));
  CHECK(std::distance(loader->begin(), loader->end()) == 3);
  std::vector<size_t> sizes;
  std::transform(loader->begin(), loader->end(), std::back_inserter(sizes),
                 [](const std::vector<int>& batch) { return batch.size(); });
  CHECK(sizes == std::vector<size_t>{2, 2, 1});
}

TEST_CASE("an iterator compares equal to itself, its copies and, when exhausted, the end") {
  const size_t workers = GENERATE(0, 1);
  auto loader = in_order(Numbers(2), DataLoaderOptions(1).workers(workers));
  auto i = loader->begin();
  const auto end = loader->end();
  CHECK(i == i);
  CHECK(end == end);
  CHECK(i != end);
  auto j = i;
  CHECK(i == j);
  ++i;  // the copy moves along
  CHECK(j->at(0) == 2);
  ++j;
  CHECK(i == end);
  CHECK(j == end);
}

TEST_CASE("dereferencing an iterator twice gives one batch, which may be changed and moved from") {
  const size_t workers = GENERATE(0, 1);
  auto loader = in_order(Numbers(2), DataLoaderOptions(1).workers(workers));
  auto i = loader->begin();
  CHECK(*i == std::vector<int>{1});
  CHECK(*i == std::vector<int>{1});
  i->push_back(7);
  const std::vector<int> taken = std::move(*i);
  CHECK(taken == std::vector<int>{1, 7});
  ++i;
  CHECK(*i == std::vector<int>{2});
}

TEST_CASE("an iterator past the end says so") {
  const size_t workers = GENERATE(0, 2);
  auto loader = in_order(Numbers(1), DataLoaderOptions(1).workers(workers));
  auto i = loader->begin();
  ++i;
  CHECK_THROWS_WITH_TEXT(++i, "Attempted to increment iterator past the end");
  CHECK_THROWS_WITH_TEXT(*i, "Attempted to dereference iterator that was past the end");
  auto end = loader->end();
  CHECK_THROWS_WITH_TEXT(++end,
                         "Incrementing the DataLoader's past-the-end iterator is not allowed");
  CHECK_THROWS_WITH_TEXT(*end,
                         "Dereferencing the DataLoader's past-the-end iterator is not allowed");
  CHECK_THROWS_AS(*end, Error);
}

TEST_CASE("without workers an iterator of an unfinished epoch goes on with the next") {
  auto loader = in_order(Numbers(3), DataLoaderOptions(1));
  auto first = loader->begin();
  CHECK(*first == std::vector<int>{1});
  auto second = loader->begin();
  CHECK(*second == std::vector<int>{1});
  CHECK(*++first == std::vector<int>{2});
  CHECK(*++second == std::vector<int>{3});
  ++first;
  CHECK(first == loader->end());
}

TEST_CASE("with workers a second iterator over an unfinished epoch is refused, after it allowed") {
  auto loader = in_order(Numbers(3), DataLoaderOptions(1).workers(2));
  auto i = loader->begin();
  CHECK_THROWS_WITH_TEXT(loader->begin(),
                         "Attempted to get a new DataLoader iterator while another iterator is "
                         "not yet exhausted");
  CHECK(*i == std::vector<int>{1});  // the first goes on
  ++i, ++i, ++i;
  CHECK(i == loader->end());
  CHECK(drain(*loader) == first_numbers(3));
}

TEST_CASE("after a break the next epoch begins anew") {
  const size_t workers = GENERATE(0, 1, 4);
  auto loader = in_order(Numbers(50), DataLoaderOptions(2).workers(workers));
  for (int round = 0; round < 5; ++round) {
    int count = 0;
    for (auto& batch : *loader) {
      CHECK(batch[0] == 2 * count + 1);
      if (++count == 3) break;
    }
  }
  CHECK(drain(*loader) == first_numbers(50));
}

TEST_CASE("an exception in a worker reaches the caller with its text and itself") {
  auto loader = in_order(Throwing({0}), DataLoaderOptions(1).workers(2));
  auto i = loader->begin();
  try {
    static_cast<void>(*i);
    FAIL("nothing was thrown");
  } catch (const WorkerException& error) {
    CHECK(error.what() ==
          std::string("Caught exception in DataLoader worker thread. Original message: badness"));
    CHECK_THROWS_AS(std::rethrow_exception(error.original_exception), std::invalid_argument);
  }
  // Iteration goes on with the next batch.
  CHECK(*i == std::vector<int>{1});
}

TEST_CASE("an exception that is no std::exception reaches the caller as well") {
  struct Odd : Numbers {
    using Numbers::Numbers;
    std::vector<int> get_batch(ArrayRef<size_t>) override { throw 5; }
  };
  auto loader =
      make_data_loader(Odd(), samplers::SequentialSampler(3), DataLoaderOptions(1).workers(1));
  CHECK_THROWS_AS(*loader->begin(), WorkerException);
  CHECK_THROWS_WITH_TEXT(*loader->begin(), "Original message: (not a std::exception)");
}

TEST_CASE("an exception without workers is the dataset's own") {
  auto loader = in_order(Throwing({1}), 1);
  auto i = loader->begin();
  CHECK(*i == std::vector<int>{0});
  CHECK_THROWS_AS(++i, std::invalid_argument);
  CHECK(*i == std::vector<int>{2});
}

TEST_CASE("every failing batch is reported once, the others arrive in order") {
  const size_t workers = GENERATE(0, 1, 3);
  auto loader = in_order(Throwing({0, 3, 4, 9}), DataLoaderOptions(1).workers(workers));
  for (int epoch = 0; epoch < 2; ++epoch) {
    std::vector<int> good;
    int failures = 0;
    auto i = loader->begin();
    for (bool more = true; more;) {
      try {
        if (i == loader->end()) break;
        good.push_back(i->at(0));
        ++i;
      } catch (const std::exception&) {
        ++failures;
      }
    }
    CHECK(good == std::vector<int>{1, 2, 5, 6, 7, 8});
    CHECK(failures == 4);
  }
}

TEST_CASE("an epoch that an exception ended can be followed by another") {
  auto loader = in_order(Throwing({3}), DataLoaderOptions(1).workers(2));
  for (int epoch = 0; epoch < 3; ++epoch) CHECK_THROWS_AS(drain(*loader), WorkerException);
}

TEST_CASE("a wait longer than the timeout is an error, and the batch still comes") {
  std::promise<void> gate;
  auto loader = in_order(Gated(gate, 2), DataLoaderOptions(1).workers(1).timeout(10ms));
  auto i = loader->begin();
  CHECK_THROWS_WITH_TEXT(
      *i, "Timeout in DataLoader queue while waiting for next batch (timeout was 10 ms)");
  gate.set_value();
  for (bool arrived = false; !arrived;) {
    try {
      CHECK(*i == std::vector<int>{1});
      arrived = true;
    } catch (const Error&) {  // on a busy machine it may take longer still
    }
  }
  CHECK(drain(*in_order(Numbers(5), DataLoaderOptions(1).workers(1).timeout(60s))) ==
        first_numbers(5));
}

TEST_CASE("leaving a loop early ends the workers in less than a second") {
  struct Slow : datasets::Dataset<Slow, int> {
    int get(size_t index) override {
      std::this_thread::sleep_for(20ms);
      return static_cast<int>(index);
    }
    std::optional<size_t> size() const override { return 100000; }
  };
  std::chrono::steady_clock::time_point left;
  {
    auto loader = in_order(Slow(), DataLoaderOptions(1).workers(4).max_jobs(1000));
    for (auto& batch : *loader) {
      CHECK(batch[0] == 0);
      break;
    }
    left = std::chrono::steady_clock::now();
  }
  CHECK(seconds_since(left) < 1.0);
}

TEST_CASE("a loader whose iteration never began or that is joined twice ends quietly") {
  { auto loader = in_order(Numbers(), DataLoaderOptions(1).workers(3)); }
  auto loader = in_order(Numbers(), DataLoaderOptions(1).workers(3));
  auto i = loader->begin();
  loader->join();
  loader->join();
  CHECK_THROWS_WITH_TEXT(loader->begin(), "begin() was called after join()");
  CHECK(i == loader->end());
}
