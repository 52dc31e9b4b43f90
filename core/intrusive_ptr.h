// Reference counting inside the object: one pointer a handle, one allocation an object.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "tarn/device/allocator.h"

namespace tarn {

// Base of counted objects. Memory comes from Tarn's allocator (a few nanoseconds from the cache).
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void retain() const noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  // True when the caller held the last reference and must dispose of the object.
  bool release() const noexcept {
    // A sole owner cannot be joined by anyone else, so it needs no atomic write.
    if (references_.load(std::memory_order_acquire) == 1) return true;
    return references_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }
  uint32_t use_count() const noexcept { return references_.load(std::memory_order_acquire); }

  static void* operator new(size_t size) { return allocate(size); }
  static void operator delete(void* block, size_t size) noexcept { deallocate(block, size); }
  static void* operator new(size_t, void* place) noexcept { return place; }
  static void operator delete(void*, void*) noexcept {}

 protected:
  ~RefCounted() = default;

 private:
  mutable std::atomic<uint32_t> references_{1};
};

// A counted pointer to T. T provides `static void dispose(T*)`, called when the count reaches zero.
template <class T>
class IntrusivePtr {
 public:
  constexpr IntrusivePtr() = default;
  constexpr IntrusivePtr(std::nullptr_t) {}  // NOLINT
  // Takes over the reference a new object starts with.
  static IntrusivePtr adopt(T* object) noexcept {
    IntrusivePtr p;
    p.object_ = object;
    return p;
  }
  // Adds a reference.
  static IntrusivePtr share(T* object) noexcept {
    if (object) object->retain();
    return adopt(object);
  }
  IntrusivePtr(const IntrusivePtr& other) noexcept : object_(other.object_) {
    if (object_) object_->retain();
  }
  IntrusivePtr(IntrusivePtr&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <class U>
  requires std::is_convertible_v<U*, T*> IntrusivePtr(IntrusivePtr<U> other)
  noexcept : object_(other.leak()) {}  // NOLINT
  IntrusivePtr& operator=(IntrusivePtr other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~IntrusivePtr() {
    if (object_ && object_->release()) T::dispose(object_);
  }

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  // Gives the reference up to the caller.
  T* leak() noexcept { return std::exchange(object_, nullptr); }
  friend bool operator==(const IntrusivePtr& a, const IntrusivePtr& b) {
    return a.object_ == b.object_;
  }

 private:
  T* object_ = nullptr;
};

}  // namespace tarn
