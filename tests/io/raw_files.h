#pragma once
// Builders of files byte by byte, valid or not, independent of the library's writers.

#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

namespace tarn::testing {

inline std::string le(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

// A pickle of protocol 2, opcode by opcode.
struct RawPickle {
  std::string bytes = "\x80\x02";

  RawPickle& op(const std::string& raw) {
    bytes += raw;
    return *this;
  }
  RawPickle& global(const std::string& module, const std::string& name) {
    return op("c" + module + "\n" + name + "\n");
  }
  RawPickle& text(const std::string& text) { return op("X" + le(text.size(), 4) + text); }
  RawPickle& integer(int64_t value) { return op("\x8a\x08" + le(static_cast<uint64_t>(value), 8)); }
  RawPickle& shape(const std::vector<int64_t>& sizes) {
    op("(");
    for (const int64_t size : sizes) integer(size);
    return op("t");
  }
  RawPickle& storage(const std::string& type, const std::string& key, int64_t numel,
                     const std::string& location = "cpu") {
    op("(").text("storage").global("torch", type).text(key).text(location);
    return integer(numel).op("tQ");
  }
  // `flag`: requires_grad.
  RawPickle& tensor(const std::string& type, const std::string& key, int64_t numel, int64_t offset,
                    const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides,
                    bool flag = false, const std::string& location = "cpu") {
    global("torch._utils", "_rebuild_tensor_v2").op("(").storage(type, key, numel, location);
    integer(offset).shape(sizes).shape(strides).op(flag ? "\x88" : "\x89");
    return global("collections", "OrderedDict").op(")RtR");
  }
  std::string done() const { return bytes + "."; }
};

struct RawMember {
  std::string name;  // with the folder
  std::string data;
  bool deflate = false;
  // Lies, each in both headers unless it says otherwise.
  std::optional<std::string> local_name{};
  std::optional<uint32_t> crc{}, size{}, stored{}, offset{};
  uint16_t flags = 0x800, method = 0, disk = 0;
  std::optional<uint16_t> local_flags{};
  std::string central_extra{};
};

inline std::string deflated(const std::string& data) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, data.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  ::deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// A plain zip archive: no padding, no descriptors, no zip64.
inline std::string raw_zip(const std::vector<RawMember>& members) {
  std::string file, directory;
  for (const RawMember& m : members) {
    const std::string body = m.deflate ? deflated(m.data) : m.data;
    const uint32_t crc = m.crc.value_or(static_cast<uint32_t>(
        crc32(0, reinterpret_cast<const Bytef*>(m.data.data()), static_cast<uInt>(m.data.size()))));
    const auto offset = static_cast<uint32_t>(file.size());
    const uint16_t method = m.deflate ? 8 : m.method;
    const std::string common = le(crc, 4) +
                               le(m.stored.value_or(static_cast<uint32_t>(body.size())), 4) +
                               le(m.size.value_or(static_cast<uint32_t>(m.data.size())), 4);
    const std::string local_name = m.local_name.value_or(m.name);
    file += le(0x04034B50, 4) + le(20, 2) + le(m.local_flags.value_or(m.flags), 2) + le(method, 2) +
            le(0, 4) + common + le(local_name.size(), 2) + le(0, 2) + local_name + body;
    directory += le(0x02014B50, 4) + le(20, 2) + le(20, 2) + le(m.flags, 2) + le(method, 2) +
                 le(0, 4) + common + le(m.name.size(), 2) + le(m.central_extra.size(), 2) +
                 le(0, 2) + le(m.disk, 2) + le(0, 6) + le(m.offset.value_or(offset), 4) + m.name +
                 m.central_extra;
  }
  const size_t start = file.size();
  return file + directory + le(0x06054B50, 4) + le(0, 4) + le(members.size(), 2) +
         le(members.size(), 2) + le(directory.size(), 4) + le(start, 4) + le(0, 2);
}

// A PyTorch file of these parts.
inline std::vector<RawMember> torch_members(const std::string& pickle,
                                            const std::string& storage0) {
  return {{"archive/data.pkl", pickle}, {"archive/data/0", storage0}, {"archive/version", "3\n"}};
}
inline std::string torch_file(const std::string& pickle,
                              const std::string& storage0 = std::string(24, '\0')) {
  return raw_zip(torch_members(pickle, storage0));
}

// Six float32 in storage "0".
inline std::string good_pickle() {
  return RawPickle().tensor("FloatStorage", "0", 6, 0, {6}, {1}).done();
}

inline std::string patched(std::string bytes, size_t at, const std::string& with) {
  return bytes.replace(at, with.size(), with);
}

}  // namespace tarn::testing
