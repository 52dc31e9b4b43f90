// What each device has one of, from its first use to the end of the process. Internal.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>

namespace tarn::cuda {

inline constexpr int kMaxDevices = 128;

// kCount objects, made when they are first asked for and never destroyed, because tensors of the
// program may live longer than static objects. Any thread may ask.
template <class T, size_t kCount = kMaxDevices>
class MadeOnce {
 public:
  // The i-th; make() gives a pointer to it if it is the first to ask, one thread at a time.
  template <class Make>
  T& get(int i, Make&& make) {
    std::atomic<T*>& slot = slots_[static_cast<size_t>(i)];
    T* known = slot.load(std::memory_order_acquire);
    if (!known) [[unlikely]] {
      const std::lock_guard lock(mutex_);
      known = slot.load(std::memory_order_acquire);
      if (!known) slot.store(known = make(), std::memory_order_release);
    }
    return *known;
  }
  // Null where it was not asked for yet.
  T* find(int i) const { return slots_[static_cast<size_t>(i)].load(std::memory_order_acquire); }

 private:
  std::array<std::atomic<T*>, kCount> slots_{};
  std::mutex mutex_;
};

}  // namespace tarn::cuda
