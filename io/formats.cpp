#include "tarn/io/formats.h"

#include <algorithm>

#include "tarn/io/little_endian.h"

namespace tarn::detail {
namespace {

// Formats that are recognised only to be refused by name.
struct ForeignFormat {
  std::string_view magic;
  uint64_t offset;
  const char* message;
};
constexpr ForeignFormat kForeign[] = {
    {"PYTORCH1", 0, "an old TorchScript file, which holds code. HINT: save a state_dict in Python"},
    {"ustar", 257, "a tar archive, perhaps of PyTorch 0.1. HINT: convert it with PyTorch"},
    {"PK\5\6", 0, "an empty zip archive"},
    {"\x80", 0, "a bare Python pickle. HINT: write it with torch.save"},
    {"\x1f\x8b", 0, "gzip data. HINT: unpack it first"},
    {"\x89HDF", 0, "an HDF5 file, which Tarn does not read"},
    {"GGUF", 0, "a GGUF file, which Tarn does not read"},
};

constexpr Format kTorch = {"PyTorch", read_torch};
constexpr Format kLegacy = {"PyTorch (legacy)", read_torch_legacy};
constexpr Format kSafetensors = {"safetensors", read_safetensors};
constexpr Format kIndex = {"safetensors index", read_safetensors_index};
constexpr Format kNpy = {"npy", read_npy};
constexpr Format kNpz = {"npz", read_npz};

// PyTorch and numpy both write zip archives. This looks at the name of the first member alone: the
// format's reader checks the rest.
const Format& zip_format(const ByteSource& source) {
  const std::string header = source.read_text(0, std::min<uint64_t>(source.size(), 30));
  const uint64_t length = header.size() < 30 ? 0 : get_u16(header.data() + 26);
  const uint64_t most = source.size() - header.size();
  return source.read_text(header.size(), std::min(length, most)).ends_with(".npy") ? kNpz : kTorch;
}

// The name that PyTorch gives the folder in the archive of a path: "out/mlp.params" -> "mlp".
std::string archive_name(const std::string& path) {
  const size_t slash = path.find_last_of("/\\");
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  const bool ascii = std::all_of(name.begin(), name.end(), [](char c) { return c > 0; });
  name = name.substr(0, name.rfind('.'));
  // PyTorch cannot write to such paths by name; it passes an open file, which it names so.
  return name.empty() || !ascii ? "archive" : name;
}

}  // namespace

const Format& format_of(const SourcePtr& source) {
  const auto fail = [&](const std::string& problem) {
    throw IOError(str("[load] ", source->name(), ": ", problem));
  };
  const auto has = [&](uint64_t offset, std::string_view magic) {
    return source->size() >= offset && source->size() - offset >= magic.size() &&
           source->read_text(offset, magic.size()) == magic;
  };
  if (source->size() == 0) fail("the file is empty");
  if (has(0, "PK\3\4")) return zip_format(*source);
  if (has(0, kLegacyMagic)) return kLegacy;
  if (has(0, "\x93NUMPY")) return kNpy;
  const auto opens = [](char c) {
    return std::string_view("{ \t\n\r").find(c) != std::string_view::npos;
  };
  if (source->size() > 8) {
    const std::string head = source->read_text(0, 9);
    // A header of a plausible length: the reader then says what is wrong with it.
    if (opens(head[8]) && get_u64(head.data()) >> 40 == 0) return kSafetensors;
  }
  if (has(0, "{")) return kIndex;
  for (const ForeignFormat& foreign : kForeign) {
    if (has(foreign.offset, foreign.magic)) fail(str("this is ", foreign.message));
  }
  if (source->size() >= 22 && has(source->size() - 22, "PK\5\6")) {
    fail("a zip archive with other bytes before it (a prefix) is refused");
  }
  fail("it is neither a PyTorch file, safetensors nor NumPy's, or it is damaged at its start");
  return kTorch;
}

void write_as(const std::string& path, const Value& value, ByteSink& sink,
              const SaveOptions& options) {
  if (path.ends_with(".safetensors")) {
    write_safetensors(value, sink);
  } else if (path.ends_with(".npy")) {
    write_npy(value, sink);
  } else if (path.ends_with(".npz")) {
    write_npz(value, sink, options.compress);
  } else {
    write_torch(value, sink, archive_name(path), options);
  }
}

}  // namespace tarn::detail
