#include "tarn/io/safetensors.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "tarn/io/dense_bytes.h"
#include "tarn/io/little_endian.h"

namespace tarn::detail {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;

// In the reference library's order, by which a writer sorts.
constexpr std::array<std::pair<const char*, ScalarType>, 10> kTypes = {{
    {"BOOL", kBool},
    {"U8", kUInt8},
    {"I8", kInt8},
    {"I16", kInt16},
    {"F16", kFloat16},
    {"BF16", kBFloat16},
    {"I32", kInt32},
    {"F32", kFloat32},
    {"F64", kFloat64},
    {"I64", kInt64},
}};

size_t type_rank(ScalarType dtype) {
  return static_cast<size_t>(std::find_if(kTypes.begin(), kTypes.end(),
                                          [&](const auto& type) { return type.second == dtype; }) -
                             kTypes.begin());
}

struct Entry {
  std::string name, dtype;
  std::vector<int64_t> shape;
  std::vector<int64_t> offsets;
};

// Receives the header from the JSON parser piece by piece and accepts nothing beside the format's
// grammar. Returning false stops the parser; `problem` then says why.
class HeaderParser {
 public:
  using json = nlohmann::json;

  std::vector<Entry> entries;
  Value metadata;
  std::string problem;

  bool start_object(size_t) {
    if (level_ > 1) return refuse("an object inside a tensor's entry or the metadata");
    if (level_ == 1 && in_metadata_) metadata = Value::dict();
    return ++level_ > 0;
  }
  bool end_object() {
    if (--level_ == 1 && !in_metadata_ && fields_.size() != 3) {
      return refuse(str("tensor '", entries.back().name, "' lacks dtype, shape or data_offsets"));
    }
    return true;
  }
  bool key(std::string& name) {
    if (level_ == 2) {
      field_ = name;
      if (!fields_.insert(name).second) return refuse(str("duplicate key '", name, "'"));
      return in_metadata_ || name == "dtype" || name == "shape" || name == "data_offsets" ||
             refuse(str("unknown key '", name, "' of a tensor"));
    }
    fields_.clear();
    in_metadata_ = name == "__metadata__";
    if (!names_.insert(name).second) return refuse(str("duplicate name '", name, "'"));
    if (!in_metadata_) entries.push_back({name, {}, {}, {}});
    return true;
  }
  bool string(std::string& text) {
    if (level_ == 2 && in_metadata_) {
      metadata.set(field_, text);
      return true;
    }
    if (level_ != 2 || field_ != "dtype") return refuse("a string where none belongs");
    entries.back().dtype = text;
    return true;
  }
  bool start_array(size_t) {
    if (level_ != 2 || in_metadata_ || field_ == "dtype")
      return refuse("an array where none belongs");
    return ++level_ > 0;
  }
  bool end_array() { return --level_ > 0; }
  bool number_unsigned(uint64_t number) {
    if (level_ != 3 || number > INT64_MAX)
      return refuse("a number too large or where none belongs");
    (field_ == "shape" ? entries.back().shape : entries.back().offsets)
        .push_back(static_cast<int64_t>(number));
    return true;
  }
  bool null() { return (level_ == 1 && in_metadata_) || refuse("a null"); }
  bool boolean(bool) { return refuse("a boolean"); }
  bool number_integer(int64_t) { return refuse("a negative number"); }
  bool number_float(double, const std::string& text) { return refuse(str("the number ", text)); }
  bool binary(json::binary_t&) { return refuse("binary data"); }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) {
    return refuse(error.what());
  }

 private:
  bool refuse(std::string text) {
    problem = std::move(text);
    return false;
  }

  int level_ = 0;  // 1 in the header, 2 in an entry or the metadata, 3 in an array
  bool in_metadata_ = false;
  std::string field_;
  std::set<std::string> fields_, names_;
};

int64_t dense_bytes_of(const Tensor& tensor) {
  return tensor.numel() * element_size(tensor.scalar_type());
}

