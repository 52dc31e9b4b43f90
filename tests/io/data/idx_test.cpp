#include "tarn/io/data/idx.h"

#include <functional>

#include "tarn/core/factories.h"
#include "tarn/core/functions.h"
#include "tarn/device/allocator.h"
#include "tarn/io/byte_stream.h"
#include "tarn/tests/io/data/idx_files.h"
#include "tarn/tests/io/scratch.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/tensors.h"

using namespace tarn;
using namespace tarn::testing;

namespace {

Tensor read(const std::string& bytes) {
  return data::read_idx(detail::MemorySource(bytes.data(), bytes.size(), "some.idx"));
}

// Refused as an IOError that names the file and contains `text`, for little memory.
void check_refused(const std::string& bytes, const std::string& text) {
  INFO("wanted text: " << text);
  reset_peak_memory_stats();
  const size_t before = memory_stats().allocated;
  std::string thrown = "(nothing was thrown)";
  try {
    read(bytes);
  } catch (const IOError& error) {
    thrown = error.what();
  }
  CHECK_HAS_TEXT(thrown, "[read_idx] some.idx: ");
  CHECK_HAS_TEXT(thrown, text);
  CHECK(memory_stats().peak_allocated - before <= 1100 * bytes.size() + (size_t{1} << 20));
}

const std::string kPixels = idx_images(3, 2, 2, 7);

}  // namespace

TEST_CASE("read_idx gives the array of a plain and of a gzip file") {
  const Scratch folder;
  folder.put("plain", kPixels);
  folder.put("packed", gzipped(kPixels));
  for (const char* name : {"plain", "packed"}) {
    const Tensor x = data::read_idx(folder / name);
    CHECK(x.dtype() == kUInt8);
    CHECK(x.sizes() == IntArrayRef({3, 2, 2}));
    CHECK(elements<uint8_t>(x) ==
          std::vector<uint8_t>{7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18});
  }
}

TEST_CASE("read_idx turns big-endian numbers of every type around") {
  CHECK(elements<int8_t>(read(idx_header(0x09, {2}) + "\xff\x7f")) == std::vector<int8_t>{-1, 127});
  CHECK(elements<int16_t>(read(idx_header(0x0B, {2}) + std::string("\x01\x02\xff\xfe", 4))) ==
        std::vector<int16_t>{0x102, -2});
  CHECK(elements<int32_t>(read(idx_header(0x0C, {1}) + be32(0x01020304))) ==
        std::vector<int32_t>{0x01020304});
  CHECK(elements<float>(read(idx_header(0x0D, {2, 1}) + be32(0x3FC00000) + be32(0xC0000000))) ==
        std::vector<float>{1.5f, -2.0f});
  CHECK(elements<double>(read(idx_header(0x0E, {1}) + be32(0x3FF80000) + be32(0))) ==
        std::vector<double>{1.5});
}

TEST_CASE("read_idx reads an array without elements") {
  CHECK(read(idx_header(0x08, {0, 28, 28})).sizes() == IntArrayRef({0, 28, 28}));
  CHECK(read(gzipped(idx_header(0x08, {5, 0}))).sizes() == IntArrayRef({5, 0}));
}

TEST_CASE("read_idx reads a gzip file made of several pieces and of more than one buffer") {
  const std::string big = idx_images(300, 28, 28);
  const size_t cut = 100000;
  const Tensor x = read(gzipped(big.substr(0, cut)) + gzipped("") + gzipped(big.substr(cut)));
  CHECK(elements<uint8_t>(x) == elements<uint8_t>(read(big)));
}

