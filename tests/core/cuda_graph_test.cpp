// Work captured into graphs and replayed, on every CUDA device there is.
#include "tarn/device/cuda_graph.h"

#include <optional>

#include "tarn/core/factories.h"
#include "tarn/core/functions.h"
#include "tarn/core/indexing.h"
#include "tarn/core/random.h"
#include "tarn/core/testing.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/devices.h"

using namespace tarn;
using testing::cuda_devices;

namespace {

// Everything below on each device, as the current one.
template <class F>
void for_each_cuda_device(F f) {
  for (const Device device : cuda_devices()) {
    CAPTURE(device);
    const cuda::CUDAGuard guard(device);
    f(device);
  }
}

// Captures at the first call.
constexpr cuda::GraphStepOptions kAtOnce{.warmup = 0};

}  // namespace

TEST_CASE("without CUDA a graph is a DeviceError") {
  if (cuda::is_available()) return;
  CHECK_THROWS_AS(cuda::graph_step([] {}), DeviceError);
  CHECK_THROWS_AS(cuda::CUDAGraph(), DeviceError);
  CHECK_FALSE(cuda::is_current_stream_capturing());
}

TEST_CASE("the device of a step is the current one while it runs, also before the capture") {
  for (const Device device : cuda_devices()) {
    CAPTURE(device);
    auto step = cuda::graph_step([] { return ones({2}, kCUDA).cuda() + 1; },
                                 {.device = device.index(), .warmup = 1});
    for (int i = 0; i < 3; ++i) {
      const Tensor result = step();
      CHECK(result.device() == device);
      CHECK(result.cpu().equal(full({2}, 2.0)));
      CHECK(cuda::current_device() == 0);
    }
  }
}

TEST_CASE("events order a side stream within a step") {
  for_each_cuda_device([](Device device) {
    const Tensor x = ones({4}, device);
    const cuda::Stream side;
    cuda::Event forked, joined;
    auto step = cuda::graph_step(
        [&] {
          forked.record();
          forked.wait(side);
          Tensor twice;
          {
            const cuda::StreamGuard guard(side);
            twice = x * 2;
            joined.record();
          }
          joined.wait(cuda::current_stream());
          return twice + 1;
        },
        kAtOnce);
    for (int i = 1; i <= 3; ++i) {
      x.fill_(i);
      CHECK(step().cpu().equal(full({4}, 2.0 * i + 1)));
    }
    auto waits = cuda::graph_step(
        [&] {
          joined.record();
          joined.synchronize();
        },
        kAtOnce);
    CHECK_THROWS_WITH_TEXT(waits(), "[synchronize] cannot be part of what graph_step captures");
  });
}

TEST_CASE("a captured step is done once a call, from the first") {
  for_each_cuda_device([](Device device) {
    for (const int64_t warmup : {0, 1, 3}) {
      const Tensor x = zeros({3}, device), total = zeros({3}, device);
      int runs = 0;
      auto step = cuda::graph_step(
          [&] {
            ++runs;
            total.add_(x * 2);
            return total + 1;
          },
          {.device = device.index(), .warmup = warmup});
      for (int i = 1; i <= 6; ++i) {
        x.fill_(i);
        const Tensor result = step();
        CHECK(result.cpu().equal(full({3}, i * (i + 1) + 1.0)));
      }
      CHECK(runs == warmup + 1);
      CHECK(total.cpu().equal(full({3}, 42.0)));
    }
    CHECK_THROWS_AS(cuda::graph_step([] {}, {.warmup = -1}), ValueError);
  });
}

TEST_CASE("a step may return nothing, or anything that holds tensors") {
  for_each_cuda_device([](Device device) {
    const Tensor x = ones({2}, device);
    auto twice = cuda::graph_step([&] { x.mul_(2); }, kAtOnce);
    twice();
    twice();
    CHECK(x.cpu().equal(full({2}, 4.0)));
    auto both = cuda::graph_step([&] { return std::pair(x + 1, x + 2); }, kAtOnce);
    const auto [a, b] = both();
    CHECK(a.cpu().equal(full({2}, 5.0)));
    CHECK(b.cpu().equal(full({2}, 6.0)));
  });
}

TEST_CASE("a captured copy from the CPU keeps what it copied") {
  for_each_cuda_device([](Device device) {
    const Tensor x = zeros({3}, device);
    auto step = cuda::graph_step([&] { return x + tensor({1., 2., 3.}).to(device); }, kAtOnce);
    for (int i = 0; i < 3; ++i) {
      x.fill_(i);
      CHECK(step().cpu().equal(tensor({i + 1., i + 2., i + 3.})));
    }
  });
}

