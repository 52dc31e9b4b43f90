#include "tarn/io/serialize.h"

#include <istream>
#include <ostream>

#include "tarn/io/atomic_file.h"
#include "tarn/io/little_endian.h"
#include "tarn/io/safetensors.h"
#include "tarn/io/torch_file.h"

namespace tarn {
namespace {

using detail::ByteSource;

// Formats that are recognised only to be refused by name.
struct ForeignFormat {
  std::string_view magic;
  uint64_t offset;
  const char* message;
};
constexpr ForeignFormat kForeign[] = {
    {"PYTORCH1", 0, "an old TorchScript file, which holds code. HINT: save a state_dict in Python"},
    {std::string_view("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 14), 0,
     "PyTorch's legacy format, from before 1.6. HINT: in Python, torch.save(torch.load(path), "
     "path)"},
    {"ustar", 257, "a tar archive, perhaps of PyTorch 0.1. HINT: convert it with PyTorch"},
    {"PK\5\6", 0, "an empty zip archive"},
    {"\x93NUMPY", 0,
     "a NumPy file. HINT: in Python, torch.save(torch.from_numpy(numpy.load(path)), path)"},
    {"\x80", 0, "a bare Python pickle. HINT: write it with torch.save"},
    {"\x1f\x8b", 0, "gzip data. HINT: unpack it first"},
    {"\x89HDF", 0, "an HDF5 file, which Tarn does not read"},
    {"GGUF", 0, "a GGUF file, which Tarn does not read"},
};

Value read_any(const ByteSource& source, Device device) {
  const auto fail = [&](const std::string& problem) {
    throw IOError(str("[load] ", source.name(), ": ", problem));
  };
  const auto has = [&](uint64_t offset, std::string_view magic) {
    if (source.size() < offset || source.size() - offset < magic.size()) return false;
    std::string found(magic.size(), '\0');
    source.read(offset, found.data(), found.size());
    return found == magic;
  };
  if (source.size() == 0) fail("the file is empty");
  if (has(0, "PK\3\4")) return detail::read_torch(source, device);
  if (source.size() > 8) {
    char head[9];
    source.read(0, head, sizeof head);
    const bool opens = std::string_view("{ \t\n\r").find(head[8]) != std::string_view::npos;
    // A header of a plausible length: the reader then says what is wrong with it.
    if (opens && detail::get_u64(head) >> 40 == 0) return detail::read_safetensors(source, device);
  }
  for (const ForeignFormat& foreign : kForeign) {
    if (has(foreign.offset, foreign.magic)) fail(str("this is ", foreign.message));
  }
  if (source.size() >= 22 && has(source.size() - 22, "PK\5\6")) {
    fail("a zip archive with other bytes before it (a prefix) is refused");
  }
  fail("it is neither a PyTorch file nor safetensors, or it is damaged at its start");
  return {};
}

}  // namespace

void save(const Value& value, const std::string& path, const SaveOptions& options) {
  detail::AtomicFile file(path, options.durable);
  if (path.ends_with(".safetensors")) {
    detail::write_safetensors(value, file);
  } else {
    detail::write_torch(value, file, detail::archive_name(path));
  }
  file.commit();
}

void save(const Value& value, std::ostream& stream, const SaveOptions&) {
  detail::StreamSink sink(stream);
  detail::write_torch(value, sink, "archive");
  sink.finish();
}

Value load(const std::string& path, const LoadOptions& options) {
  return read_any(detail::FileSource(path), options.device);
}

Value load(std::istream& stream, const LoadOptions& options) {
  const std::string bytes = detail::read_all(stream);
  return read_any(detail::MemorySource(bytes.data(), bytes.size(), "<stream>"), options.device);
}

Value load(const char* data, size_t size, const LoadOptions& options) {
  return read_any(detail::MemorySource(data, size), options.device);
}

}  // namespace tarn
