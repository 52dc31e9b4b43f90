#include "tarn/io/torch_file.h"

#include <algorithm>
#include <iomanip>
#include <sstream>
#include <unordered_set>

#include "tarn/io/pickle.h"
#include "tarn/io/zip.h"

namespace tarn::detail {
namespace {

constexpr uint64_t kMaxPickle = 256 << 20;
constexpr uint64_t kMaxNote = 64;

// All elements of a storage as one flat tensor, which knows how to change device.
Storage move_storage(const Storage& storage, ScalarType dtype, int64_t numel, Device device) {
  if (storage.device() == device) return storage;
  return Tensor::from_storage(storage, dtype, {numel}, {1}).to(device).storage();
}

void swap_bytes(char* bytes, size_t count, size_t size) {
  for (size_t i = 0; i < count; ++i) std::reverse(bytes + i * size, bytes + (i + 1) * size);
}

class ZipStorages final : public StorageTable {
 public:
  ZipStorages(const ZipReader& zip, const std::string& file, bool big_endian, Device device)
      : zip_(zip), file_(file), big_endian_(big_endian), device_(device) {}

  Storage get(const std::string& key, ScalarType dtype, int64_t numel) override {
    if (const auto known = storages_.find(key); known != storages_.end()) {
      if (known->second.dtype != dtype || known->second.numel != numel) {
        fail(key, str("is used with the dtype ", dtype, " and with ", known->second.dtype,
                      ", or with two sizes"));
      }
      return known->second.storage;
    }
    const ZipEntry* entry = zip_.find("data/" + key);
    if (entry == nullptr) fail(key.substr(0, 64), "has no record in the archive");
    const int64_t size = element_size(dtype);
    int64_t bytes;
    if (__builtin_mul_overflow(numel, size, &bytes))
      fail(key, str("overflow: it has ", numel, " elements"));
    if (static_cast<uint64_t>(bytes) != entry->size) {
      fail(key, str("has ", numel, " elements of ", dtype,
                    ", which do not match its record's size of ", entry->size, " bytes"));
    }
    Storage storage = Storage::allocate(static_cast<size_t>(bytes), kCPU);
    auto* data = static_cast<char*>(storage.data());
    zip_.read(*entry, data);
    if (big_endian_ && size > 1)
      swap_bytes(data, static_cast<size_t>(numel), static_cast<size_t>(size));
    // Any other byte than 0 and 1 is no bool to C++.
    if (dtype == kBool) std::for_each(data, data + bytes, [](char& byte) { byte = byte != 0; });
    storage = move_storage(storage, dtype, numel, device_);
    storages_.emplace(key, StoredStorage{storage, dtype, numel});
    return storage;
  }

 private:
  [[noreturn]] void fail(const std::string& key, const std::string& problem) const {
    throw IOError(str("[load] ", file_, ": storage '", key, "' ", problem));
  }

  const ZipReader& zip_;
  const std::string& file_;
  bool big_endian_;
  Device device_;
  std::unordered_map<std::string, StoredStorage> storages_;
};

// PyTorch's fingerprint of an archive, from its names and CRCs. Its hashes are those of the C++
// library, and so is the order of the names; nothing reads it.
class SerializationId {
 public:
  void add(std::string name, uint32_t crc, uint64_t size) {
    names_.insert(std::move(name));
    if (size > 0) crcs_ = combine(crcs_, crc);
  }
  std::string text() const {
    uint64_t hash = 0;
    for (const std::string& name : names_) hash = combine(hash, std::hash<std::string>{}(name));
    std::ostringstream stream;
    stream << std::setfill('0') << std::setw(20) << hash << std::setw(20) << crcs_;
    return stream.str();
  }

 private:
  static uint64_t combine(uint64_t seed, uint64_t value) {
    return seed ^ (value + 0x9E3779B9 + (seed << 6) + (seed >> 2));
  }
  std::unordered_set<std::string> names_;
  uint64_t crcs_ = 0;
};

}  // namespace

std::string archive_name(const std::string& path) {
  const size_t slash = path.find_last_of("/\\");
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  const bool ascii = std::all_of(name.begin(), name.end(), [](char c) { return c > 0; });
  name = name.substr(0, name.rfind('.'));
  // PyTorch cannot write to such paths by name; it passes an open file, which it names so.
  return name.empty() || !ascii ? "archive" : name;
}

void write_torch(const Value& value, ByteSink& sink, const std::string& folder) {
  const Pickled pickled = pickle(value);
  ZipWriter zip(sink, folder);
  SerializationId id;
  const auto add = [&](const std::string& name, const void* data, uint64_t size) {
    id.add(name, zip.add(name, data, size), size);
  };
  const auto note = [&](const std::string& name, std::string_view text) {
    add(name, text.data(), text.size());
  };
  note("data.pkl", pickled.bytes);
  note(".format_version", "1");
  note(".storage_alignment", "64");
  note("byteorder", "little");
  for (size_t key = 0; key < pickled.storages.size(); ++key) {
    const auto& [stored, dtype, numel] = pickled.storages[key];
    const Storage storage = move_storage(stored, dtype, numel, kCPU);
    add("data/" + std::to_string(key), storage.data(),
        static_cast<uint64_t>(numel) * static_cast<uint64_t>(element_size(dtype)));
  }
  note("version", "3\n");
  zip.add(".data/serialization_id", id.text());
  zip.finish();
}

Value read_torch(const ByteSource& source, Device device) {
  const ZipReader zip(source);
  const auto fail = [&](const std::string& problem) {
    throw IOError(str("[load] ", source.name(), ": ", problem));
  };
  const ZipEntry* pickled = zip.find("data.pkl");
  if (zip.find("constants.pkl") != nullptr) {
    fail(
        "it is a TorchScript archive, which holds code. HINT: in Python, "
        "torch.save(torch.jit.load(path).state_dict(), path)");
  }
  if (pickled == nullptr) fail("it is a zip archive without data.pkl, so PyTorch did not write it");
  const ZipEntry* version = zip.find("version");
  if (version == nullptr) version = zip.find(".data/version");
  if (version == nullptr) fail("the archive has no version record");
  std::string number = zip.read_text(*version, kMaxNote);
  if (number.ends_with('\n')) number.pop_back();
  const bool digits = number.size() == 1 && number[0] >= '1' && number[0] <= '9';
  if (!digits && number != "10") fail("version " + number + " of the format is not one of 1 to 10");
  const ZipEntry* byteorder = zip.find("byteorder");
  const std::string order = byteorder == nullptr ? "little" : zip.read_text(*byteorder, kMaxNote);
  if (order != "little" && order != "big") fail("byteorder '" + order + "' is not little or big");
  ZipStorages storages(zip, source.name(), order == "big", device);
  return unpickle(zip.read_text(*pickled, kMaxPickle), storages, source.name());
}

}  // namespace tarn::detail
