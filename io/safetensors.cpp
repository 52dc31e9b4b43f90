#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "tarn/io/dense_bytes.h"
#include "tarn/io/formats.h"
#include "tarn/io/little_endian.h"
#include "tarn/io/storage_spans.h"

namespace tarn::detail {
namespace {

// A dtype of the format; Undefined where Tarn has no such dtype.
struct Type {
  std::string_view name;
  int64_t bits;
  ScalarType dtype = ScalarType::Undefined;
};
// In the reference library's order, by which a writer sorts.
constexpr Type kTypes[] = {
    {"BOOL", 8, kBool},
    {"F4", 4},
    {"F6_E2M3", 6},
    {"F6_E3M2", 6},
    {"U8", 8, kUInt8},
    {"I8", 8, kInt8},
    {"F8_E5M2", 8},
    {"F8_E4M3", 8},
    {"F8_E8M0", 8},
    {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8},
    {"I16", 16, kInt16},
    {"U16", 16},
    {"F16", 16, kFloat16},
    {"BF16", 16, kBFloat16},
    {"I32", 32, kInt32},
    {"U32", 32},
    {"F32", 32, kFloat32},
    {"C64", 64},
    {"F64", 64, kFloat64},
    {"I64", 64, kInt64},
    {"U64", 64},
};

const Type& type_of(ScalarType dtype) {
  return *std::find_if(std::begin(kTypes), std::end(kTypes),
                       [&](const Type& type) { return type.dtype == dtype; });
}

struct Entry {
  std::string name, dtype;
  std::vector<int64_t> shape;
  std::vector<int64_t> offsets;
  const Type* type = nullptr;
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
    if (!in_metadata_) entries.push_back({name, {}, {}, {}, nullptr});
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

std::string quote(const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception& error) {
    throw ValueError(str("[save] a name is not valid utf-8: ", error.what()));
  }
}

void check_not_shared(const OrderedDict<std::string, Tensor>& tensors) {
  std::vector<std::tuple<const void*, int64_t, int64_t, const std::string*>> extents;
  for (const auto& item : tensors) {
    TARN_CHECK(item->defined(), "[save] tensor '", item.key(), "' is undefined");
    if (item->numel() == 0) continue;
    const Span span = reached_by(*item);
    extents.emplace_back(item->storage().unsafeGetStorageImpl(), span.first,
                         span.first + span.count - 1, &item.key());
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

// Reads the header and compares every number in it with the file. `data`: where its data start.
HeaderParser read_header(const ByteSource& source, const LoadLimits& limits, uint64_t& data) {
  const auto fail = [&](const std::string& problem) {
    throw IOError(str("[load] ", source.name(), ": safetensors: ", problem));
  };
  if (source.size() < 8) fail("the file is shorter than 8 bytes");
  const uint64_t header_size = get_u64(source.read_text(0, 8).data());
  const uint64_t most = std::max(limits.header_bytes, LoadLimits().header_bytes);
  if (header_size > most) {
    fail(str("a header of ", header_size, " bytes is over the limit of ", most));
  }
  if (header_size > source.size() - 8) {
    fail(str("a header of ", header_size, " bytes goes past the end of the file of ",
             source.size()));
  }
  const std::string header = source.read_text(8, header_size);
  // The parser would skip a byte order mark and stop at a NUL.
  if (header.starts_with("\xEF\xBB\xBF") || header.find('\0') != std::string::npos) {
    fail("the header has a byte order mark or a NUL");
  }
  HeaderParser parsed;
  if (!nlohmann::json::sax_parse(header, &parsed)) fail("broken header: " + parsed.problem);

  data = 8 + header_size;
  const auto data_size = static_cast<int64_t>(source.size() - data);
  std::vector<Entry*> order;
  for (Entry& entry : parsed.entries) {
    if (entry.offsets.size() != 2) fail("data_offsets of '" + entry.name + "' are not two numbers");
    order.push_back(&entry);
  }
  std::sort(order.begin(), order.end(),
            [](const Entry* a, const Entry* b) { return a->offsets < b->offsets; });
  int64_t end = 0;
  for (Entry* entry : order) {
    entry->type = std::find_if(std::begin(kTypes), std::end(kTypes),
                               [&](const Type& known) { return known.name == entry->dtype; });
    if (entry->type == std::end(kTypes)) {
      fail("tensor '" + entry->name + "' has the unsupported dtype '" + entry->dtype + "'");
    }
    if (entry->shape.size() > kMaxRank) {
      fail(str("tensor '", entry->name, "' has the rank ", entry->shape.size(), "; the limit is ",
               kMaxRank));
    }
    if (entry->offsets[0] != end || entry->offsets[1] < end) {
      fail(str("data_offsets ", IntArrayRef(entry->offsets), " of '", entry->name,
               "' leave a hole, overlap or run backwards; they should start at ", end));
    }
    const std::optional<int64_t> bits = dense_bytes(entry->shape, entry->type->bits);
    if (!bits) fail("overflow: the shape of '" + entry->name + "' is too large");
    if (*bits % 8 != 0) fail("tensor '" + entry->name + "' does not end at a whole byte");
    if (*bits / 8 != entry->offsets[1] - end) {
      fail(str("the shape of '", entry->name, "' needs ", *bits / 8,
               " bytes, but data_offsets give it ", entry->offsets[1] - end));
    }
    end = entry->offsets[1];
  }
  if (end != data_size) {
    fail(str("the tensors end at byte ", end, " of ", data_size,
             ": the file is cut short or has extra bytes"));
  }
  return parsed;
}

}  // namespace

Value read_safetensors(const SourcePtr& source, Placer& placer) {
  uint64_t data;
  const HeaderParser header = read_header(*source, placer.options().limits, data);
  Value result = Value::dict();
  for (const Entry& entry : header.entries) {
    if (entry.type->dtype == ScalarType::Undefined) {
      placer.place_unknown(source->name(), {entry.name, entry.dtype, entry.shape});
      continue;
    }
    const auto size = static_cast<uint64_t>(entry.offsets[1] - entry.offsets[0]);
    const uint64_t at = data + static_cast<uint64_t>(entry.offsets[0]);
    result.set(entry.name, placer.place({{source, entry.name, at, size, size}, entry.type->dtype},
                                        entry.shape));
  }
  if (header.metadata.is_dict()) result.set_metadata(header.metadata);
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
    const Type &type_a = type_of((*a)->scalar_type()), &type_b = type_of((*b)->scalar_type());
    return &type_a != &type_b ? &type_a > &type_b : a->key() < b->key();
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
    text += str(',', quote(item->key()), ":{\"dtype\":\"", type_of(tensor.scalar_type()).name,
                "\",\"shape\":[");
    for (const int64_t size : tensor.sizes()) text += str(text.back() == '[' ? "" : ",", size);
    const int64_t begin = std::exchange(end, end + static_cast<int64_t>(tensor.nbytes()));
    text += str("],\"data_offsets\":[", begin, ',', end, "]}");
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > LoadLimits().header_bytes) {
    throw ValueError(str("[save] the safetensors header of ", text.size(),
                         " bytes is over the format's limit of ", LoadLimits().header_bytes));
  }
  std::string prefix;
  put_u64(prefix, text.size());
  sink.write(prefix.data(), prefix.size());
  sink.write(text.data(), text.size());
  for (const auto* item : order) {
    const Tensor tensor = item->value().detach().to(kCPU).contiguous();
    sink.write(tensor.data_ptr(), tensor.nbytes());
  }
}

}  // namespace tarn::detail
