#include "tarn/io/tensor_file.h"

#include <algorithm>
#include <ostream>
#include <unordered_set>

#include "tarn/core/node.h"
#include "tarn/io/formats.h"
#include "tarn/io/storage_spans.h"

namespace tarn {

using detail::Placer;
using detail::StoredTensor;

struct TensorFile::Contents {
  static constexpr size_t kMaxRepeated = 1'000'000;

  detail::SourcePtr source;
  const detail::Format* format = nullptr;
  Placer outliner;
  Value outline;
  std::vector<TensorInfo> tensors;
  std::unordered_map<std::string, Tensor> by_name;
  std::unordered_set<const void*> seen;
  size_t repeated = 0;

  explicit Contents(const LoadOptions& options) : outliner(options, true) {}

  // The file's elements of a tensor of the outline.
  Tensor read(const Tensor& outlined) const {
    Placer reader(outliner.options());
    const Storage storage = reader.place(outliner.stored(outlined.storage()));
    reader.finish();
    return Tensor::from_storage(storage, outlined.scalar_type(), outlined.sizes(),
                                outlined.strides(), outlined.storage_offset());
  }

  // Containers may hold one container many times over, so that a small file has more names than
  // memory.
  void limit_repetition(const Value& container) {
    if (!seen.insert(container.identity()).second) repeated += 1 + container.size();
    if (repeated > kMaxRepeated) {
      throw IOError(str("[load] ", source->name(),
                        ": the same containers are in it again and again, with more than ",
                        kMaxRepeated, " names. HINT: load() reads it"));
    }
  }

  // Lists the tensors of `value`, which is found under `name`.
  void collect(const std::string& name, const Value& value) {
    const auto below = [&](const std::string& key) {
      return name.empty() ? key : name + '.' + key;
    };
    if (value.is_tensor()) {
      const Tensor& tensor = value.to_tensor();
      tensors.push_back({name, python_name(tensor.scalar_type()), tensor.sizes().vec()});
      by_name.emplace(name, tensor);
    } else if (value.is_dict()) {
      limit_repetition(value);
      for (const auto& [key, element] : value.entries()) {
        collect(below(key.is_string() ? key.to_string() : str(key)), element);
      }
    } else if (value.is_list() || value.is_tuple()) {
      limit_repetition(value);
      size_t position = 0;
      for (const Value& element : value) collect(below(std::to_string(position++)), element);
    }
  }

  // Whether the file's bytes of `source` can be read to where `target` has its elements.
  bool fits_directly(const Tensor& source, const Tensor& target) const;
};

namespace {

// Whether equal tensors of these two have their elements in the same order in memory, without
// gaps.
bool same_layout(const Tensor& a, const Tensor& b) {
  if (a.is_contiguous() && b.is_contiguous()) return true;
  return a.strides() == b.strides() && detail::reached_by(a).count == a.numel();
}

}  // namespace

bool TensorFile::Contents::fits_directly(const Tensor& source, const Tensor& target) const {
  const StoredTensor& stored = outliner.stored(source.storage());
  return target.is_cpu() && target.scalar_type() == stored.dtype && !stored.bytes.deflated &&
         !stored.swaps() && stored.dtype != kBool && same_layout(target, source);
}

std::ostream& operator<<(std::ostream& stream, const TensorInfo& info) {
  return stream << info.name << ' ' << info.dtype << ' ' << IntArrayRef(info.sizes);
}

const char* TensorFile::format() const { return contents_->format->name; }
const std::vector<TensorInfo>& TensorFile::tensors() const { return contents_->tensors; }
const Value& TensorFile::outline() const { return contents_->outline; }
bool TensorFile::contains(const std::string& name) const {
  return contents_->by_name.contains(name);
}

Tensor TensorFile::at(const std::string& name) const {
  const auto position = contents_->by_name.find(name);
  if (position != contents_->by_name.end()) return contents_->read(position->second);
  for (const TensorInfo& info : contents_->tensors) {
    if (info.name == name) {
      throw TypeError(str("[load] ", contents_->source->name(), ": tensor '", name,
                          "' has the unsupported dtype '", info.dtype, "'"));
    }
  }
  std::string names;
  for (size_t i = 0; i < std::min<size_t>(contents_->tensors.size(), 10); ++i) {
    names += " '" + contents_->tensors[i].name + "'";
  }
  throw IndexError(str("[load] ", contents_->source->name(), ": no tensor '", name, "' among its ",
                       contents_->tensors.size(), ":", names,
                       contents_->tensors.size() > 10 ? " ..." : ""));
}

nn::LoadReport TensorFile::load_into(nn::Module& module, const nn::StateDictOptions& names,
                                     const std::string& key) const {
  const Value& state = key.empty() ? outline() : outline().at(key);
  const auto copy = [&](std::vector<nn::Module::StateCopy>& copies) {
    const bool verify = contents_->outliner.options().verify_crc;
    std::vector<detail::ReadJob> checks, reads;
    std::unordered_set<const StorageImpl*> seen;
    for (const auto& [target, source] : copies) {
      const StoredTensor& stored = contents_->outliner.stored(source.storage());
      const bool is_new = seen.insert(source.storage().unsafeGetStorageImpl()).second;
      if (is_new && ((verify && stored.bytes.crc) || stored.bytes.deflated)) {
        checks.push_back({stored.bytes, nullptr, verify});
      }
      if (!contents_->fits_directly(source, target)) continue;
      const auto begin = static_cast<uint64_t>(source.storage_offset() * source.element_size());
      reads.push_back({stored.bytes.part(begin, target.nbytes()), target.data_ptr(), false});
    }
    read_together(checks);
    read_together(reads);
    for (const auto& [target, source] : copies) {
      if (contents_->fits_directly(source, target)) {
        inplace_history(target, nullptr);
      } else {
        target.copy_(contents_->read(source));
      }
    }
  };
  return module.load_state_dict(state.to_state_dict(), names, copy);
}

TensorFile open(const std::string& path, const LoadOptions& options) {
  const auto contents = std::make_shared<TensorFile::Contents>(options);
  contents->source = std::make_shared<detail::FileSource>(path);
  contents->format = &detail::format_of(contents->source);
  contents->outline = contents->format->read(contents->source, contents->outliner);
  contents->collect("", contents->outline);
  for (const TensorInfo& info : contents->outliner.unknown()) contents->tensors.push_back(info);
  return TensorFile(contents);
}

std::vector<TensorInfo> list(const std::string& path, const LoadOptions& options) {
  return open(path, options).tensors();
}

nn::LoadReport load_into(nn::Module& module, const std::string& path, const LoadOptions& options,
                         const nn::StateDictOptions& names) {
  return open(path, options).load_into(module, names);
}

}  // namespace tarn