TEST_CASE("what waits for the device is refused in a capture, by name, and nothing is lost") {
  for_each_cuda_device([](Device device) {
    const Tensor x = tensor({1., 0., 2.}).to(device);
    const Tensor state = get_rng_state(device);
    const size_t reserved = cuda::memory_reserved();
    const auto refused = [&](auto wait, const std::string& text) {
      auto step = cuda::graph_step(
          [&] {
            const Tensor y = x * rand({3}, device);
            wait(y);
          },
          kAtOnce);
      CHECK_THROWS_WITH_TEXT(step(), text + " cannot be part of what graph_step captures");
      CHECK_THROWS_WITH_TEXT(step(), text);  // again, with the same state
      CHECK_FALSE(cuda::is_current_stream_capturing());
    };
    refused([](const Tensor& y) { y.sum().item<float>(); }, "[item]");
    refused([](const Tensor& y) { y.cpu(); }, "[copy to the CPU]");
    refused([](const Tensor& y) { y.nonzero(); }, "[nonzero]");
    refused([](const Tensor&) { cuda::synchronize(); }, "[synchronize]");
    refused([](const Tensor&) { cuda::current_stream().synchronize(); }, "[synchronize]");
    refused([](const Tensor&) { cuda::current_stream().query(); }, "[query]");
    refused([](const Tensor&) { cuda::empty_cache(); }, "[empty_cache]");
    refused([](const Tensor&) { manual_seed(1); }, "[manual_seed]");
    refused([&](const Tensor&) { set_rng_state(state, device); }, "[set_state]");
    refused([](const Tensor&) { cuda::graph_step([] {}, kAtOnce)(); }, "[capture]");
    CHECK_THROWS_WITH_TEXT(cuda::graph_step([&] { x.sum().item<float>(); }, kAtOnce)(), "HINT");
    // As if nothing had happened.
    CHECK(get_rng_state(device).equal(state));
    CHECK((x + 1).cpu().equal(tensor({2., 1., 3.})));
    cuda::empty_cache();
    CHECK(cuda::memory_reserved() <= reserved);
    // An error that the step itself catches does not spoil the capture.
    auto step = cuda::graph_step(
        [&] {
          CHECK_THROWS_AS(x.sum().item<float>(), Error);
          return x * 3;
        },
        kAtOnce);
    CHECK(step().cpu().equal(tensor({3., 0., 6.})));
  });
}

TEST_CASE("an exception of the step comes through, in the warm-up and in the capture") {
  for_each_cuda_device([](Device device) {
    const Tensor x = ones({2}, device);
    int runs = 0;
    auto step = cuda::graph_step(
        [&] {
          const Tensor y = x + 1;
          if (++runs == 1 || runs == 3) throw std::runtime_error("run " + std::to_string(runs));
          x.add_(1);
          return y;
        },
        {.warmup = 1});
    CHECK_THROWS_WITH_TEXT(step(), "run 1");
    CHECK(step().cpu().equal(full({2}, 2.0)));  // counts as the warm-up
    CHECK_THROWS_WITH_TEXT(step(), "run 3");
    for (int i = 3; i < 6; ++i) CHECK(step().cpu().equal(full({2}, static_cast<double>(i))));
    CHECK(runs == 4);
  });
}

TEST_CASE("work on another device or stream than the captured one is refused") {
  for_each_cuda_device([](Device device) {
    const Tensor x = ones({2}, device);
    const cuda::Stream side;
    for (const cuda::Stream& unknown : {side, cuda::default_stream()}) {
      auto lost = cuda::graph_step(
          [&] {
            const cuda::StreamGuard guard(unknown);
            return x + 1;
          },
          kAtOnce);
      CHECK_THROWS_WITH_TEXT(lost(), "a stream that does not belong to the capture");
    }
    auto forked = cuda::graph_step(
        [&] {
          const cuda::Stream current = cuda::current_stream();
          side.wait_stream(current);
          Tensor a, b = x * 3;
          {
            const cuda::StreamGuard guard(side);
            a = x + 1;
            cuda::record_stream(a.data_ptr(), current);
          }
          current.wait_stream(side);
          return a + b;
        },
        kAtOnce);
    CHECK(forked().cpu().equal(full({2}, 5.0)));
    x.fill_(2);
    CHECK(forked().cpu().equal(full({2}, 9.0)));
    if (cuda::device_count() < 2) return;
    const Device other(kCUDA, 1 - device.index());
    auto elsewhere = cuda::graph_step([&] { return ones({2}, other); }, kAtOnce);
    CHECK_THROWS_WITH_TEXT(elsewhere(), "the step works on " + other.str());
    auto across = cuda::graph_step([&] { return x.to(other); }, kAtOnce);
    CHECK_THROWS_WITH_TEXT(across(), "the step works on ");
    CHECK(x.to(other).cpu().equal(full({2}, 2.0)));
  });
}

