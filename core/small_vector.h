// SmallVector: a vector whose first N elements live inside it, so short lists need no allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include "tarn/core/array_ref.h"
#include "tarn/device/allocator.h"

namespace tarn {

template <class T, size_t N>
class SmallVector {
 public:
  SmallVector() = default;
  SmallVector(size_t n, const T& value) { resize(n, value); }
  SmallVector(ArrayRef<T> values) { append(values); }  // NOLINT
  SmallVector(std::initializer_list<T> values) { append(ArrayRef<T>(values)); }
  SmallVector(const SmallVector& other) { append(other); }
  SmallVector(SmallVector&& other) noexcept { take(other); }
  SmallVector& operator=(const SmallVector& other) {
    if (this != &other) {
      clear();
      append(other);
    }
    return *this;
  }
  SmallVector& operator=(SmallVector&& other) noexcept {
    if (this != &other) {
      clear();
      release();
      take(other);
    }
    return *this;
  }
  ~SmallVector() {
    clear();
    release();
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T& back() { return data_[size_ - 1]; }
  operator ArrayRef<T>() const { return {data_, size_}; }  // NOLINT

  void reserve(size_t n) {
    if (n <= capacity_) return;
    const size_t capacity = n > 2 * capacity_ ? n : 2 * capacity_;
    T* bigger = static_cast<T*>(allocate(capacity * sizeof(T)));
    std::uninitialized_move_n(data_, size_, bigger);
    std::destroy_n(data_, size_);
    release();
    data_ = bigger;
    capacity_ = static_cast<uint32_t>(capacity);
  }
  template <class... Args>
  T& emplace_back(Args&&... args) {
    reserve(size_ + 1);
    return *::new (static_cast<void*>(data_ + size_++)) T(std::forward<Args>(args)...);
  }
  void push_back(T value) { emplace_back(std::move(value)); }
  void append(ArrayRef<T> values) {
    reserve(size_ + values.size());
    for (const T& v : values) emplace_back(v);
  }
  void resize(size_t n, const T& value = T()) {
    while (size_ > n) pop_back();
    reserve(n);
    while (size_ < n) emplace_back(value);
  }
  void insert(size_t position, T value) {
    emplace_back(std::move(value));
    for (size_t i = size_ - 1; i > position; --i) std::swap(data_[i], data_[i - 1]);
  }
  void erase(size_t position) {
    for (size_t i = position; i + 1 < size_; ++i) data_[i] = std::move(data_[i + 1]);
    pop_back();
  }
  void pop_back() { data_[--size_].~T(); }
  void clear() {
    std::destroy_n(data_, size_);
    size_ = 0;
  }
  friend bool operator==(const SmallVector& a, ArrayRef<T> b) { return ArrayRef<T>(a).equals(b); }
  friend std::ostream& operator<<(std::ostream& os, const SmallVector& v) {
    return os << ArrayRef<T>(v);
  }

 private:
  T* inline_data() { return std::launder(reinterpret_cast<T*>(inline_)); }
  bool on_heap() const { return capacity_ > N; }
  void release() {
    if (!on_heap()) return;
    deallocate(data_, capacity_ * sizeof(T));
    data_ = inline_data();
    capacity_ = N;
  }
  void take(SmallVector& other) noexcept {
    if (other.on_heap()) {
      data_ = std::exchange(other.data_, other.inline_data());
      capacity_ = std::exchange(other.capacity_, static_cast<uint32_t>(N));
      size_ = std::exchange(other.size_, 0);
    } else {
      std::uninitialized_move_n(other.data_, other.size_, data_);
      size_ = other.size_;
      other.clear();
    }
  }

  T* data_ = inline_data();
  uint32_t size_ = 0;
  uint32_t capacity_ = N;
  alignas(T) unsigned char inline_[N * sizeof(T)];
};

// Sizes or strides of a tensor.
using DimVector = SmallVector<int64_t, 6>;

}  // namespace tarn
