// What the fuzzers call with bytes of their own invention. Compiled once for each of the functions
// named below, which FUZZ_TARGET chooses.
//
// For whatever bytes: a tarn::Error, or a value of which every element can be read. Anything else
// ends the program: another exception, a sanitizer's report, too much memory, too much time.

#include <map>
#include <sstream>

#include "tarn/io/formats.h"
#include "tarn/io/pickle.h"
#include "tarn/io/serialize.h"
#include "tarn/io/zip.h"
#include "tarn/tests/io/read_elements.h"

namespace {

using namespace tarn;
using namespace tarn::detail;

using Reader = Value (*)(const SourcePtr& source, Placer& placer);

void use(const Value& value) {
  testing::ElementReader reader;
  reader.read(value);
  static volatile uint64_t sink;
  sink = reader.sum + str(value).size();
}

void read_as(Reader reader, const SourcePtr& source) {
  Placer placer{LoadOptions()};
  const Value value = reader(source, placer);
  placer.finish();
  use(value);
}

// A storage for every key, as long as it is small.
class AnyStorage final : public StorageTable {
 public:
  explicit AnyStorage(size_t id_size) : id_size_(id_size) {}
  size_t id_size() const override { return id_size_; }
  Storage get(const std::string& key, ScalarType dtype, int64_t numel,
              const std::string&) override {
    if (numel > 4096) throw IOError("[load] too large for this test");
    const auto bytes = static_cast<size_t>(numel * element_size(dtype));
    const auto [position, inserted] = storages_.try_emplace(key);
    if (inserted) position->second = Storage::allocate(bytes, kCPU);
    if (position->second.nbytes() != bytes) throw IOError("[load] two sizes");
    return position->second;
  }

 private:
  size_t id_size_;
  std::map<std::string, Storage> storages_;
};

[[maybe_unused]] void zip(const SourcePtr& source) {
  for (const bool lenient : {true, false}) {
    const LoadOptions options{.allow_trailing_bytes = lenient};
    const ZipReader archive(source, options);
    for (const StoredBytes& member : archive.members()) {
      if (archive.find(member.record) != &member) std::abort();
      const std::string start = member.prefix(1 << 20);
      if (start.size() < member.size) continue;
      std::string bytes(member.size, '\0');
      read_together({{member, bytes.data(), !lenient}});
      if (bytes != start) std::abort();
    }
  }
}

[[maybe_unused]] void pickle(const SourcePtr& source) {
  const std::string bytes = source->read_text(0, source->size());
  for (const size_t id_size : {5, 6}) {
    AnyStorage storages(id_size);
    try {
      use(unpickle(bytes, storages, {}, source->name()));
    } catch (const Error&) {
    }
  }
}

[[maybe_unused]] void safetensors(const SourcePtr& source) { read_as(read_safetensors, source); }

[[maybe_unused]] void npy(const SourcePtr& source) { read_as(read_npy, source); }

[[maybe_unused]] void load(const SourcePtr& source) {
  const Reader reader = format_of(source).read;
  Placer outliner(LoadOptions(), true);
  const std::string outline = str(reader(source, outliner));
  Placer placer(LoadOptions{.verify_crc = false});
  const Value value = reader(source, placer);
  placer.finish();
  use(value);
  if (outliner.unknown().empty() && str(value) != outline) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    FUZZ_TARGET(std::make_shared<MemorySource>(data, size));
  } catch (const Error&) {
  }
  return 0;
}
