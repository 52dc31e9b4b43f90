#include "tarn/device/cuda.h"

#include <chrono>
#include <cstring>
#include <vector>

#include "tarn/device/memory.h"
#include "tarn/tests/device/device_bytes.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/devices.h"
#include "tarn/tests/support/run_self.h"

using namespace tarn;
using testing::Bytes;
using testing::cuda_devices;
using testing::devices;
using testing::kMiB;
using testing::pattern;
using testing::run_self;

TEST_CASE("asking for the number of CUDA devices costs nothing where there are none") {
  if (cuda::device_count() > 0) return;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) CHECK(!cuda::is_available());
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::milliseconds(50));
}

TEST_CASE("a CUDA device that is not there is a DeviceError that says why") {
  const int64_t missing = std::max<int64_t>(cuda::device_count(), 1) + 5;
  const std::string name = Device(kCUDA, missing).str();
  CHECK_THROWS_WITH_TEXT(allocate(16, Device(kCUDA, missing)), name + " was asked for, but ");
  CHECK_THROWS_AS(cuda::synchronize(missing), DeviceError);
  CHECK_THROWS_AS(cuda::set_device(missing), DeviceError);
  CHECK_THROWS_AS(cuda::memory_allocated(missing), DeviceError);
  CHECK_THROWS_AS(cuda::Stream(missing), DeviceError);
  if (cuda::is_available()) return;
  CHECK_THROWS_AS(cuda::current_device(), DeviceError);
  CHECK_THROWS_AS(cuda::max_memory_reserved(), DeviceError);
  CHECK_THROWS_AS(cuda::empty_cache(), DeviceError);
  CHECK_THROWS_AS(cuda::current_stream(), DeviceError);
  char byte = 0;
  CHECK_THROWS_AS(copy_bytes(&byte, kCPU, &byte, kCUDA, 1), DeviceError);
  CHECK_THROWS_AS(copy_bytes(&byte, kCUDA, &byte, kCPU, 1), DeviceError);
}

TEST_CASE("child: no device", "[.][child-no-device]") {
  CHECK(cuda::device_count() == 0);
  CHECK_THROWS_WITH_TEXT(allocate(16, kCUDA),
                         "cuda:0 was asked for, but no CUDA device can be used");
}

TEST_CASE("a machine without a GPU has no CUDA devices, even where Tarn is built with CUDA") {
  if (!cuda::is_available()) return;
  const auto child = run_self("[child-no-device]", "TARN_EMULATED_DEVICES=0 CUDA_VISIBLE_DEVICES=");
  INFO(child.output);
  CHECK(child.status == 0);
}

TEST_CASE("bytes survive the way to a device and back, and between any two") {
  for (const size_t size : {size_t{1}, size_t{65536}, size_t{65537}, 9 * kMiB + 1}) {
    const std::vector<char> values = pattern(size);
    for (const Device from : devices()) {
      const Bytes source(values, from);
      for (const Device to : devices()) {
        CAPTURE(size, from, to);
        Bytes target(size, to);
        copy_bytes(target.data, to, source.data, from, size);
        CHECK(target.holds(values));
      }
    }
  }
}

TEST_CASE("a request for no bytes gives no block") {
  for (const Device device : devices()) {
    CHECK(allocate(0, device) == nullptr);
    deallocate(nullptr, 0, device);
  }
}

TEST_CASE("many small copies keep their order and may reuse their source at once") {
  for (const Device device : cuda_devices()) {
    constexpr size_t kCount = 300;
    Bytes target(kCount * 8, device);
    for (size_t i = 0; i < kCount; ++i) {
      const uint64_t value = i * 7919;
      copy_bytes(static_cast<char*>(target.data) + 8 * i, device, &value, kCPU, 8);
    }
    const std::vector<char> values = target.read();
    for (size_t i = 0; i < kCount; ++i) {
      uint64_t value;
      std::memcpy(&value, values.data() + 8 * i, 8);
      CHECK(value == i * 7919);
    }
  }
}

TEST_CASE("CUDA memory is counted per device, with its peaks") {
  for (const Device device : cuda_devices()) {
    const int64_t i = device.index();
    cuda::empty_cache();
    cuda::reset_peak_memory_stats(i);
    const size_t before = cuda::memory_allocated(i), held = cuda::memory_reserved(i);
    {
      const Bytes block(3 * kMiB, device);
      CHECK(cuda::memory_allocated(i) == before + 3 * kMiB);
      CHECK(cuda::memory_reserved(i) > held);
    }
    CHECK(cuda::memory_allocated(i) == before);
    CHECK(cuda::max_memory_allocated(i) == before + 3 * kMiB);
    CHECK(cuda::max_memory_reserved(i) >= held + 3 * kMiB);
    cuda::empty_cache();
    CHECK(cuda::memory_reserved(i) == held);
    cuda::reset_peak_memory_stats(i);
    CHECK(cuda::max_memory_allocated(i) == before);
  }
}

