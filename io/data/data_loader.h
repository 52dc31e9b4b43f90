#pragma once
// DataLoader: batches of a dataset, in the order of a sampler, made ahead by worker threads.
//
//   auto options = data::DataLoaderOptions(256).workers(2);
//   auto loader = data::make_data_loader(std::move(dataset), options);
//   for (auto& batch : *loader) { ... batch.data ... batch.target ... }    // one epoch
//
// After one manual_seed() the batches are the same for any number of workers, those that transforms
// make with Tarn's random numbers included: for every batch the default CPU generator of the thread
// that makes it is one of its own, seeded from the state of the real one when the epoch began, the
// number of the epoch and that of the batch.
//
// state_dict() says where a loader stands, in the middle of an epoch too; another one that loads it
// goes on with the batches that were still to come.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tarn/core/random.h"
#include "tarn/core/value.h"
#include "tarn/io/data/data_iterator.h"
#include "tarn/io/data/data_loader_options.h"
#include "tarn/io/data/dataset.h"
#include "tarn/io/data/samplers.h"
#include "tarn/io/data/worker_pool.h"

namespace tarn::data {

// An exception of a worker, thrown in the thread that iterates. Iteration may go on with the next
// batch.
class WorkerException : public Error {
 public:
  explicit WorkerException(std::exception_ptr original);
  // What the worker threw, for std::rethrow_exception.
  std::exception_ptr original_exception;
};

namespace detail {

// The seed of the random numbers in one batch.
uint64_t batch_seed(uint64_t epoch_seed, uint64_t epoch, uint64_t batch);
// What the default generator would draw next.
uint64_t peek_default_generator();
[[noreturn]] void throw_short_epoch(uint64_t batches, uint64_t given);

// Where a loader stands.
struct LoaderPosition {
  uint64_t epochs = 0;  // finished
  // Within an epoch: the state of the default generator when it began, and what it has given since.
  Tensor generator;  // undefined between epochs
  uint64_t batches = 0;
  size_t batch_size = 0;

  Value to_value() const;
  // Throws for a value that is no position, or one in batches of another size.
  static LoaderPosition from_value(const Value& value, size_t batch_size);
};

}  // namespace detail

// What make_data_loader() returns. The dataset is copied for every worker; the sampler is used by
// the calling thread alone. Ops inside workers use one thread each. Not thread-safe itself.
template <typename Dataset, typename Sampler>
class DataLoader final : private detail::BatchSource<typename Dataset::BatchType> {
 public:
  using BatchType = typename Dataset::BatchType;
  using BatchRequestType = typename Sampler::BatchRequestType;

  DataLoader(Dataset dataset, Sampler sampler, DataLoaderOptions options)
      : options_(options), sampler_(std::move(sampler)) {
    for (size_t i = 1; i < options_.workers; ++i) datasets_.push_back(dataset);
    datasets_.push_back(std::move(dataset));
    if (options_.workers == 0) return;
    slots_.resize(options_.max_jobs > 0 ? options_.max_jobs : 1);
    free_all_slots();
    pool_.emplace(options_.workers,
                  [this](size_t worker, size_t slot) { work(worker, slots_[slot]); });
  }
  DataLoader(const DataLoader&) = delete;
  DataLoader& operator=(const DataLoader&) = delete;
  // Waits for the batches that workers are making at this moment, and drops the rest.
  ~DataLoader() = default;

  // Starts an epoch. With workers throws Error while an iterator of an unfinished one exists; an
  // epoch left by break is dropped. Without, such an iterator goes on with the new epoch.
  Iterator<BatchType> begin() {
    if (joined_) detail::throw_iterator_error("begin() was called after join()");
    if (const auto state = state_.lock(); pool_ && state && !state->at_end()) {
      detail::throw_iterator_error(
          "Attempted to get a new DataLoader iterator while another iterator is not yet exhausted");
    }
    if (pool_) {
      pool_->discard();
      free_all_slots();
    }
    start_epoch(std::exchange(resume_, std::nullopt));
    if (pool_) prefetch();
    auto state = std::make_shared<detail::IteratorState<BatchType>>();
    state->source = this;
    state_ = state;
    return Iterator<BatchType>(std::move(state));
  }
  Iterator<BatchType> end() { return {}; }

  // Ends the workers now. The loader cannot be iterated over again.
  void join() {
    joined_ = true;
    drained_ = true;
    if (!pool_) return;
    pool_->discard();
    pool_->join();
  }

  const FullDataLoaderOptions& options() const noexcept { return options_; }
  // Epochs begun so far. A program that goes on from a checkpoint sets it, so that transforms go on
  // with the random numbers of a program that never stopped.
  uint64_t epoch() const noexcept { return epoch_; }
  void set_epoch(uint64_t epoch) noexcept { epoch_ = epoch; }

  // Where the loader stands: within an epoch while an iterator has not reached its end, then after
  // the batch the iterator is at. Throws Error within an epoch whose batches come in no order.
  Value state_dict() const {
    const auto state = state_.lock();
    const bool within = state && !state->at_end();
    if (!within) {
      return detail::LoaderPosition{.epochs = epoch_, .generator = {}}.to_value();
    }
    if (!options_.enforce_ordering && pool_) {
      detail::throw_iterator_error(
          "state_dict() within an epoch needs enforce_ordering: which batches are still to come is "
          "not known");
    }
    return detail::LoaderPosition{epoch_ - 1, generator_, given_, options_.batch_size}.to_value();
  }
  // The next begin() goes on from there: within an epoch it gives the rest of it, then epoch()
  // counts this epoch as begun. The batches are those of a program that never stopped if the
  // default generator is as it was (Checkpoint sees to that), dataset and sampler are the same, and
  // the sampler draws random numbers only when it is reset. Throws ValueError for the state of
  // something else; then nothing has changed.
  void load_state_dict(const Value& state_dict) {
    auto position = detail::LoaderPosition::from_value(state_dict, options_.batch_size);
    epoch_ = position.epochs;
    state_.reset();
    resume_.reset();
    if (position.generator.defined()) resume_ = std::move(position);
  }

