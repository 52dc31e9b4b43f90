#include "tarn/device/device.h"

#include <sstream>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tarn/tests/support/catch.h"

using namespace tarn;

static_assert(sizeof(Device) <= 4);
static_assert(std::is_trivially_copyable_v<Device>);
static_assert(std::is_same_v<Device::Type, DeviceType>);
static_assert(Device(kCUDA, 1).index() == 1 && Device(kCUDA) == Device(kCUDA, 0));
static_assert(Device::Type::CPU == kCPU && Device::Type::CUDA == kCUDA);

TEST_CASE("device strings parse to type and index and print as given") {
  struct Row {
    const char* text;
    DeviceType type;
    int index;
  };
  const Row rows[] = {{"cpu", kCPU, -1},       {"cpu:0", kCPU, 0},   {"cuda", kCUDA, -1},
                      {"cuda:0", kCUDA, 0},    {"cuda:1", kCUDA, 1}, {"cuda:10", kCUDA, 10},
                      {"cuda:127", kCUDA, 127}};
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const Device device(row.text);
    CHECK(device.type() == row.type);
    CHECK(device.index() == row.index);
    CHECK(device.has_index() == (row.index >= 0));
    CHECK(device.is_cpu() == (row.type == kCPU));
    CHECK(device.is_cuda() == (row.type == kCUDA));
    CHECK(device.str() == row.text);
    std::ostringstream stream;
    stream << device;
    CHECK(stream.str() == row.text);
    CHECK(Device(device.str()).index() == row.index);
  }
}

TEST_CASE("malformed device strings are refused, and the error quotes them") {
  const std::pair<const char*, const char*> rows[] = {
      {"", "no device type"},
      {":1", "no device type"},
      {"cud:1", "unknown device type"},
      {"tpu:4", "unknown device type"},
      {"CPU", "unknown device type"},
      {"3", "unknown device type"},
      {"??", "unknown device type"},
      {" cpu", "unknown device type"},
      {"cuda:", "no index after ':'"},
      {"cpu:", "no index after ':'"},
      {"cpu::1", "not a number"},
      {"cuda:-1", "not a number"},
      {"cuda:1 ", "not a number"},
      {"cuda:1:2", "not a number"},
      {"cuda:0x1", "not a number"},
      {"cuda:01", "leading zero"},
      {"cpu:1", "only one CPU"},
      {"cuda:128", "above 127"},
      {"cuda:99999999999999999999999999", "above 127"},
  };
  for (const auto& [text, reason] : rows) {
    CHECK_THROWS_AS(Device(text), DeviceError);
    CHECK_THROWS_WITH_TEXT(Device(text), str("Invalid device string: '", text, "'"));
    CHECK_THROWS_WITH_TEXT(Device(text), reason);
    CHECK_THROWS_WITH_TEXT(Device(text), "HINT: write 'cpu', 'cuda' or 'cuda:N'");
  }
  CHECK_THROWS_AS(Device(static_cast<const char*>(nullptr)), DeviceError);
  CHECK_THROWS_AS(Device(std::string("cuda\0:1", 7)), DeviceError);
}

TEST_CASE("an index out of range is refused") {
  CHECK(Device(kCUDA, 127).index() == 127);
  CHECK(Device(kCPU, 0).index() == 0);
  CHECK(!Device(kCPU, -1).has_index());
  CHECK_THROWS_WITH_TEXT(Device(kCUDA, 128), "index 128 is out of range for cuda");
  CHECK_THROWS_WITH_TEXT(Device(kCUDA, -2), "index -2 is out of range for cuda");
  CHECK_THROWS_WITH_TEXT(Device(kCUDA, 256), "index 256");
  CHECK_THROWS_WITH_TEXT(Device(kCPU, 1), "index 1 is out of range for cpu");
}

TEST_CASE("a missing index is index 0 in comparison and hash") {
  CHECK(Device("cuda") == Device("cuda:0"));
  CHECK(Device("cpu") == Device("cpu:0"));
  CHECK(Device("cuda:1") != Device("cuda"));
  CHECK(Device("cpu") != Device("cuda"));
  const std::unordered_set<Device> devices{Device("cuda"), Device("cuda:0"), Device("cuda:1"),
                                           Device("cpu"), Device("cpu:0")};
  CHECK(devices.size() == 3);
}

TEST_CASE("types and strings convert to a device") {
  const auto name = [](Device device) { return device.str(); };
  CHECK(name(kCPU) == "cpu");
  CHECK(name(kCUDA) == "cuda");
  CHECK(name({kCUDA, 1}) == "cuda:1");
  CHECK(name("cuda:2") == "cuda:2");
  CHECK(name(std::string("cuda:3")) == "cuda:3");
  CHECK(name(Device()) == "cpu");
  CHECK(str(kCPU, " ", kCUDA) == "cpu cuda");
}
