#include "tarn/io/data/idx.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <vector>

#include "tarn/core/factories.h"
#include "tarn/io/byte_stream.h"

namespace tarn::data {
namespace {

using tarn::detail::ByteSource;

// Deflate makes at most 258 bytes out of 2 bits.
constexpr uint64_t kMostExpansion = 1032;

[[noreturn]] void fail(const ByteSource& source, const std::string& problem) {
  throw IOError(str("[read_idx] ", source.name(), ": ", problem));
}

// Reads a source from its beginning.
class Reader {
 public:
  virtual ~Reader() = default;
  virtual void read(void* to, size_t size) = 0;
  // Throws unless exactly `size` bytes may be left. For a compressed source that is known only at
  // the end; until then it is an upper bound.
  virtual void expect_left(uint64_t size) = 0;
  // Throws unless all was read.
  virtual void expect_end() = 0;
};

class PlainReader final : public Reader {
 public:
  explicit PlainReader(const ByteSource& source) : source_(source) {}
  void read(void* to, size_t size) override {
    if (size > left()) fail(source_, str("truncated: ", source_.size(), " bytes"));
    source_.read(position_, to, size);
    position_ += size;
  }
  void expect_left(uint64_t size) override {
    if (left() != size) {
      fail(source_, str(left() < size ? "truncated" : "bytes left over", ": its sizes ask for ",
                        size, " bytes of numbers, it has ", left()));
    }
  }
  void expect_end() override {}

 private:
  uint64_t left() const { return source_.size() - position_; }

  const ByteSource& source_;
  uint64_t position_ = 0;
};

class GzipReader final : public Reader {
 public:
  explicit GzipReader(const ByteSource& source) : source_(source), input_(size_t{1} << 16) {
    // 16: with gzip's header and check sum.
    if (inflateInit2(&stream_, MAX_WBITS + 16) != Z_OK) {
      throw OutOfMemoryError(str("[read_idx] ", source.name(), ": no memory to decompress it"));
    }
  }
  ~GzipReader() override { inflateEnd(&stream_); }
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  void read(void* to, size_t size) override {
    auto* out = static_cast<Bytef*>(to);
    while (size > 0) {
      const size_t got = inflate_some(out, size);
      if (got == 0) fail(source_, "truncated: the decompressed file is shorter than its sizes say");
      out += got;
      size -= got;
    }
  }

  void expect_left(uint64_t size) override {
    if (size / kMostExpansion > source_.size()) {
      fail(source_, str("truncated: its sizes ask for ", size, " bytes of numbers, more than ",
                        source_.size(), " compressed bytes can hold"));
    }
  }

  void expect_end() override {
    Bytef byte;
    if (inflate_some(&byte, 1) != 0) {
      fail(source_, "bytes left over: the decompressed file is longer than its sizes say");
    }
  }

 private:
  // Fills up to `size` bytes; 0 only at the end of the file, whose check sum was right then.
  size_t inflate_some(Bytef* to, size_t size) {
    const auto wanted = static_cast<uInt>(std::min<size_t>(size, size_t{1} << 30));
    stream_.next_out = to;
    stream_.avail_out = wanted;
    while (stream_.avail_out == wanted) {
      if (stream_.avail_in == 0) {
        if (position_ == source_.size()) {
          if (ended_) return 0;
          fail(source_,
               str("truncated: the compressed data breaks off after ", position_, " bytes"));
        }
        const auto count = std::min<uint64_t>(input_.size(), source_.size() - position_);
        source_.read(position_, input_.data(), static_cast<size_t>(count));
        position_ += count;
        stream_.next_in = input_.data();
        stream_.avail_in = static_cast<uInt>(count);
      }
      // A gzip file is one or more compressed pieces, each with a header of its own.
      if (ended_) inflateReset(&stream_);
      const int status = inflate(&stream_, Z_NO_FLUSH);
      ended_ = status == Z_STREAM_END;
      if (status != Z_OK && status != Z_STREAM_END) {
        fail(source_, str("damaged: ", stream_.msg ? stream_.msg : zError(status)));
      }
    }
    return wanted - stream_.avail_out;
  }

  const ByteSource& source_;
  uint64_t position_ = 0;
  std::vector<Bytef> input_;
  z_stream stream_{};
  bool ended_ = false;
};

std::optional<ScalarType> dtype_of_code(unsigned char code) {
  switch (code) {
    case 0x08:
      return kUInt8;
    case 0x09:
      return kInt8;
    case 0x0B:
      return kInt16;
    case 0x0C:
      return kInt32;
    case 0x0D:
      return kFloat32;
    case 0x0E:
      return kFloat64;
    default:
      return std::nullopt;
  }
}

void reverse_bytes(char* data, size_t count, size_t width) {
  for (size_t i = 0; i < count; ++i) std::reverse(data + i * width, data + (i + 1) * width);
}

Tensor read_array(const ByteSource& source, Reader& reader) {
  std::array<unsigned char, 4> magic;
  reader.read(magic.data(), magic.size());
  const auto dtype = dtype_of_code(magic[2]);
  const int ndim = magic[3];
  if (magic[0] != 0 || magic[1] != 0 || !dtype || ndim == 0 || ndim > kMaxDims) {
    std::ostringstream bytes;
    for (const unsigned char byte : magic) bytes << ' ' << std::hex << static_cast<int>(byte);
    fail(source, "not an IDX file: it begins with the bytes" + bytes.str());
  }
  const auto width = static_cast<size_t>(element_size(*dtype));

  // The product of the sizes that are not 0 stays countable as well: strides are made of it.
  DimVector sizes;
  uint64_t extent = width;
  bool is_empty = false;
  for (int d = 0; d < ndim; ++d) {
    std::array<unsigned char, 4> b;
    reader.read(b.data(), b.size());
    const uint64_t size =
        (uint64_t{b[0]} << 24) | (uint64_t{b[1]} << 16) | (uint64_t{b[2]} << 8) | b[3];
    sizes.push_back(static_cast<int64_t>(size));
    is_empty |= size == 0;
    if (size != 0 && extent > (uint64_t{1} << 62) / size) {
      fail(source, str("its sizes ask for more than 2^62 bytes: ", IntArrayRef(sizes)));
    }
    if (size != 0) extent *= size;
  }
  const uint64_t bytes = is_empty ? 0 : extent;
  reader.expect_left(bytes);

  Tensor result = empty(sizes, *dtype);
  auto* data = static_cast<char*>(result.data_ptr());
  reader.read(data, static_cast<size_t>(bytes));
  reader.expect_end();
  if (std::endian::native == std::endian::little && width > 1) {
    reverse_bytes(data, static_cast<size_t>(bytes) / width, width);
  }
  return result;
}

}  // namespace

Tensor read_idx(const ByteSource& source) {
  std::array<unsigned char, 2> start{};
  source.read(0, start.data(),
              static_cast<size_t>(std::min<uint64_t>(start.size(), source.size())));
  if (start[0] == 0x1F && start[1] == 0x8B) {
    GzipReader reader(source);
    return read_array(source, reader);
  }
  PlainReader reader(source);
  return read_array(source, reader);
}

Tensor read_idx(const std::string& path) { return read_idx(tarn::detail::FileSource(path)); }

}  // namespace tarn::data
