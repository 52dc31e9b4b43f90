// NumPy's arrays: .npy holds one, .npz is a zip archive of several.
#include <algorithm>
#include <bit>

#include "tarn/io/dense_bytes.h"
#include "tarn/io/formats.h"
#include "tarn/io/little_endian.h"
#include "tarn/io/zip.h"

namespace tarn::detail {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr uint64_t kMaxHeader = 64 << 10;
constexpr size_t kAlignment = 64;

// numpy's letter and size of each dtype it shares with Tarn.
struct Type {
  std::string_view code;
  ScalarType dtype;
};
constexpr Type kTypes[] = {{"b1", kBool},    {"i1", kInt8},    {"u1", kUInt8},
                           {"i2", kInt16},   {"i4", kInt32},   {"i8", kInt64},
                           {"f2", kFloat16}, {"f4", kFloat32}, {"f8", kFloat64}};

// The header's Python dict, of which this reads no more than numpy writes: two strings, a bool and
// a tuple of ints.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const StoredBytes& file) : text_(text), file_(file) {}

  std::string descr;
  bool fortran_order = false;
  std::vector<int64_t> shape;

  void run() {
    expect('{');
    int seen = 0;
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      const int bit = key == "descr" ? 1 : key == "fortran_order" ? 2 : key == "shape" ? 4 : 0;
      if (bit == 0 || (seen & bit) != 0) fail("the key '" + key + "', unknown or twice");
      seen |= bit;
      if (bit == 1) descr = description();
      if (bit == 2) fortran_order = boolean();
      if (bit == 4) tuple();
      if (!accept(',') && next() != '}') fail("no comma between its entries");
    }
    if (next() != '\0') fail("something behind its dict");
    if (seen != 7) fail("no descr, fortran_order or shape");
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    file_.fail(str("has a broken npy header: ", problem, " at character ", at_));
  }
  // The next character that is no space; NUL at the end.
  char next() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char c) {
    if (next() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(str("no '", c, "'"));
  }
  std::string string() {
    const char quote = next();
    if (quote != '\'' && quote != '"') fail("no string");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("a string without an end");
    std::string result(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return result;
  }
  std::string description() {
    if (next() == '[') {
      file_.fail("is a structured array, which is unsupported. HINT: save its fields one by one");
    }
    return string();
  }
  bool boolean() {
    next();
    for (const std::string_view word : {"True", "False"}) {
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return word == "True";
      }
    }
    fail("no True or False");
  }
  void tuple() {
    expect('(');
    while (!accept(')')) {
      const size_t start = (next(), at_);
      int64_t size = 0;
      for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
        if (__builtin_mul_overflow(size, 10, &size) ||
            __builtin_add_overflow(size, text_[at_] - '0', &size)) {
          fail("overflow: a size beyond 64 bits");
        }
      }
      if (at_ == start) fail("a size that is no number, or negative,");
      accept('L');  // Python 2's mark of a long
      shape.push_back(size);
      if (shape.size() > kMaxRank) fail(str("a rank beyond the limit of ", kMaxRank));
      if (!accept(',') && next() != ')') fail("no comma between sizes");
    }
  }

  std::string_view text_;
  const StoredBytes& file_;
  size_t at_ = 0;
};

