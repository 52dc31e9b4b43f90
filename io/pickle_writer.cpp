#include <algorithm>
#include <bit>
#include <unordered_map>

#include "tarn/io/little_endian.h"
#include "tarn/io/pickle.h"
#include "tarn/io/storage_spans.h"

namespace tarn::detail {
namespace {

constexpr size_t kBatch = 1000;

const char* storage_type(ScalarType dtype) {
  switch (dtype) {
    case ScalarType::Byte:
      return "ByteStorage";
    case ScalarType::Char:
      return "CharStorage";
    case ScalarType::Short:
      return "ShortStorage";
    case ScalarType::Int:
      return "IntStorage";
    case ScalarType::Long:
      return "LongStorage";
    case ScalarType::Half:
      return "HalfStorage";
    case ScalarType::Float:
      return "FloatStorage";
    case ScalarType::Double:
      return "DoubleStorage";
    case ScalarType::Bool:
      return "BoolStorage";
    default:
      return "BFloat16Storage";
  }
}

class Pickler {
 public:
  explicit Pickler(const StorageSpans& spans) : spans_(spans) {}

  Pickled run(const Value& value) {
    out_.bytes = "\x80\x02";
    write(value);
    out_.bytes += '.';
    return std::move(out_);
  }

 private:
  using Memo = std::unordered_map<std::string, uint32_t>;

  void op(char code) { out_.bytes += code; }

  // Numbers the object just written, so that it can be named again.
  uint32_t remember() {
    if (next_ < 256) {
      op('q');
      op(static_cast<char>(next_));
    } else {
      op('r');
      put_u32(out_.bytes, next_);
    }
    return next_++;
  }
  void recall(uint32_t index) {
    if (index < 256) {
      op('h');
      op(static_cast<char>(index));
    } else {
      op('j');
      put_u32(out_.bytes, index);
    }
  }
  // True when the object was written before, and has now been named.
  template <typename Map, typename Key>
  bool recalled(const Map& memo, const Key& key) {
    const auto position = memo.find(key);
    if (position == memo.end()) return false;
    recall(position->second);
    return true;
  }

  void text(const std::string& text, Memo& memo) {
    if (recalled(memo, text)) return;
    TARN_CHECK(text.size() <= 0xFFFFFFFF, "[save] a str of ", text.size(), " bytes is too long");
    TARN_CHECK(is_utf8(text), "[save] a str of ", text.size(),
               " bytes is not valid utf-8. HINT: Value::bytes(...) holds any bytes");
    op('X');
    put_u32(out_.bytes, static_cast<uint32_t>(text.size()));
    out_.bytes += text;
    memo.emplace(text, remember());
  }
  void text(const std::string& string) { text(string, strings_); }

  // `name`: "module\nname\n".
  void global(const std::string& name) {
    if (recalled(globals_, name)) return;
    op('c');
    out_.bytes += name;
    globals_.emplace(name, remember());
  }

  void integer(int64_t value) {
    if (value >= 0 && value < 0x100) {
      op('K');
      op(static_cast<char>(value));
    } else if (value >= 0 && value < 0x10000) {
      op('M');
      put_u16(out_.bytes, static_cast<uint16_t>(value));
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
      op('J');
      put_u32(out_.bytes, static_cast<uint32_t>(value));
    } else {
      int size = 8;  // the fewest bytes of two's complement
      while (value >> (8 * size - 9) == (value < 0 ? -1 : 0)) --size;
      op('\x8a');
      op(static_cast<char>(size));
      for (int i = 0; i < size; ++i) op(static_cast<char>(value >> (8 * i)));
    }
  }

  void sizes(IntArrayRef values) {
    if (values.size() > 3) op('(');
    for (const int64_t value : values) integer(value);
    close_tuple(values.size());
  }
  // Returns the tuple's number. The empty tuple has none: it costs less than a reference.
  uint32_t close_tuple(size_t size) {
    constexpr char kCodes[] = {')', '\x85', '\x86', '\x87', 't'};
    op(kCodes[std::min<size_t>(size, 4)]);
    return size > 0 ? remember() : 0;
  }

  void empty_ordered_dict() {
    global("collections\nOrderedDict\n");
    op(')');
    op('R');
    remember();
  }