TEST_CASE("a graph draws what the step would have drawn, and its generators follow") {
  for_each_cuda_device([](Device device) {
    Generator own(device, 5), same(device, 5);
    const auto step_with = [&](Generator& generator) {
      return [&] {
        return stack({rand({7}, device), randn({7}, device) + rand({7}, device),
                      empty({7}, device).uniform_(0, 1, &generator)});
      };
    };
    const auto run = [&](auto step, Generator& generator) {
      manual_seed(11);
      std::vector<Tensor> drawn;
      for (int i = 0; i < 8; ++i) {
        if (i == 4) drawn.push_back(randn({5}, device).cpu());  // outside of the graph
        if (i == 6) manual_seed(3), generator.manual_seed(4);
        drawn.push_back(step().cpu());
      }
      drawn.push_back(get_rng_state(device));
      drawn.push_back(generator.get_state());
      return drawn;
    };
    const std::vector<Tensor> wanted = run(step_with(own), own);
    const std::vector<Tensor> actual = run(cuda::graph_step(step_with(same), {.warmup = 2}), same);
    REQUIRE(actual.size() == wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i) {
      CAPTURE(i);
      CHECK(actual[i].equal(wanted[i]));
    }
  });
}

TEST_CASE("an index out of bounds in a replay is thrown at the next wait") {
  for_each_cuda_device([](Device device) {
    const Tensor x = arange(4.).to(device), index = tensor({0, 1}).to(device);
    auto step = cuda::graph_step([&] { return x.index({index}); }, kAtOnce);
    CHECK(step().cpu().equal(tensor({0., 1.})));
    index.fill_(9);
    step();
    CHECK_THROWS_WITH_TEXT(cuda::synchronize(), "index 9 is out of bounds");
    index.fill_(2);
    CHECK(step().cpu().equal(tensor({2., 2.})));
  });
}

TEST_CASE("two graphs share tensors, and one may go while its replay is on its way") {
  for_each_cuda_device([](Device device) {
    cuda::empty_cache();
    const size_t reserved = cuda::memory_reserved();
    const Tensor x = ones({1000}, device);
    Tensor kept;
    {
      auto add = cuda::graph_step([&] { return x.add_(1) * 10; }, kAtOnce);
      const auto double_it = [&] { return x.mul_(2) * 10; };
      std::optional twice(cuda::graph_step(double_it, kAtOnce));
      CHECK_FALSE(cuda::memory_reserved() == reserved);
      add();
      (*twice)();
      const Tensor a = add();
      kept = (*twice)();
      twice.reset();
      CHECK(a[0].item<float>() == 50);
      add();
      CHECK(x[0].item<float>() == 11);
    }
    // The graph is gone; a result that was kept has its memory.
    const Tensor other = full({1000}, 7.0, device);
    CHECK(kept.cpu().equal(full({1000}, 100.0)));
    kept.add_(1);
    CHECK(kept[999].item<float>() == 101);
    CHECK(other[0].item<float>() == 7);
  });
  // All memory of graphs has gone back.
  if (!cuda::is_available()) return;
  cuda::empty_cache();
  for_each_cuda_device([](Device) { CHECK(cuda::memory_reserved() == cuda::memory_allocated()); });
}

TEST_CASE("memory that a graph works in is given to nobody else, not even to other graphs") {
  for_each_cuda_device([](Device device) {
    const Tensor x = ones({50000}, device), y = empty({50000}, device);
    auto step = cuda::graph_step([&] { y.copy_((x + 1) * (x + 2)); }, kAtOnce);
    step();
    cuda::empty_cache();
    std::vector<Tensor> others;
    for (int i = 0; i < 3; ++i) others.push_back(full({50000}, 5.0, device));
    auto second = cuda::graph_step([&] { return std::pair(x + 4, x * 5); }, kAtOnce);
    const auto [a, b] = second();
    others.push_back(a);
    others.push_back(b);
    step();
    for (const Tensor& t : others) CHECK(t.cpu().equal(full({50000}, 5.0)));
    CHECK(y.cpu().equal(full({50000}, 6.0)));
  });
}

TEST_CASE("shapes may change until the capture") {
  for_each_cuda_device([](Device device) {
    Tensor x = ones({2, 3}, device);
    auto step = cuda::graph_step([&] { return x.matmul(x.t()).sum(); }, {.warmup = 1});
    CHECK(step().item<float>() == 12);
    x = ones({4, 2}, device);
    CHECK(step().item<float>() == 32);
    CHECK(step().item<float>() == 32);
  });
}