std::string quote(const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception& error) {
    throw ValueError(str("[save] a name is not valid utf-8: ", error.what()));
  }
}

// Where a tensor's elements lie in its storage, in elements: [first, last].
std::pair<int64_t, int64_t> extent(const Tensor& tensor) {
  int64_t last = tensor.storage_offset();
  for (size_t i = 0; i < tensor.sizes().size(); ++i) {
    last += (tensor.sizes()[i] - 1) * tensor.strides()[i];
  }
  return {tensor.storage_offset(), last};
}

void check_not_shared(const OrderedDict<std::string, Tensor>& tensors) {
  std::vector<std::tuple<const void*, int64_t, int64_t, const std::string*>> extents;
  for (const auto& item : tensors) {
    TARN_CHECK(item->defined(), "[save] tensor '", item.key(), "' is undefined");
    if (item->numel() == 0) continue;
    const auto [first, last] = extent(*item);
    extents.emplace_back(item->storage().unsafeGetStorageImpl(), first, last, &item.key());
  }
  std::sort(extents.begin(), extents.end());
  for (size_t i = 1; i < extents.size(); ++i) {
    const auto& [storage, first, last, name] = extents[i];
    const auto& [before, before_first, before_last, before_name] = extents[i - 1];
    if (storage == before && first <= before_last) {
      throw ValueError(
          str("[save] tensors '", *before_name, "' and '", *name,
              "' share memory, which safetensors cannot express. HINT: clone() one, or "
              "save without the extension .safetensors"));
    }
  }
}

}  // namespace

Value read_safetensors(const ByteSource& source, Device device) {
  const auto fail = [&](const std::string& problem) {
    throw IOError(str("[load] ", source.name(), ": safetensors: ", problem));
  };
  if (source.size() < 8) fail("the file is shorter than 8 bytes");
  char prefix[8];
  source.read(0, prefix, 8);
  const uint64_t header_size = get_u64(prefix);
  if (header_size > kMaxHeader) fail(str("a header of ", header_size, " bytes is over the limit"));
  if (header_size > source.size() - 8) {
    fail(str("a header of ", header_size, " bytes goes past the end of the file"));
  }
  std::string header(header_size, '\0');
  source.read(8, header.data(), header_size);
  // The parser would skip a byte order mark and stop at a NUL.
  if (header.starts_with("\xEF\xBB\xBF") || header.find('\0') != std::string::npos) {
    fail("the header has a byte order mark or a NUL");
  }
  HeaderParser parsed;
  if (!nlohmann::json::sax_parse(header, &parsed)) fail("broken header: " + parsed.problem);

  const auto data_size = static_cast<int64_t>(source.size() - 8 - header_size);
  std::vector<const Entry*> order;
  for (const Entry& entry : parsed.entries) {
    if (entry.offsets.size() != 2) fail("data_offsets of '" + entry.name + "' are not two numbers");
    order.push_back(&entry);
  }
  std::sort(order.begin(), order.end(),
            [](const Entry* a, const Entry* b) { return a->offsets < b->offsets; });
  int64_t end = 0;
  for (const Entry* entry : order) {
    const auto type = std::find_if(kTypes.begin(), kTypes.end(),
                                   [&](const auto& known) { return known.first == entry->dtype; });
    if (type == kTypes.end()) {
      fail("tensor '" + entry->name + "' has the unsupported dtype '" + entry->dtype + "'");
    }
    if (entry->shape.size() > kMaxRank) fail("tensor '" + entry->name + "' has too high a rank");
    if (entry->offsets[0] != end || entry->offsets[1] < end) {
      fail("data_offsets of '" + entry->name + "' leave a hole, overlap or run backwards");
    }
    const std::optional<int64_t> bytes = dense_bytes(entry->shape, element_size(type->second));
    if (!bytes) fail("overflow: the shape of '" + entry->name + "' is too large");
    if (*bytes != entry->offsets[1] - end) {
      fail(str("the shape of '", entry->name, "' needs ", *bytes,
               " bytes, but data_offsets give it ", entry->offsets[1] - end));
    }
    end = entry->offsets[1];
  }
  if (end != data_size) {
    fail(str("the tensors end at byte ", end, " of ", data_size,
             ": the file is cut short or has extra bytes"));
  }

  Value result = Value::dict();
  for (const Entry& entry : parsed.entries) {
    const ScalarType dtype = std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& known) {
                               return known.first == entry.dtype;
                             })->second;
    const auto bytes = static_cast<size_t>(entry.offsets[1] - entry.offsets[0]);
    const Storage storage = Storage::allocate(bytes, kCPU);
    auto* data = static_cast<char*>(storage.data());
    source.read(8 + header_size + static_cast<uint64_t>(entry.offsets[0]), data, bytes);
    if (dtype == kBool) std::for_each(data, data + bytes, [](char& byte) { byte = byte != 0; });
    std::vector<int64_t> strides(entry.shape.size());
    int64_t stride = 1;
    for (size_t i = strides.size(); i-- > 0;) {
      strides[i] = stride;
      stride *= std::max<int64_t>(entry.shape[i], 1);
    }
    const Tensor tensor = Tensor::from_storage(storage, dtype, entry.shape, strides);
    result.set(entry.name, device.is_cpu() ? tensor : tensor.to(device));
  }
  if (parsed.metadata.is_dict()) result.set_metadata(parsed.metadata);
  return result;
}