TEST_CASE("a request for more than a device has is an OutOfMemoryError after which work goes on") {
  for (const Device device : cuda_devices()) {
    CHECK_THROWS_WITH_TEXT(allocate(size_t{1} << 45, device), "35184372088832 bytes requested on ");
    const std::vector<char> values = pattern(1000);
    CHECK(Bytes(values, device).holds(values));
  }
}

#ifdef TARN_CUDA_EMULATE
TEST_CASE("child: out of memory", "[.][child-cuda-oom]") {
  const Device device("cuda:0");
  const size_t before = cuda::memory_allocated(0);
  {
    const Bytes kept(20 * kMiB, device);
    { const Bytes cached(30 * kMiB, device); }
    // Fits only once the cached block is given back.
    const Bytes larger(36 * kMiB, device);
    CHECK_THROWS_AS(allocate(20 * kMiB, device), OutOfMemoryError);
    CHECK_THROWS_WITH_TEXT(allocate(20 * kMiB, device),
                           "20971520 bytes requested on cuda:0, which has ");
    CHECK_THROWS_WITH_TEXT(allocate(20 * kMiB, device), "58720256 of them in use");
  }
  CHECK(cuda::memory_allocated(0) == before);
  // The program goes on.
  const std::vector<char> values = pattern(1000);
  CHECK(Bytes(values, device).holds(values));
}

TEST_CASE("a device that runs full first gets back what is cached") {
  const auto child = run_self("[child-cuda-oom]", "TARN_EMULATED_OOM=67108864");
  INFO(child.output);
  CHECK(child.status == 0);
}
#endif

TEST_CASE("child: copies between devices", "[.][child-peer]") {
  const std::vector<char> values = pattern(5 * kMiB + 3);
  for (int round = 0; round < 2; ++round) {
    for (const auto& [from, to] : {std::pair("cuda:0", "cuda:1"), std::pair("cuda:1", "cuda:0")}) {
      const Bytes source(values, Device(from));
      Bytes target(values.size(), Device(to));
      copy_bytes(target.data, target.device, source.data, source.device, values.size());
      CHECK(target.holds(values));
    }
  }
}

TEST_CASE("copies between devices arrive, by whatever way") {
  if (cuda::device_count() < 2) return;
  for (const char* mode : {"auto", "on", "off"}) {
    const auto child = run_self("[child-peer]", std::string("TARN_P2P=") + mode);
    INFO(child.output);
    CHECK(child.status == 0);
    CHECK(child.output.find("damaged") == std::string::npos);
  }
  const auto wrong = run_self("[child-peer]", "TARN_P2P=sometimes");
  CHECK(wrong.status != 0);
  CHECK(wrong.output.find("TARN_P2P is 'sometimes', expected auto, on or off") !=
        std::string::npos);
}

#ifdef TARN_CUDA_EMULATE
TEST_CASE("a pair of devices that damages copies is found out once and served through the CPU") {
  const auto child = run_self("[child-peer]", "TARN_EMULATED_BAD_PEER=0:1");
  INFO(child.output);
  CHECK(child.status == 0);
  const std::string warning = "copies from cuda:0 to cuda:1 arrive damaged";
  const size_t first = child.output.find(warning);
  CHECK(first != std::string::npos);
  CHECK(child.output.find(warning, first + 1) == std::string::npos);
  CHECK(child.output.find("from cuda:1 to cuda:0") == std::string::npos);
  // Without the test the damage would go through.
  CHECK(run_self("[child-peer]", "TARN_EMULATED_BAD_PEER=0:1 TARN_P2P=on").status != 0);
}
#endif

TEST_CASE("child: direct allocation", "[.][child-cuda-direct]") {
  {
    const Bytes block(pattern(3000), kCUDA);
    CHECK(cuda::memory_reserved(0) == 3000);
  }
  CHECK(cuda::memory_reserved(0) == 0);
}

TEST_CASE("TARN_CUDA_ALLOC=direct caches nothing, for tools that watch memory") {
  if (!cuda::is_available()) return;
  const auto child = run_self("[child-cuda-direct]", "TARN_CUDA_ALLOC=direct");
  INFO(child.output);
  CHECK(child.status == 0);
}
