// The index of a model that lies in several safetensors files.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "tarn/core/ordered_dict.h"
#include "tarn/io/formats.h"

namespace tarn::detail {
namespace {

// {"metadata": anything, "weight_map": {tensor: file}}: receives it from the JSON parser piece by
// piece. Returning false stops the parser; `problem` then says why.
class IndexParser {
 public:
  using json = nlohmann::json;

  OrderedDict<std::string, std::string> files;
  bool has_map = false;
  std::string problem;

  bool start_object(size_t) { return open(); }
  bool end_object() { return close(); }
  bool start_array(size_t) { return in_map_ ? refuse("an array in the weight_map") : open(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    if (level_ == 1) {
      in_map_ = name == "weight_map";
      if (in_map_ && std::exchange(has_map, true)) return refuse("two weight_maps");
    } else if (in_map_) {
      if (files.contains(name)) return refuse(str("duplicate name '", name, "'"));
      tensor_ = name;
    }
    return true;
  }
  bool string(std::string& file) {
    if (!in_map_) return true;
    if (level_ != 2) return refuse("a weight_map that is not an object");
    files.insert(tensor_, file);
    return true;
  }
  bool null() { return scalar(); }
  bool boolean(bool) { return scalar(); }
  bool number_unsigned(uint64_t) { return scalar(); }
  bool number_integer(int64_t) { return scalar(); }
  bool number_float(double, const std::string&) { return scalar(); }
  bool binary(json::binary_t&) { return refuse("binary data"); }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) {
    return refuse(error.what());
  }

 private:
  bool open() {
    if (in_map_ && level_ > 1) return refuse("an object in the weight_map");
    return ++level_ < 64 || refuse("brackets nest beyond the depth allowed");
  }
  bool close() {
    --level_;
    in_map_ = in_map_ && level_ > 1;
    return true;
  }
  bool scalar() { return !in_map_ || refuse("a file name that is no string"); }
  bool refuse(std::string text) {
    problem = std::move(text);
    return false;
  }

  int level_ = 0;  // 1 in the index, 2 in the weight_map
  bool in_map_ = false;
  std::string tensor_;
};

bool is_plain_name(const std::string& file) {
  return file.ends_with(".safetensors") && file.front() != '.' &&
         file.find_first_of(std::string("/\\:\0", 4)) == std::string::npos;
}

}  // namespace

Value read_safetensors_index(const SourcePtr& source, Placer& placer) {
  const auto fail = [&](const std::string& problem) {
    throw IOError(str("[load] ", source->name(), ": safetensors index: ", problem));
  };
  const uint64_t most = std::max(placer.options().limits.header_bytes, LoadLimits().header_bytes);
  if (source->size() > most) {
    fail(str("an index of ", source->size(), " bytes is over the limit of ", most));
  }
  const std::string text = source->read_text(0, source->size());
  IndexParser index;
  if (text.find('\0') != std::string::npos) fail("it has a NUL");
  if (!nlohmann::json::sax_parse(text, &index)) fail("broken: " + index.problem);
  if (!index.has_map) fail("it has no weight_map");

  std::map<std::string, Value> shards;
  for (const auto& item : index.files) {
    const std::string& file = item.value();
    if (shards.contains(file)) continue;
    if (!is_plain_name(file)) {
      fail(str("the file '", file, "' of tensor '", item.key(),
               "' is not the plain name of a .safetensors file beside it"));
    }
    if (dynamic_cast<const FileSource*>(source.get()) == nullptr) {
      fail("it names other files, which lie beside it: load it from a path");
    }
    const size_t slash = source->name().find_last_of('/');
    const std::string folder =
        slash == std::string::npos ? "" : source->name().substr(0, slash + 1);
    Value shard = read_safetensors(std::make_shared<FileSource>(folder + file), placer);
    for (const auto& [name, tensor] : shard.entries()) {
      const std::string* listed = index.files.find(name.to_string());
      if (listed != nullptr && *listed != file) {
        fail(str("tensor '", name.to_string(), "' lies in ", file, ", and is listed in ", *listed));
      }
    }
    shards.emplace(file, std::move(shard));
  }
  Value result = Value::dict();
  for (const auto& item : index.files) {
    const Value* tensor = shards.at(item.value()).find(item.key());
    const auto& unknown = placer.unknown();
    const bool is_unknown =
        std::any_of(unknown.begin(), unknown.end(),
                    [&](const TensorInfo& info) { return info.name == item.key(); });
    if (tensor == nullptr && !is_unknown) {
      fail(str("tensor '", item.key(), "' is not in ", item.value()));
    }
    if (tensor != nullptr) result.set(item.key(), *tensor);
  }
  return result;
}

}  // namespace tarn::detail
