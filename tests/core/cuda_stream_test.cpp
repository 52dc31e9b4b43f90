// Tensors on the current device and in streams.
#include "tarn/core/factories.h"
#include "tarn/core/functions.h"
#include "tarn/core/random.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/devices.h"
#include "tarn/tests/support/tensors.h"

using namespace tarn;
using testing::cuda_devices;
using testing::elements;

using Floats = std::vector<float>;

TEST_CASE("cuda without a number is the current device, for all that is made or moved there") {
  for (const Device device : cuda_devices()) {
    CAPTURE(device);
    const cuda::CUDAGuard guard(device);
    const Tensor x = ones({2}, kCUDA);
    CHECK(x.device().str() == device.str());
    CHECK(x.to("cuda").is_same(x));
    CHECK(x.cuda().is_same(x));
    const Tensor from_cpu = arange(3, kFloat).cuda();
    CHECK(from_cpu.device() == device);
    CHECK(elements<float>(from_cpu + rand({}, "cuda") * 0) == Floats{0, 1, 2});
    Generator own(Device("cuda"), 5), same(device, 5);
    CHECK(own.device() == device);
    CHECK(rand({9}, &own, kCUDA).equal(rand({9}, &same, device)));
    manual_seed(1);
    const Tensor drawn = rand({5}, "cuda");
    manual_seed(1);
    CHECK(rand({5}, device).equal(drawn));
    // What is said of another device holds, whichever is the current one.
    CHECK(zeros({1}, "cuda:0").device() == Device("cuda:0"));
  }
}

TEST_CASE("work goes to the stream of a guard, which makes its device the current one") {
  for (const Device device : cuda_devices()) {
    CAPTURE(device);
    const int64_t i = device.index();
    const cuda::Stream usual = cuda::current_stream(i), side(i);
    const Tensor x = arange(1000, device);
    side.wait_stream(usual);
    Tensor sum;
    {
      const cuda::StreamGuard guard(side);
      CHECK(cuda::current_device() == i);
      sum = (x + ones({1000}, kCUDA)).sum();
    }
    CHECK(cuda::current_device() == 0);
    sum.record_stream(usual);
    usual.wait_stream(side);
    CHECK(sum.item<int64_t>() == 1000 * 1001 / 2);
  }
}

TEST_CASE("memory that a tensor tells of a second stream is not handed out while that works") {
  for (const Device device : cuda_devices()) {
    const int64_t i = device.index();
    const cuda::Stream side(i);
    const Tensor target = zeros({1 << 16}, device);
    {
      const Tensor source = full({1 << 16}, 3, device);
      side.wait_stream(cuda::current_stream(i));
      const cuda::StreamGuard guard(side);
      target.copy_(source);
      source.record_stream(side);
    }
    const Tensor next = full({1 << 16}, 4, device);
    cuda::current_stream(i).synchronize();
    side.synchronize();
    CHECK((target == 3).all().item<bool>());
    CHECK((next == 4).all().item<bool>());
    ones({2}).to(device).slice(0, 1).record_stream(side);
    zeros({0}, device).record_stream(side);
    CHECK_THROWS_WITH_TEXT(ones({2}).record_stream(side),
                           "[record_stream] the tensor is on cpu, the stream of cuda:");
  }
}
