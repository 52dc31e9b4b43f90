#pragma once
// What a DataLoader's begin() and end() give.

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

namespace tarn::data {
namespace detail {

// Where an iterator gets its batches.
template <typename Batch>
class BatchSource {
 public:
  virtual std::optional<Batch> next_batch() = 0;

 protected:
  ~BatchSource() = default;
};

// What the copies of an iterator share.
template <typename Batch>
struct IteratorState {
  // The first batch is fetched when first asked for.
  void fetch() {
    if (fetched) return;
    batch = source->next_batch();
    fetched = true;
  }
  bool at_end() const { return fetched && !batch; }

  BatchSource<Batch>* source;
  std::optional<Batch> batch;
  bool fetched = false;
};

[[noreturn]] void throw_iterator_error(const char* what);

}  // namespace detail

// An input iterator over the batches of one epoch. Copies move together. Must not outlive its
// loader.
template <typename Batch>
class Iterator {
 public:
  using difference_type = std::ptrdiff_t;
  using value_type = Batch;
  using pointer = Batch*;
  using reference = Batch&;
  using iterator_category = std::input_iterator_tag;

  // Past the end.
  Iterator() = default;
  explicit Iterator(std::shared_ptr<detail::IteratorState<Batch>> state)
      : state_(std::move(state)) {}

  // Fetches the next batch; throws what making it threw.
  Iterator& operator++() {
    if (!state_) {
      detail::throw_iterator_error(
          "Incrementing the DataLoader's past-the-end iterator is not allowed");
    }
    state_->fetch();
    if (state_->at_end()) {
      detail::throw_iterator_error("Attempted to increment iterator past the end");
    }
    state_->batch.reset();
    state_->fetched = false;
    state_->fetch();
    return *this;
  }
  void operator++(int) { ++*this; }

  Batch& operator*() const {
    if (!state_) {
      detail::throw_iterator_error(
          "Dereferencing the DataLoader's past-the-end iterator is not allowed");
    }
    state_->fetch();
    if (state_->at_end()) {
      detail::throw_iterator_error("Attempted to dereference iterator that was past the end");
    }
    return *state_->batch;
  }
  Batch* operator->() const { return &**this; }

  friend bool operator==(const Iterator& a, const Iterator& b) {
    return a.state_ == b.state_ || (a.at_end() && b.at_end());
  }

 private:
  bool at_end() const {
    if (!state_) return true;
    state_->fetch();
    return state_->at_end();
  }

  std::shared_ptr<detail::IteratorState<Batch>> state_;
};

}  // namespace tarn::data
