// PyTorch's zip format: data.pkl holds the objects, data/<key> the bytes of each storage.
#include <algorithm>
#include <iomanip>
#include <sstream>
#include <unordered_set>

#include "tarn/io/formats.h"
#include "tarn/io/pickle.h"
#include "tarn/io/zip.h"

namespace tarn::detail {
namespace {

constexpr uint64_t kMaxNote = 64;

// The one folder that holds every member, without its slash.
std::string folder_of(const ZipReader& zip) {
  std::string folder;
  for (const StoredBytes& member : zip.members()) {
    const size_t slash = member.record.find('/');
    const std::string first = member.record.substr(0, slash);
    if (slash == std::string::npos || first.empty() || first == "." || first == "..") {
      member.fail("has no archive name before a slash");
    }
    if (folder.empty()) folder = first;
    if (first != folder) member.fail("is outside archive folder '" + folder + "'");
  }
  return folder;
}

std::string text_of(const StoredBytes& member, uint64_t limit, const char* hint = "") {
  if (member.size > limit) {
    member.fail(str("has ", member.size, " bytes, over the limit of ", limit, hint));
  }
  std::string text(member.size, '\0');
  read_together({{member, text.data(), true}});
  return text;
}

class ZipStorages final : public StorageTable {
 public:
  ZipStorages(const ZipReader& zip, const std::string& folder, const std::string& file,
              bool big_endian, Placer& placer)
      : zip_(zip),
        prefix_(folder + "/data/"),
        file_(file),
        big_endian_(big_endian),
        placer_(placer) {}

  Storage get(const std::string& key, ScalarType dtype, int64_t numel,
              const std::string& location) override {
    if (const auto known = storages_.find(key); known != storages_.end()) {
      const PickledStorage& first = known->second;
      if (first.dtype != dtype || first.numel != numel) {
        fail(key, str("is used with the dtype ", dtype, " and ", numel, " elements, and with ",
                      first.dtype, " and ", first.numel));
      }
      return first.storage;
    }
    const StoredBytes* bytes = zip_.find(prefix_ + key);
    if (bytes == nullptr) fail(key.substr(0, 64), "has no record in the archive");
    uint64_t size;
    if (__builtin_mul_overflow(numel, element_size(dtype), &size)) {
      fail(key, str("overflow: it has ", numel, " elements"));
    }
    if (size != bytes->size) {
      bytes->fail(str("has a size of ", bytes->size, " bytes, but data.pkl says it has ", numel,
                      " elements of ", dtype, ", which are ", size, " bytes"));
    }
    const Storage storage = placer_.place({*bytes, dtype, big_endian_, location});
    storages_.emplace(key, PickledStorage{storage, dtype, 0, numel});
    return storage;
  }

 private:
  [[noreturn]] void fail(const std::string& key, const std::string& problem) const {
    throw IOError(str("[load] ", file_, ": storage '", key, "' ", problem));
  }

  const ZipReader& zip_;
  std::string prefix_;
  const std::string& file_;
  bool big_endian_;
  Placer& placer_;
  std::unordered_map<std::string, PickledStorage> storages_;
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

void write_torch(const Value& value, ByteSink& sink, const std::string& folder,
                 const SaveOptions& options) {
  const Pickled pickled = pickle(value, options.keep_storage);
  ZipWriter zip(sink);
  SerializationId id;
  const auto add = [&](const std::string& name, std::string_view content) {
    id.add(name, zip.add(folder + '/' + name, content), content.size());
  };
  add("data.pkl", pickled.bytes);
  add(".format_version", "1");
  add(".storage_alignment", "64");
  add("byteorder", "little");
  for (size_t key = 0; key < pickled.storages.size(); ++key) {
    const auto& [stored, dtype, first, numel] = pickled.storages[key];
    const Storage storage = move_storage(stored, dtype, kCPU);
    const auto size = static_cast<size_t>(element_size(dtype));
    add("data/" + std::to_string(key),
        {static_cast<const char*>(storage.data()) + static_cast<size_t>(first) * size,
         static_cast<size_t>(numel) * size});
  }
  add("version", "3\n");
  zip.add(folder + "/.data/serialization_id", id.text());
  zip.finish();
}

Value read_torch(const SourcePtr& source, Placer& placer) {
  const ZipReader zip(source, placer.options());
  const std::string folder = folder_of(zip);
  const auto fail = [&](const std::string& problem) {
    throw IOError(str("[load] ", source->name(), ": ", problem));
  };
  const auto find = [&](const char* name) { return zip.find(folder + '/' + name); };
  if (find("constants.pkl") != nullptr) {
    fail(
        "it is a TorchScript archive, which holds code. HINT: in Python, "
        "torch.save(torch.jit.load(path).state_dict(), path)");
  }
  const StoredBytes* pickled = find("data.pkl");
  if (pickled == nullptr) fail("it is a zip archive without data.pkl, so PyTorch did not write it");
  const StoredBytes* version = find("version");
  if (version == nullptr) version = find(".data/version");
  if (version == nullptr) fail("the archive has no version record");
  std::string number = text_of(*version, kMaxNote);
  if (number.ends_with('\n')) number.pop_back();
  const bool digits = number.size() == 1 && number[0] >= '1' && number[0] <= '9';
  if (!digits && number != "10") {
    version->fail("says version " + number + " of the format, which is not one of 1 to 10");
  }
  const StoredBytes* byteorder = find("byteorder");
  const std::string order = byteorder == nullptr ? "little" : text_of(*byteorder, kMaxNote);
  if (order != "little" && order != "big") {
    byteorder->fail("says the byteorder '" + order + "', which is not little or big");
  }
  ZipStorages storages(zip, folder, source->name(), order == "big", placer);
  const uint64_t most = std::max(placer.options().limits.pickle_bytes, LoadLimits().pickle_bytes);
  return unpickle(text_of(*pickled, most, ". HINT: LoadLimits::pickle_bytes"), storages,
                  placer.options().limits, source->name());
}

}  // namespace tarn::detail
