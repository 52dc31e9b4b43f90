#include "tarn/io/crc32.h"

#include <zlib.h>

#include <string>

#include "tarn/tests/support/catch.h"

using tarn::detail::crc32_join;

TEST_CASE("the CRC of any length at any address is zlib's") {
  std::string bytes(5000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * i * 7 + i / 3);
  const auto zlib = [&](size_t begin, size_t size) {
    const auto* data = reinterpret_cast<const Bytef*>(bytes.data() + begin);
    return static_cast<uint32_t>(::crc32(0, data, static_cast<uInt>(size)));
  };
  for (size_t size = 0; size < 700; ++size) {
    const size_t begin = size % 19;
    INFO("size " << size);
    REQUIRE(tarn::detail::crc32(bytes.data() + begin, size) == zlib(begin, size));
    const size_t first = size / 3;
    REQUIRE(crc32_join(zlib(begin, first), zlib(begin + first, size - first), size - first) ==
            zlib(begin, size));
  }
  CHECK(tarn::detail::crc32(bytes.data(), bytes.size()) == zlib(0, bytes.size()));
  CHECK(tarn::detail::crc32("123456789", 9) == 0xCBF43926);
}
