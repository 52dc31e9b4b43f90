// The current device of a thread, streams and events.
#include <cstdlib>
#include <thread>
#include <utility>

#include "tarn/device/cuda.h"
#include "tarn/tests/device/device_bytes.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/devices.h"

using namespace tarn;
using testing::Bytes;
using testing::cuda_devices;
using testing::kMiB;
using testing::pattern;

TEST_CASE("the current CUDA device is a thread's own and is restored by a guard") {
  if (cuda::device_count() < 2) return;
  CHECK(cuda::current_device() == 0);
  {
    const cuda::CUDAGuard guard(Device("cuda:1"));
    CHECK(cuda::current_device() == 1);
    CHECK(cuda::current_stream().device() == Device("cuda:1"));
    int64_t elsewhere = -1;
    std::thread([&] { elsewhere = cuda::current_device(); }).join();
    CHECK(elsewhere == 0);
    // What runs on another device does not change it.
    const Bytes block(16, Device("cuda:0"));
    CHECK(cuda::current_device() == 1);
  }
  CHECK(cuda::current_device() == 0);
}

TEST_CASE("a stream chosen by a guard does the work, and others can wait for it") {
  for (const Device device : cuda_devices()) {
    const std::vector<char> values = pattern(1000);
    const cuda::Stream usual = cuda::current_stream(device.index());
    const cuda::Stream other(device.index());
    CHECK_FALSE(usual == other);
    const Bytes source(values, device), target(1000, device);
    other.wait_stream(usual);
    {
      const cuda::StreamGuard guard(other);
      CHECK(cuda::current_stream(device.index()) == other);
      copy_bytes(target.data, device, source.data, device, 1000);
    }
    CHECK(cuda::current_stream(device.index()) == usual);
    usual.wait_stream(other);
    CHECK(target.holds(values));
    other.synchronize();
    CHECK(other.query());
  }
}

TEST_CASE("a thread chooses a stream of each device, until it takes the default one again") {
  for (const Device device : cuda_devices()) {
    const int64_t i = device.index();
    const cuda::Stream usual = cuda::default_stream(i), side(i), urgent(i, -1);
    CHECK(cuda::current_stream(i) == usual);
    CHECK_FALSE(urgent == side);
    cuda::set_stream(side);
    CHECK(cuda::current_stream(i) == side);
    CHECK(cuda::default_stream(i) == usual);
    for (const Device other : cuda_devices()) {
      if (other != device) CHECK(cuda::current_stream(other.index()).device() == other);
    }
    {
      const cuda::StreamGuard guard(urgent);
      cuda::set_stream(usual);
      CHECK(cuda::current_stream(i) == usual);
    }
    CHECK(cuda::current_stream(i) == side);
    bool usual_elsewhere = false;
    std::thread([&] { usual_elsewhere = cuda::current_stream(i) == usual; }).join();
    CHECK(usual_elsewhere);
    cuda::set_stream(usual);
    CHECK(cuda::current_stream(i) == usual);
  }
}

TEST_CASE("a guard of a device may be told another") {
  if (cuda::device_count() < 2) return;
  {
    cuda::CUDAGuard guard(1);
    CHECK(guard.original_device() == Device("cuda:0"));
    CHECK(guard.current_device() == Device("cuda:1"));
    guard.set_device(Device("cuda:0"));
    CHECK(cuda::current_device() == 0);
    guard.set_index(1);
    guard.set_device(kCUDA);
    CHECK(cuda::current_device() == 1);
    CHECK_THROWS_AS(guard.set_device(kCPU), DeviceError);
  }
  CHECK(cuda::current_device() == 0);
}

TEST_CASE("an event orders two streams and says when it is reached") {
  for (const Device device : cuda_devices()) {
    const std::vector<char> values = pattern(100000);
    const cuda::Stream usual = cuda::current_stream(device.index()), side(device.index());
    cuda::Event event;
    CHECK(event.query());
    event.wait(side);
    event.synchronize();
    const Bytes source(values, device), target(values.size(), device);
    event.record(usual);
    event.wait(side);
    {
      const cuda::StreamGuard guard(side);
      copy_bytes(target.data, device, source.data, device, values.size());
      event.record();
    }
    event.wait(usual);
    CHECK(target.holds(values));
    event.synchronize();
    CHECK(event.query());
    cuda::Event moved(std::move(event));
    event = std::move(moved);
    CHECK(event.query());
    for (const Device other : cuda_devices()) {
      if (other == device) continue;
      CHECK_THROWS_WITH_TEXT(event.record(cuda::current_stream(other.index())),
                             "[record] the event is of " + device.str() + ", the stream of ");
      // Streams of other devices may wait for it.
      event.wait(cuda::current_stream(other.index()));
    }
  }
}

TEST_CASE("events measure the time between them") {
  for (const Device device : cuda_devices()) {
    const cuda::CUDAGuard guard(device);
    cuda::Event begin(true), end(true), untimed;
    CHECK_THROWS_WITH_TEXT(begin.elapsed_time(end), "an event was not recorded yet");
    begin.record();
    const Bytes block(pattern(1000000), device);
    end.record();
    end.synchronize();
    const float milliseconds = begin.elapsed_time(end);
    CHECK(milliseconds >= 0);
    CHECK(milliseconds < 60000);
    CHECK(end.elapsed_time(begin) <= 0);
    untimed.record();
    CHECK_THROWS_WITH_TEXT(begin.elapsed_time(untimed), "Event(/*enable_timing=*/true)");
    for (const Device other : cuda_devices()) {
      if (other == device) continue;
      cuda::Event elsewhere(true);
      elsewhere.record(cuda::current_stream(other.index()));
      elsewhere.synchronize();
      CHECK_THROWS_WITH_TEXT(begin.elapsed_time(elsewhere), "the events are of two devices");
    }
  }
}

TEST_CASE("memory a second stream uses is not handed out while that stream works") {
  if (std::getenv("TARN_CUDA_ALLOC")) return;
  for (const Device device : cuda_devices()) {
    const cuda::Stream other(device.index());
    const std::vector<char> values = pattern(3 * kMiB);
    Bytes target(values.size(), device);
    other.wait_stream(cuda::current_stream(device.index()));
    void* const block = allocate(values.size(), device);
    copy_bytes(block, device, values.data(), kCPU, values.size());
    other.wait_stream(cuda::current_stream(device.index()));
    {
      const cuda::StreamGuard guard(other);
      copy_bytes(target.data, device, block, device, values.size());
    }
    cuda::record_stream(block, other);
    deallocate(block, values.size(), device);
    {
      const Bytes next(pattern(values.size(), 99), device);
      other.synchronize();
      CHECK(target.holds(values));
    }
  }
}
