// PyTorch's format of before 1.6: five pickles one behind the other (a magic number, a version, the
// machine's type sizes, the objects, the keys of the storages), then the storages.
#include <algorithm>
#include <unordered_map>

#include "tarn/io/formats.h"
#include "tarn/io/little_endian.h"
#include "tarn/io/pickle.h"

namespace tarn::detail {
namespace {

// Finds where each storage's bytes lie: it is asked for them before that is known, so the objects
// are read twice.
class LegacyStorages final : public StorageTable {
 public:
  LegacyStorages(const SourcePtr& source, Placer& placer) : source_(source), placer_(placer) {}

  size_t id_size() const override { return 6; }

  Storage get(const std::string& key, ScalarType dtype, int64_t numel,
              const std::string& location) override {
    const auto [position, inserted] = storages_.try_emplace(key);
    Known& known = position->second;
    if (inserted) {
      uint64_t size;
      if (__builtin_mul_overflow(numel, element_size(dtype), &size) || size > source_->size()) {
        fail(str("overflow: storage '", key, "' has ", numel, " elements of ", dtype));
      }
      known.stored = {{source_, key, 0, size, size}, dtype, false, location};
      known.storage = Storage::borrow(nullptr, size, kCPU, {});
    } else if (known.stored.dtype != dtype || known.stored.numel() != numel) {
      fail(str("storage '", key, "' is used with two dtypes or sizes"));
    }
    if (is_located_ && !known.is_placed) {
      known.storage = placer_.place(known.stored);
      known.is_placed = true;
    }
    return known.storage;
  }

  // `keys` name the storages that lie from byte `at` to the end of the file.
  void locate(const Value& keys, uint64_t at) {
    if (!keys.is_list()) fail("the keys of its storages are not a list");
    size_t found = 0;
    for (const Value& key : keys) {
      const auto position = key.is_string() ? storages_.find(key.to_string()) : storages_.end();
      if (position == storages_.end() || position->second.stored.bytes.offset != 0) {
        fail("its list of storages has a key that no tensor uses, or one twice");
      }
      StoredTensor& stored = position->second.stored;
      const uint64_t numel = get_u64(source_->read_text(at, 8).data());
      at += 8;
      if (numel != static_cast<uint64_t>(stored.numel())) {
        fail(str("byte ", at - 8, ": storage '", key.to_string(), "' has ", numel,
                 " elements here, and ", stored.numel(), " where a tensor uses it"));
      }
      if (stored.bytes.size > source_->size() - at) {
        fail(str("storage '", key.to_string(), "' of ", stored.bytes.size, " bytes at byte ", at,
                 " goes past the end of the file: it was cut short"));
      }
      stored.bytes.offset = at;
      at += stored.bytes.size;
      ++found;
    }
    if (found != storages_.size()) fail("its list of storages lacks the key of a tensor's storage");
    if (at != source_->size() && !placer_.options().allow_trailing_bytes) {
      fail(str(source_->size() - at, " trailing bytes after its last storage"));
    }
    is_located_ = true;
  }

 private:
  struct Known {
    StoredTensor stored;
    Storage storage;
    bool is_placed = false;
  };
  [[noreturn]] void fail(const std::string& problem) const {
    throw IOError(str("[load] ", source_->name(), ": PyTorch's legacy format: ", problem));
  }

  const SourcePtr& source_;
  Placer& placer_;
  bool is_located_ = false;
  std::unordered_map<std::string, Known> storages_;
};

// The pickles of the front of a file, and where they end.
struct Front {
  Value version, system, keys;
  size_t objects, end;
};

Front read_front(std::string_view bytes, LegacyStorages& storages, const LoadLimits& limits,
                 const std::string& file) {
  Front front;
  size_t at = kLegacyMagic.size(), size = 0;
  const auto next = [&] {
    Value value = unpickle(bytes.substr(at), storages, limits, file, &size);
    at += size;
    return value;
  };
  front.version = next();
  front.system = next();
  front.objects = at;
  next();
  front.keys = next();
  front.end = at;
  return front;
}

}  // namespace

Value read_torch_legacy(const SourcePtr& source, Placer& placer) {
  const std::string& file = source->name();
  const LoadLimits& limits = placer.options().limits;
  const uint64_t most =
      std::min(source->size(), std::max(limits.pickle_bytes, LoadLimits().pickle_bytes));
  // The pickles do not say how long they are, so ever more is read until they are all there.
  for (uint64_t size = std::min<uint64_t>(most, 1 << 20);; size = std::min(most, 8 * size)) {
    const std::string bytes = source->read_text(0, size);
    LegacyStorages storages(source, placer);
    Front front;
    try {
      front = read_front(bytes, storages, limits, file);
    } catch (const IOError&) {
      if (size == most) throw;
      continue;
    }
    const Value* little = front.system.is_dict() ? front.system.find("little_endian") : nullptr;
    if (!front.version.is_int() || front.version.to_int() != 1001 || little == nullptr ||
        !little->is_bool() || !little->to_bool()) {
      throw IOError(
          str("[load] ", file,
              ": PyTorch's legacy format: it is not of the protocol version 1001, or of "
              "a big-endian machine. HINT: in Python, torch.save(torch.load(path), path)"));
    }
    storages.locate(front.keys, front.end);
    size_t ignored;
    return unpickle(std::string_view(bytes).substr(front.objects), storages, limits, file,
                    &ignored);
  }
}

}  // namespace tarn::detail
