#include "tarn/core/storage.h"

#include "tarn/device/cuda.h"
#include "tarn/device/memory.h"

namespace tarn {
namespace {

// Up to here header and data share one block: one allocation for a small tensor's bytes.
constexpr size_t kJointLimit = 16384;
constexpr size_t kHeader = (sizeof(StorageImpl) + 63) / 64 * 64;

}  // namespace

void StorageImpl::dispose(StorageImpl* storage) noexcept {
  const size_t block = storage->joint_block;
  if (storage->deleter) {
    (*storage->deleter)(storage->data);
    delete storage->deleter;
  } else if (block == 0) {
    deallocate(storage->data, storage->nbytes, storage->device);
  }
  storage->~StorageImpl();
  deallocate(storage, block ? block : sizeof(StorageImpl));
}

Storage Storage::allocate(size_t nbytes, Device on) {
  const Device device = with_index(on);
  StorageImpl* storage;
  if (nbytes <= kJointLimit && device.is_cpu()) {
    const size_t block = kHeader + nbytes;
    char* memory = static_cast<char*>(tarn::allocate(block));
    storage = ::new (static_cast<void*>(memory)) StorageImpl;
    storage->joint_block = static_cast<uint32_t>(block);
    storage->data = memory + kHeader;
  } else {
    void* data = tarn::allocate(nbytes, device);
    storage = new StorageImpl;
    storage->data = data;
  }
  storage->nbytes = nbytes;
  storage->device = device;
  return Storage(IntrusivePtr<StorageImpl>::adopt(storage));
}

Storage Storage::borrow(void* data, size_t nbytes, Device device,
                        std::function<void(void*)> deleter) {
  auto* storage = new StorageImpl;
  storage->data = data;
  storage->nbytes = nbytes;
  storage->device = with_index(device);
  storage->deleter = new std::function<void(void*)>(deleter ? std::move(deleter) : [](void*) {});
  return Storage(IntrusivePtr<StorageImpl>::adopt(storage));
}

}  // namespace tarn