void write_safetensors(const Value& value, ByteSink& sink) {
  if (!value.is_dict()) {
    throw TypeError(str("[save] safetensors holds a flat dict of tensors, not a ",
                        Value::name(value.kind()),
                        ". HINT: save without the extension .safetensors"));
  }
  const OrderedDict<std::string, Tensor> tensors = value.to_tensor_dict();
  check_not_shared(tensors);
  std::vector<const OrderedDict<std::string, Tensor>::Item*> order;
  for (const auto& item : tensors) order.push_back(&item);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    const size_t rank_a = type_rank((*a)->scalar_type()), rank_b = type_rank((*b)->scalar_type());
    return rank_a != rank_b ? rank_a > rank_b : a->key() < b->key();
  });

  const Value& given = value.metadata();
  const auto is_text = [](const Value::Entry& entry) {
    return entry.first.is_string() && entry.second.is_string();
  };
  std::string text = "{\"__metadata__\":{";
  if (given.is_dict() && given.size() > 0 &&
      std::all_of(given.entries().begin(), given.entries().end(), is_text)) {
    for (const auto& [key, note] : given.entries()) {
      if (text.back() != '{') text += ',';
      text += quote(key.to_string()) + ':' + quote(note.to_string());
    }
  } else {
    text += "\"format\":\"pt\"";
  }
  text += '}';
  int64_t end = 0;
  for (const auto* item : order) {
    const Tensor& tensor = item->value();
    TARN_CHECK(item->key() != "__metadata__", "[save] a tensor cannot have the name __metadata__");
    text += str(',', quote(item->key()), ":{\"dtype\":\"",
                kTypes[type_rank(tensor.scalar_type())].first, "\",\"shape\":[");
    for (const int64_t size : tensor.sizes()) text += str(text.back() == '[' ? "" : ",", size);
    const int64_t begin = std::exchange(end, end + dense_bytes_of(tensor));
    text += str("],\"data_offsets\":[", begin, ',', end, "]}");
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > kMaxHeader) throw ValueError("[save] the safetensors header is over 100 MB");
  std::string prefix;
  put_u64(prefix, text.size());
  sink.write(prefix.data(), prefix.size());
  sink.write(text.data(), text.size());
  for (const auto* item : order) {
    const Tensor tensor = item->value().detach().to(kCPU).contiguous();
    sink.write(tensor.data_ptr(), static_cast<size_t>(dense_bytes_of(tensor)));
  }
}

}  // namespace tarn::detail
