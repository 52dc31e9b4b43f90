// What becomes of a step of training when the device refuses something, whatever it is: an Error or
// nothing at all, and the program goes on. Needs the emulator, which refuses when told to.
#if defined(TARN_CUDA_EMULATE)
#include <cmath>
#include <cstdio>

#include "tarn/core/random.h"
#include "tarn/device/cuda.h"
#include "tarn/nn/nn.h"
#include "tarn/tests/cuda_emulator/settings.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/run_self.h"

using namespace tarn;
using cuda_emulator::settings;

namespace {

// A step of training on `device`, and one of its results by way of `other`.
double train_step(Device device, Device other) {
  manual_seed(1);
  nn::Sequential net(nn::Linear(4, 8), nn::ReLU(), nn::Linear(8, 3));
  const Tensor x = randn({6, 4}).to(device), target = tensor({0, 1, 2, 2, 1, 0}, device);
  net->to(device);
  optim::Adam optimizer(net->parameters(), optim::AdamOptions(0.01));
  nn::functional::cross_entropy(net(x), target).backward();
  nn::utils::clip_grad_norm_(net->parameters(), 1.0);
  optimizer.step();
  return net->parameters()[0].detach().to(other).abs().sum().item<double>();
}

// Exit statuses; sanitizers have others.
enum Outcome { kDone = 10, kNeverFailed, kError, kWrong };

// Runs the step in a fresh process, with trouble that plant() makes. Afterwards, without it, no
// memory may be left in use, and the step must work.
template <class Plant>
int outcome_with(Plant plant) {
  static const double wanted = train_step(kCPU, kCPU);
  return testing::run_copy([&]() -> int {
    const auto untroubled = settings();
    const auto step = [&] { return std::abs(train_step("cuda:0", "cuda:1") - wanted) < 1e-4; };
    cuda::device_count();  // found once, so that no device would be found later
    plant();
    Outcome outcome = kWrong;
    try {
      if (step()) outcome = settings().fail_call > 0 ? kNeverFailed : kDone;
    } catch (const Error& error) {
      std::printf("%s\n", error.what());
      outcome = kError;
    }
    settings() = untroubled;
    const bool clean = cuda::memory_allocated(0) == 0 && cuda::memory_allocated(1) == 0;
    return clean && step() ? outcome : kWrong;
  });
}

}  // namespace

TEST_CASE("child: each call of CUDA fails once", "[.][child-fail]") {
  int64_t call = 1, errors = 0;
  for (int outcome = kDone; outcome != kNeverFailed; ++call) {
    outcome = outcome_with([call] {
      std::snprintf(settings().fail_api, sizeof settings().fail_api, "any");
      settings().fail_call = call;
    });
    INFO("call " << call);
    REQUIRE((outcome >= kDone && outcome < kWrong));
    errors += outcome == kError;
  }
  std::printf("%lld calls, %lld errors\n", static_cast<long long>(call - 2),
              static_cast<long long>(errors));
  CHECK(call > 100);
  CHECK(errors > call / 2);
}

TEST_CASE("whichever call of CUDA fails in a step of training, the program can go on") {
  const auto child = testing::run_self("[child-fail]");
  INFO(child.output);
  CHECK(child.status == 0);
}

TEST_CASE("child: a device with little memory", "[.][child-little-memory]") {
  size_t bytes = 0;
  for (int outcome = kError; outcome != kDone; bytes += bytes / 8 + 512) {
    outcome = outcome_with([bytes] { settings().capacity = bytes; });
    INFO("capacity " << bytes);
    REQUIRE((outcome >= kDone && outcome < kWrong));
  }
  CHECK(bytes > 10'000);
}

TEST_CASE("however little memory a device has, a step of training works or runs out of memory") {
  const auto child = testing::run_self("[child-little-memory]", "TARN_CUDA_ALLOC=direct");
  INFO(child.output);
  CHECK(child.status == 0);
}
#endif