 private:
  // A job: what a worker needs, then what it made.
  struct Slot {
    std::optional<BatchRequestType> request;
    uint64_t seed = 0;
    std::optional<BatchType> batch;
    std::exception_ptr error;
  };

  // Begins an epoch, or goes on with one.
  void start_epoch(const std::optional<detail::LoaderPosition>& resume) {
    const Tensor now = get_rng_state();
    generator_ = resume ? resume->generator : now;
    given_ = resume ? resume->batches : 0;
    if (resume) set_rng_state(generator_);
    epoch_seed_ = detail::peek_default_generator();
    sampler_.reset(std::nullopt);
    if (resume) set_rng_state(now);
    ++epoch_;
    drained_ = false;
    for (batches_ = 0; batches_ < given_; ++batches_) {
      std::optional<BatchRequestType> given_before;
      if (!next_request(given_before)) detail::throw_short_epoch(batches_, given_);
    }
  }

  // Puts the next request of the sampler into `request`; false if the epoch is over.
  bool next_request(std::optional<BatchRequestType>& request) {
    if (drained_) return false;
    request = sampler_.next(options_.batch_size);
    drained_ = !request;
    if constexpr (requires { request->size(); }) {
      drained_ |= options_.drop_last && request && request->size() < options_.batch_size;
    }
    return !drained_;
  }

  uint64_t next_seed() { return detail::batch_seed(epoch_seed_, epoch_, batches_++); }

  void free_all_slots() {
    free_slots_.clear();
    for (size_t i = slots_.size(); i-- > 0;) {
      slots_[i] = {};
      free_slots_.push_back(i);
    }
  }

  // Gives the workers as much to do as max_jobs allows.
  void prefetch() {
    while (!free_slots_.empty()) {
      const size_t slot = free_slots_.back();
      if (!next_request(slots_[slot].request)) return;
      free_slots_.pop_back();
      slots_[slot].seed = next_seed();
      pool_->submit(slot);
    }
  }

  void work(size_t worker, Slot& slot) noexcept {
    try {
      const ThreadSeedGuard guard(slot.seed);
      slot.batch.emplace(datasets_[worker].get_batch(*slot.request));
    } catch (...) {
      slot.error = std::current_exception();
    }
  }

  std::optional<BatchType> next_batch() override {
    if (!pool_) {
      std::optional<BatchRequestType> request;
      if (!next_request(request)) return std::nullopt;
      ++given_;
      const ThreadSeedGuard guard(next_seed());
      return datasets_[0].get_batch(*request);
    }
    prefetch();
    const auto number = pool_->wait(options_.enforce_ordering, options_.timeout);
    if (!number) return std::nullopt;
    ++given_;
    Slot done = std::exchange(slots_[*number], {});
    free_slots_.push_back(*number);
    prefetch();
    if (done.error) throw WorkerException(std::move(done.error));
    return std::move(done.batch);
  }

  const FullDataLoaderOptions options_;
  Sampler sampler_;
  std::vector<Dataset> datasets_;  // one for each worker
  std::vector<Slot> slots_;
  std::vector<size_t> free_slots_;
  std::weak_ptr<detail::IteratorState<BatchType>> state_;
  uint64_t epoch_seed_ = 0;
  uint64_t epoch_ = 0;
  uint64_t batches_ = 0;  // asked of the sampler in this epoch
  uint64_t given_ = 0;    // to the iterator
  Tensor generator_;      // the default generator's state when the epoch began
  std::optional<detail::LoaderPosition> resume_;
  bool drained_ = true;
  bool joined_ = false;
  std::optional<detail::WorkerPool> pool_;  // last: its threads end before what they use
};

// libtorch's name.
template <typename Dataset, typename Sampler>
using StatelessDataLoader = DataLoader<Dataset, Sampler>;

template <typename Dataset, typename Sampler>
requires requires(Sampler& s, size_t n) { s.next(n); }
std::unique_ptr<DataLoader<Dataset, Sampler>> make_data_loader(Dataset dataset, Sampler sampler,
                                                               DataLoaderOptions options = {}) {
  return std::make_unique<DataLoader<Dataset, Sampler>>(std::move(dataset), std::move(sampler),
                                                        options);
}

// With a sampler for the dataset's size: RandomSampler unless given, as in
// make_data_loader<samplers::SequentialSampler>(dataset, 256). Throws Error for a dataset without
// one.
template <typename Sampler = samplers::RandomSampler, typename Dataset>
std::unique_ptr<DataLoader<Dataset, Sampler>> make_data_loader(Dataset dataset,
                                                               DataLoaderOptions options = {}) {
  const std::optional<size_t> size = dataset.size();
  TARN_CHECK(size.has_value(), "[make_data_loader] Expected the dataset to be sized in order to ",
             "construct the Sampler");
  return make_data_loader(std::move(dataset), Sampler(static_cast<int64_t>(*size)), options);
}

}  // namespace tarn::data