// An array that fills `file`.
Tensor read_array(const StoredBytes& file, Placer& placer) {
  const std::string start = file.prefix(12);
  if (!start.starts_with(kMagic) || start.size() < 12) file.fail("is cut short or no npy array");
  const char major = start[6], minor = start[7];
  if (major < 1 || major > 3 || minor != 0) {
    file.fail(str("is of npy version ", int(major), '.', int(minor), ", not one of 1.0, 2.0, 3.0"));
  }
  const uint64_t front = major == 1 ? 10 : 12;
  const uint64_t length = major == 1 ? get_u16(start.data() + 8) : get_u32(start.data() + 8);
  if (length > kMaxHeader) {
    file.fail(str("has an npy header of ", length, " bytes, over the limit of ", kMaxHeader));
  }
  if (length > file.size - front) {
    file.fail(str("has an npy header of ", length, " bytes, beyond its end: it was cut short"));
  }
  const std::string header = file.prefix(front + length);
  HeaderParser parser(std::string_view(header).substr(front), file);
  parser.run();

  const std::string& descr = parser.descr;
  const bool has_order = !descr.empty() && std::string_view("<>|=").find(descr[0]) != descr.npos;
  const auto type = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const Type& known) {
    return has_order && known.code == std::string_view(descr).substr(1);
  });
  if (type == std::end(kTypes)) {
    file.fail(descr.find('O') != std::string::npos
                  ? "holds Python objects as a pickle (object dtype), which is refused"
                  : str("has the unsupported numpy dtype '", descr.substr(0, 64), "'"));
  }
  StoredTensor stored{file.after(header), type->dtype};
  stored.big_endian = descr[0] == '>';
  std::vector<int64_t> sizes = parser.shape;
  if (parser.fortran_order) std::reverse(sizes.begin(), sizes.end());
  const std::optional<int64_t> bytes = dense_bytes(sizes, element_size(type->dtype));
  if (!bytes) file.fail(str("overflow: the shape ", IntArrayRef(parser.shape), " is too large"));
  const auto wanted = static_cast<uint64_t>(*bytes);
  if (wanted > stored.bytes.size) {
    file.fail(str("has ", stored.bytes.size, " bytes of data, but its shape ",
                  IntArrayRef(parser.shape), " needs ", wanted, ": it was cut short"));
  }
  if (wanted < stored.bytes.size) {
    if (!placer.options().allow_trailing_bytes || stored.bytes.deflated) {
      file.fail(str("has ", stored.bytes.size - wanted, " trailing bytes after its data"));
    }
    stored.bytes.size = stored.bytes.stored = wanted;
    stored.bytes.crc.reset();
  }
  Tensor tensor = placer.place(stored, sizes);
  if (!parser.fortran_order) return tensor;
  // Column-major bytes are the transposed array's.
  std::vector<int64_t> strides = tensor.strides().vec();
  std::reverse(strides.begin(), strides.end());
  return Tensor::from_storage(tensor.storage(), type->dtype, parser.shape, strides);
}

// Everything up to the elements, in C order.
std::string header_of(const Tensor& tensor) {
  const auto type = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const Type& known) {
    return known.dtype == tensor.scalar_type();
  });
  if (type == std::end(kTypes)) {
    throw TypeError(
        str("[save] numpy has no dtype ", tensor.scalar_type(), ". HINT: save x.to(kFloat)"));
  }
  std::string text = str("{'descr': '", element_size(type->dtype) == 1 ? '|' : '<', type->code,
                         "', 'fortran_order': False, 'shape': (");
  for (size_t i = 0; i < tensor.sizes().size(); ++i) {
    text += str(i == 0 ? "" : ", ", tensor.sizes()[i]);
  }
  text += tensor.dim() == 1 ? ",), }" : "), }";
  // numpy's own padding, the first part of which is for an array that grows.
  if (tensor.dim() > 0) text.append(21 - std::to_string(tensor.sizes()[0]).size(), ' ');
  const size_t front = kMagic.size() + 4;
  text.append(kAlignment - (front + text.size() + 1) % kAlignment, ' ');
  text += '\n';
  std::string header(kMagic);
  header += {1, 0};
  put_u16(header, static_cast<uint16_t>(text.size()));
  return header + text;
}

Tensor dense(const Tensor& tensor) { return tensor.detach().to(kCPU).contiguous(); }

std::string_view bytes_of(const Tensor& tensor) {
  return {static_cast<const char*>(tensor.data_ptr()), tensor.nbytes()};
}

}  // namespace

Value read_npy(const SourcePtr& source, Placer& placer) {
  return read_array({source, "array", 0, source->size(), source->size()}, placer);
}

Value read_npz(const SourcePtr& source, Placer& placer) {
  const ZipReader zip(source, placer.options());
  Value result = Value::dict();
  for (const StoredBytes& member : zip.members()) {
    if (!member.record.ends_with(".npy")) member.fail("is no .npy array, so this is no npz file");
    result.set(member.record.substr(0, member.record.size() - 4), read_array(member, placer));
  }
  return result;
}

void write_npy(const Value& value, ByteSink& sink) {
  if (!value.is_tensor() || !value.to_tensor().defined()) {
    throw TypeError(str("[save] an .npy file holds one tensor, not a ", Value::name(value.kind()),
                        ". HINT: save with the extension .npz, or without either"));
  }
  const Tensor tensor = dense(value.to_tensor());
  const std::string header = header_of(tensor);
  sink.write(header.data(), header.size());
  sink.write(tensor.data_ptr(), tensor.nbytes());
}

void write_npz(const Value& value, ByteSink& sink, bool compress) {
  const OrderedDict<std::string, Tensor> tensors = value.to_tensor_dict();
  ZipWriter zip(sink);
  for (const auto& item : tensors) {
    TARN_CHECK(item->defined(), "[save] tensor '", item.key(), "' is undefined");
    const Tensor tensor = dense(item.value());
    zip.add(item.key() + ".npy", header_of(tensor), bytes_of(tensor), compress);
  }
  zip.finish();
}

}  // namespace tarn::detail