  void tensor(const Tensor& given) {
    TARN_CHECK(given.defined(), "[save] the value holds an undefined tensor");
    if (recalled(tensors_, given.unsafeGetTensorImpl())) return;
    const Tensor& tensor = spans_.to_write(given);
    const ScalarType dtype = tensor.scalar_type();
    const Span span = spans_.span(tensor);
    const auto [position, inserted] =
        storages_.emplace(tensor.storage().unsafeGetStorageImpl(), out_.storages.size());
    if (inserted) out_.storages.push_back({tensor.storage(), dtype, span.first, span.count});
    const size_t key = position->second;
    TARN_CHECK(
        out_.storages[key].dtype == dtype,
        "[save] Cannot save multiple tensors or storages that view the same data as different "
        "types: ",
        out_.storages[key].dtype, " and ", dtype);
    global("torch._utils\n_rebuild_tensor_v2\n");
    op('(');
    op('(');
    text("storage");
    global(std::string("torch\n") + storage_type(dtype) + '\n');
    text(std::to_string(key), keys_);
    text("cpu");
    integer(span.count);
    close_tuple(5);
    op('Q');
    // One without elements may start anywhere in its storage, also where that is not written.
    integer(std::clamp<int64_t>(tensor.storage_offset() - span.first, 0, span.count));
    sizes(tensor.sizes());
    sizes(tensor.strides());
    op(tensor.requires_grad() ? '\x88' : '\x89');
    empty_ordered_dict();  // backward hooks: Python's always none
    close_tuple(6);
    op('R');
    tensors_.emplace(given.unsafeGetTensorImpl(), remember());
  }

  void bytes(const std::string& bytes) {
    if (recalled(bytes_, bytes)) return;
    if (bytes.empty()) {
      global("__builtin__\nbytes\n");
      op(')');
    } else {
      // Protocol 2 has no bytes: they travel as Latin-1 text, here in UTF-8.
      global("_codecs\nencode\n");
      std::string utf8;
      for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x80) utf8 += static_cast<char>(0xC0 | byte >> 6);
        utf8 += static_cast<char>(byte < 0x80 ? byte : 0x80 | (byte & 0x3F));
      }
      op('X');
      put_u32(out_.bytes, static_cast<uint32_t>(utf8.size()));
      out_.bytes += utf8;
      remember();
      text("latin1");
      close_tuple(2);
    }
    op('R');
    bytes_.emplace(bytes, remember());
  }

  void list(const Value& value) {
    op(']');
    containers_.emplace(value.identity(), remember());
    const auto& elements = value.elements();
    if (elements.size() == 1) {
      write(elements[0]);
      op('a');
      return;
    }
    for (size_t i = 0; i < elements.size(); ++i) {
      if (i % kBatch == 0) op('(');
      write(elements[i]);
      if (i % kBatch == kBatch - 1 || i == elements.size() - 1) op('e');
    }
  }

  void tuple(const Value& value) {
    const auto& elements = value.elements();
    if (elements.size() > 3) op('(');
    for (const Value& element : elements) write(element);
    const uint32_t number = close_tuple(elements.size());
    if (!elements.empty()) containers_.emplace(value.identity(), number);
  }

  void dict(const Value& value) {
    const bool ordered = value.is_ordered_dict();
    if (ordered) {
      global("collections\nOrderedDict\n");
      op(')');
      op('R');
    } else {
      op('}');
    }
    containers_.emplace(value.identity(), remember());
    const auto& entries = value.entries();
    // Python writes exact dicts and other mappings by different loops: they differ in what follows
    // a full batch.
    const size_t size = entries.size();
    for (size_t i = 0; i < size; ++i) {
      const size_t first = i - i % kBatch;
      const bool single = size == 1 || (ordered && first == size - 1);
      if (i == first && !single) op('(');
      write(entries[i].first);
      write(entries[i].second);
      if (single) {
        op('s');
      } else if (i % kBatch == kBatch - 1 || i == size - 1) {
        op('u');
      }
    }
    if (!ordered && size > 0 && size % kBatch == 0) out_.bytes += "(u";
    if (ordered && !value.metadata().is_none()) {
      op('}');
      remember();
      text("_metadata");
      write(value.metadata());
      op('s');
      op('b');
    }
  }

  void write(const Value& value) {
    if (value.identity() != nullptr && recalled(containers_, value.identity())) return;
    switch (value.kind()) {
      case Value::Kind::None:
        op('N');
        return;
      case Value::Kind::Bool:
        op(value.to_bool() ? '\x88' : '\x89');
        return;
      case Value::Kind::Int:
        integer(value.to_int());
        return;
      case Value::Kind::Double: {
        op('G');
        const auto bits = std::bit_cast<uint64_t>(value.to_double());
        for (int shift = 56; shift >= 0; shift -= 8) op(static_cast<char>(bits >> shift));
        return;
      }
      case Value::Kind::String:
        text(value.to_string());
        return;
      case Value::Kind::Bytes:
        bytes(value.to_bytes());
        return;
      case Value::Kind::Tensor:
        tensor(value.to_tensor());
        return;
      case Value::Kind::List:
        list(value);
        return;
      case Value::Kind::Tuple:
        tuple(value);
        return;
      case Value::Kind::Dict:
        dict(value);
        return;
    }
  }

  const StorageSpans& spans_;
  Pickled out_;
  uint32_t next_ = 0;
  Memo strings_, bytes_, keys_, globals_;
  std::unordered_map<const void*, uint32_t> containers_, tensors_;
  std::unordered_map<const void*, size_t> storages_;
};

}  // namespace

Pickled pickle(const Value& value, bool keep_storage) {
  return Pickler(StorageSpans(value, keep_storage)).run(value);
}

}  // namespace tarn::detail