TEST_CASE("read_idx refuses what is no IDX file and says how it begins") {
  check_refused("", "truncated: 0 bytes");
  check_refused(std::string("\0\0\x08", 3), "truncated: 3 bytes");
  check_refused("PK\x03\x04 and so on", "not an IDX file: it begins with the bytes 50 4b 3 4");
  check_refused(idx_header(0x0A, {1}) + "a", "not an IDX file: it begins with the bytes 0 0 a 1");
  check_refused(idx_header(0x08, {}) + "a", "not an IDX file");
  check_refused(idx_header(0x08, std::vector<uint32_t>(65, 1)) + "a", "not an IDX file");
  check_refused("\x01" + kPixels.substr(1), "not an IDX file");
  check_refused(gzipped("no numbers at all"), "not an IDX file: it begins with the bytes 6e 6f");
}

TEST_CASE("read_idx refuses every cut of a plain file and of a gzip file") {
  for (size_t length = 0; length < kPixels.size(); ++length) {
    CAPTURE(length);
    check_refused(kPixels.substr(0, length), "truncated");
  }
  const std::string packed = gzipped(kPixels);
  for (size_t length = 2; length < packed.size(); ++length) {
    CAPTURE(length);
    check_refused(packed.substr(0, length), "truncated: the compressed data breaks off");
  }
}

TEST_CASE("read_idx refuses bytes after the numbers") {
  check_refused(kPixels + "x", "bytes left over: its sizes ask for 12 bytes of numbers, it has 13");
  check_refused(gzipped(kPixels + "x"), "bytes left over");
  check_refused(gzipped(kPixels) + gzipped("x"), "bytes left over");
  check_refused(gzipped(kPixels) + "garbage", "damaged: incorrect header check");
}

TEST_CASE("read_idx asks for no memory for sizes the file cannot hold") {
  check_refused(idx_header(0x08, {60000, 28, 28}) + "abc",
                "truncated: its sizes ask for 47040000 bytes of numbers, it has 3");
  check_refused(gzipped(idx_header(0x08, {60000, 28, 28}) + "abc"),
                "truncated: its sizes ask for 47040000 bytes of numbers, more than");
  check_refused(idx_header(0x0E, {0xFFFFFFFF, 0xFFFFFFFF}),
                "its sizes ask for more than 2^62 bytes");
  // The count alone overflows 64 bits to a small number.
  check_refused(idx_header(0x08, {0x80000000, 0x80000000, 4}), "more than 2^62 bytes");
  check_refused(idx_header(0x08, {0, 0xFFFFFFFF, 0xFFFFFFFF}), "more than 2^62 bytes");
}

TEST_CASE("read_idx never takes a gzip file with a changed byte for a good one") {
  const std::string packed = gzipped(kPixels);
  const auto good = elements<uint8_t>(read(packed));
  int harmless = 0;
  for (size_t at = 0; at < packed.size(); ++at) {
    // Name, time, system and flags of text in the header mean nothing for the data.
    if (at >= 3 && at < 10) continue;
    std::string bytes = packed;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    CAPTURE(at);
    Tensor result;
    try {
      result = read(bytes);
    } catch (const IOError&) {
      continue;
    }
    CHECK(elements<uint8_t>(result) == good);  // a bit that pads the compressed data
    ++harmless;
  }
  CHECK(harmless <= 1);
  std::string wrong_sum = packed;
  wrong_sum[packed.size() - 8] = static_cast<char>(wrong_sum[packed.size() - 8] + 1);
  check_refused(wrong_sum, "damaged: incorrect data check");
  std::string wrong_length = packed;
  wrong_length[packed.size() - 4] = static_cast<char>(wrong_length[packed.size() - 4] + 1);
  check_refused(wrong_length, "damaged: incorrect length check");
}

TEST_CASE("read_idx names the path and the reason for a file that cannot be opened") {
  const Scratch folder;
  CHECK_THROWS_AS(data::read_idx(folder / "absent"), IOError);
  CHECK_THROWS_WITH_TEXT(data::read_idx(folder / "absent"), folder / "absent");
  CHECK_THROWS_WITH_TEXT(data::read_idx(folder / "absent"), "No such file or directory");
  CHECK_THROWS_WITH_TEXT(data::read_idx(folder / ""), "it is a directory");
}
