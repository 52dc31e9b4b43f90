// Whole training runs: they learn, they repeat, and they do not grow.
#include <unistd.h>
#include <fstream>

#include "tarn/core/random.h"
#include "tarn/nn/nn.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/sanitizers.h"

namespace tarn {
namespace {

struct MlpImpl : nn::Module {
  nn::Linear hidden{nullptr}, output{nullptr};
  MlpImpl() {
    hidden = register_module("hidden", nn::Linear(20, 64));
    output = register_module("output", nn::Linear(64, 4));
  }
  Tensor forward(const Tensor& x) { return output(relu(hidden(x))); }
};
TARN_MODULE(Mlp);

int64_t resident_bytes() {
  int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * sysconf(_SC_PAGESIZE);
}

// Points in 20 dimensions, labelled by the largest of the first four coordinates.
double step(Mlp& net, optim::Optimizer& optimizer, int64_t batch) {
  const Tensor x = randn({batch, 20}), target = x.slice(1, 0, 4).argmax(1);
  optimizer.zero_grad();
  const Tensor loss = nn::functional::cross_entropy(net(x), target);
  loss.backward();
  optimizer.step();
  return loss.item<double>();
}

std::vector<double> losses(int steps) {
  manual_seed(3);
  Mlp net;
  optim::Adam optimizer(net->parameters(), optim::AdamOptions(1e-2));
  std::vector<double> result;
  for (int i = 0; i < steps; ++i) result.push_back(step(net, optimizer, 32));
  return result;
}

TEST_CASE("training learns, and gives the same losses again under the same seed") {
  const std::vector<double> first = losses(200);
  CHECK(first.back() < 0.5 * first.front());
  CHECK(losses(200) == first);
}

TEST_CASE("20,000 steps with random batch sizes do not grow the process") {
  if (testing::kThreadSanitizer || testing::kAddressSanitizer) {
    // Sanitizers keep freed memory: there the leak check at exit tells.
    manual_seed(0);
    Mlp net;
    optim::SGD optimizer(net->parameters(), optim::SGDOptions(0.01));
    for (int i = 0; i < 200; ++i) step(net, optimizer, 1 + i % 64);
    CHECK(memory_stats().live_blocks > 0);
    return;
  }
  manual_seed(0);
  Mlp net;
  optim::SGD optimizer(net->parameters(), optim::SGDOptions(0.01));
  const Tensor sizes = randint(1, 129, {22'000}, kLong);
  const int64_t* size = sizes.data_ptr<int64_t>();
  for (int i = 0; i < 2'000; ++i) step(net, optimizer, size[i]);
  const int64_t before = resident_bytes();
  const size_t live = memory_stats().live_blocks;
  for (int i = 2'000; i < 22'000; ++i) step(net, optimizer, size[i]);
  CHECK(memory_stats().live_blocks == live);
  CHECK(resident_bytes() - before < 1'000'000);
}

}  // namespace
}  // namespace tarn
