#include "tarn/io/placer.h"

#include <algorithm>

#include "tarn/core/shape.h"

namespace tarn::detail {
namespace {

void swap_bytes(char* bytes, size_t count, size_t size) {
  for (size_t i = 0; i < count; ++i) std::reverse(bytes + i * size, bytes + (i + 1) * size);
}

// A storage that has no bytes: its size is all that is asked of it.
Storage without_bytes(uint64_t size) {
  return Storage::borrow(nullptr, static_cast<size_t>(size), kCPU, {});
}

}  // namespace

Storage move_storage(const Storage& storage, ScalarType dtype, Device device) {
  if (storage.device() == device) return storage;
  const auto numel = static_cast<int64_t>(storage.nbytes()) / element_size(dtype);
  return Tensor::from_storage(storage, dtype, {numel}, {1}).to(device).storage();
}

Storage Placer::place(const StoredTensor& stored) {
  if (!outline_) return read(stored);
  const Storage storage = without_bytes(stored.bytes.size);
  stored_.insert_or_assign(storage.unsafeGetStorageImpl(), stored);
  return storage;
}

Tensor Placer::place(const StoredTensor& stored, const std::vector<int64_t>& sizes) {
  return Tensor::from_storage(place(stored), stored.dtype, sizes, contiguous_strides(sizes));
}

void Placer::place_unknown(const std::string& file, TensorInfo info) {
  if (!outline_) {
    throw IOError(str("[load] ", file, ": tensor '", info.name, "' has the unsupported dtype '",
                      info.dtype, "'"));
  }
  unknown_.push_back(std::move(info));
}

const StoredTensor& Placer::stored(const Storage& storage) const {
  return stored_.at(storage.unsafeGetStorageImpl());
}

Storage Placer::read(const StoredTensor& stored) {
  const StoredBytes& bytes = stored.bytes;
  const auto mapped = options_.device_map.find(stored.location);
  const Device device = mapped == options_.device_map.end() ? options_.device : mapped->second;
  const auto size = static_cast<size_t>(element_size(stored.dtype));
  // Any other byte than 0 and 1 is no bool to C++, so bools are never used where they lie.
  if (options_.mmap && device.is_cpu() && !bytes.deflated && !stored.swaps() &&
      stored.dtype != kBool && bytes.size > 0) {
    const std::shared_ptr<char[]> map = bytes.source->map();
    char* data = map == nullptr ? nullptr : map.get() + bytes.offset;
    if (data != nullptr && reinterpret_cast<uintptr_t>(data) % size == 0) {
      return Storage::borrow(data, bytes.size, kCPU, [map](void*) {});
    }
  }
  const Pending pending{stored, Storage::allocate(bytes.size, kCPU)};
  if (device.is_cpu()) {
    pending_.push_back(pending);
    return pending.storage;
  }
  fill({pending}, options_.verify_crc);
  return move_storage(pending.storage, stored.dtype, device);
}

void Placer::finish() { fill(std::exchange(pending_, {}), options_.verify_crc); }

void Placer::fill(const std::vector<Pending>& all, bool check) {
  std::vector<ReadJob> jobs;
  for (const auto& [stored, storage] : all) jobs.push_back({stored.bytes, storage.data(), check});
  read_together(jobs);
  for (const auto& [stored, storage] : all) {
    auto* data = static_cast<char*>(storage.data());
    const auto size = static_cast<size_t>(element_size(stored.dtype));
    if (stored.swaps()) swap_bytes(data, storage.nbytes() / size, size);
    if (stored.dtype == kBool) {
      std::for_each(data, data + storage.nbytes(), [](char& byte) { byte = byte != 0; });
    }
  }
}

}  // namespace tarn::detail
