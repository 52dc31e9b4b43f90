// Storage: the bytes behind one or more tensors, on one device.
#pragma once

#include <functional>

#include "tarn/core/intrusive_ptr.h"
#include "tarn/device/device.h"

namespace tarn {

struct StorageImpl final : RefCounted {
  void* data = nullptr;
  size_t nbytes = 0;
  Device device;
  // Counts in-place writes through any tensor that shares these bytes (Tensor::_version).
  uint32_t version = 0;
  // Bytes of the block that holds this header and, behind it, the data; 0 when data lies elsewhere.
  uint32_t joint_block = 0;
  std::function<void(void*)>* deleter = nullptr;  // owned; for memory given by the user

  static void dispose(StorageImpl* storage) noexcept;
};

// A counted handle. Tensors made by views share it; saving and loading keep the sharing.
class Storage {
 public:
  Storage() = default;
  explicit Storage(IntrusivePtr<StorageImpl> impl) : impl_(std::move(impl)) {}

  // Uninitialised memory. Throws OutOfMemoryError, or DeviceError for a device this build lacks.
  static Storage allocate(size_t nbytes, Device device);
  // Memory of the caller's; `deleter` (may be empty) is called with `data` when the last user is
  // gone.
  static Storage borrow(void* data, size_t nbytes, Device device,
                        std::function<void(void*)> deleter);

  void* data() const { return impl_->data; }
  void* mutable_data() const { return impl_->data; }
  size_t nbytes() const { return impl_->nbytes; }
  Device device() const { return impl_->device; }
  size_t use_count() const { return impl_->use_count(); }
  StorageImpl* unsafeGetStorageImpl() const { return impl_.get(); }
  bool is_same(const Storage& other) const { return impl_ == other.impl_; }
  explicit operator bool() const { return static_cast<bool>(impl_); }

 private:
  IntrusivePtr<StorageImpl> impl_;
};

}  // namespace tarn
