// What tensors do on devices: the same bodies on the CPU and on every CUDA device there is.
#include <atomic>
#include <sstream>
#include <thread>

#include "tarn/core/autograd.h"
#include "tarn/core/factories.h"
#include "tarn/core/functions.h"
#include "tarn/core/indexing.h"
#include "tarn/core/print.h"
#include "tarn/core/random.h"
#include "tarn/core/testing.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/devices.h"
#include "tarn/tests/support/run_self.h"
#include "tarn/tests/support/sanitizers.h"
#include "tarn/tests/support/tensors.h"

using namespace tarn;
using indexing::Slice;
using testing::cuda_devices;
using testing::devices;
using testing::elements;

using Floats = std::vector<float>;
using Longs = std::vector<int64_t>;

TEST_CASE("without a CUDA device a tensor cannot be made on one") {
  if (cuda::is_available()) return;
  CHECK_THROWS_WITH_TEXT(zeros({2}, kCUDA), "[cuda] cuda:0 was asked for, but ");
  CHECK_THROWS_AS(ones({2}).cuda(1), DeviceError);
  CHECK_THROWS_AS(tensor({1, 2}, kCUDA), DeviceError);
  CHECK_THROWS_AS(empty({0}).to(Device("cuda:3")).fill_(1), DeviceError);
  cuda::manual_seed(1);
  cuda::manual_seed_all(1);
}

TEST_CASE("factories make tensors on the device they are told") {
  for (const Device device : devices()) {
    CAPTURE(device);
    const TensorOptions on(device);
    CHECK(elements<float>(zeros({2, 3}, on)) == Floats(6, 0));
    CHECK(elements<float>(ones({2}, on)) == Floats(2, 1));
    CHECK(elements<float>(full({2}, 2.5, on)) == Floats(2, 2.5));
    CHECK(elements<int64_t>(arange(4, on)) == Longs{0, 1, 2, 3});
    CHECK(elements<float>(linspace(0, 1, 3, on)) == Floats{0, 0.5, 1});
    CHECK(elements<float>(eye(2, on)) == Floats{1, 0, 0, 1});
    CHECK(elements<float>(tensor({{1., 2.}, {3., 4.}}, on)) == Floats{1, 2, 3, 4});
    CHECK(elements<int64_t>(tensor(Longs{7, 8}, on)) == Longs{7, 8});
    const Tensor x = rand({3, 2}, on);
    CHECK(x.device() == device);
    CHECK(x.is_cuda() == device.is_cuda());
    for (const Tensor& like : {empty_like(x), zeros_like(x), rand_like(x), x + 1, x.clone()})
      CHECK(like.device() == device);
    CHECK(empty({0, 3}, on).device() == device);
  }
}

TEST_CASE("a tensor made on cuda says that it is on cuda:0") {
  if (!cuda::is_available()) return;
  CHECK(zeros({1}, kCUDA).device().str() == "cuda:0");
  CHECK(zeros({1}, kCUDA).get_device() == 0);
  CHECK(zeros({1}).to(kCUDA).device().str() == "cuda:0");
  CHECK(zeros({1}, kCUDA).toString() == "CUDAFloatType");
}

TEST_CASE("moving a tensor copies it, unless it is there already") {
  for (const Device from : devices()) {
    for (const Device to : devices()) {
      CAPTURE(from, to);
      const Tensor x = tensor({1., 2., 3.}, from);
      const Tensor y = x.to(to);
      CHECK(y.device() == to);
      CHECK(y.is_same(x) == (from == to));
      CHECK(elements<float>(y) == Floats{1, 2, 3});
      CHECK_FALSE(x.to(to, kFloat, false, /*copy=*/true).is_same(x));
      const Tensor longs = x.to(to, kLong);
      CHECK(longs.dtype() == kLong);
      CHECK(elements<int64_t>(longs) == Longs{1, 2, 3});
      CHECK(y.cpu().is_cpu());
    }
  }
  for (const Device device : cuda_devices())
    CHECK(ones({1}).cuda(device.index()).device() == device);
}

TEST_CASE("moving a tensor back and forth is seen by its gradient") {
  for (const Device device : cuda_devices()) {
    const Tensor x = tensor({1., 2.}, requires_grad());
    (x.to(device) * tensor({3., 4.}, device)).sum().backward();
    CHECK(x.grad().is_cpu());
    CHECK(elements<float>(x.grad()) == Floats{3, 4});
  }
}

TEST_CASE("copy_ converts dtypes and strides from any device to any other") {
  for (const Device from : devices()) {
    for (const Device to : devices()) {
      CAPTURE(from, to);
      for (const ScalarType type : {kFloat, kDouble, kLong, kByte, kHalf}) {
        // Columns of a larger matrix, read transposed.
        const Tensor source = arange(12, TensorOptions(from).dtype(kInt)).view({3, 4}).t();
        const Tensor wide = zeros({4, 6}, TensorOptions(to).dtype(type));
        wide.index({Slice(), Slice(0, 6, 2)}).copy_(source);
        const Tensor wanted = tensor(
            {{0, 0, 4, 0, 8, 0}, {1, 0, 5, 0, 9, 0}, {2, 0, 6, 0, 10, 0}, {3, 0, 7, 0, 11, 0}});
        CHECK(wide.cpu().to(kLong).equal(wanted));
      }
      const Tensor target = zeros({2, 3}, to);
      target.copy_(tensor({1., 2., 3.}, from));
      CHECK(elements<float>(target) == Floats{1, 2, 3, 1, 2, 3});
      target.copy_(tensor(5, from));
      CHECK(elements<float>(target) == Floats(6, 5));
    }
  }
}

TEST_CASE("numbers are read and printed wherever they are") {
  for (const Device device : devices()) {
    const Tensor x = tensor({{1.5, 2.}, {3., 4.}}, device);
    CHECK(x[1][0].item<float>() == 3);
    CHECK(x.t()[1].equal(tensor({2., 4.}, device)));
    CHECK_FALSE(x.equal(x + 1));
    std::ostringstream text;
    text << x;
    const std::string type = device.is_cuda() ? "CUDAFloatType" : "CPUFloatType";
    CHECK(text.str() == " 1.5000  2.0000\n 3.0000  4.0000\n[ " + type + "{2,2} ]");
    testing::assert_close(x, tensor({{1.5, 2.}, {3., 4.}}, device));
  }
}

TEST_CASE("indices may be on the CPU, for a tensor on any device") {
  for (const Device device : devices()) {
    CAPTURE(device);
    const Tensor x = arange(12, device).view({3, 4});
    for (const Device place : {Device(kCPU), device}) {
      const Tensor rows = tensor({2, 0}, place);
      CHECK(elements<int64_t>(x.index({rows})) == Longs{8, 9, 10, 11, 0, 1, 2, 3});
      CHECK(elements<int64_t>(x.index({rows, tensor({1, -1}, place)})) == Longs{9, 3});
      CHECK(x.index({rows}).device() == device);
      const Tensor mask = tensor({true, false, true}, place);
      CHECK(elements<int64_t>(x.index({mask, 0})) == Longs{0, 8});
      const Tensor y = x.clone();
      y.index_put_({rows, Slice(0, 1)}, tensor(-1, place));
      CHECK(elements<int64_t>(y.select(1, 0)) == Longs{-1, 4, -1});
    }
    CHECK(elements<int64_t>(x[0].masked_select(x[0].gt(1))) == Longs{2, 3});
    CHECK(elements<int64_t>(x.gather(1, tensor({{3}, {0}, {1}}, device))) == Longs{3, 4, 9});
  }
}

TEST_CASE("a number on the CPU goes with tensors of any device, also in the gradient") {
  for (const Device device : devices()) {
    CAPTURE(device);
    const Tensor x = tensor({1., 2., 3.}, TensorOptions(device).requires_grad(true));
    const Tensor scale = tensor(2., requires_grad());
    for (const Tensor& y : {x * scale, scale * x}) {
      CHECK(y.device() == device);
      CHECK(elements<float>(y) == Floats{2, 4, 6});
    }
    (x * scale).sum().backward();
    CHECK(elements<float>(x.grad()) == Floats{2, 2, 2});
    CHECK(scale.grad().is_cpu());
    CHECK(scale.grad().item<float>() == 6);
    const Tensor y = x.detach().clone();
    y.add_(tensor(1.));
    CHECK(elements<float>(y) == Floats{2, 3, 4});
    CHECK(elements<float>(where(x.detach().gt(1), x.detach(), tensor(0.))) == Floats{0, 2, 3});
    CHECK(elements<float>(x.detach().masked_fill(x.detach().gt(2), tensor(9.))) == Floats{1, 2, 9});
  }
}

TEST_CASE("operands on two devices are a DeviceError that names the operation and both") {
  const auto all = devices();
  if (all.size() < 2) return;
  for (size_t i = 0; i < all.size(); ++i) {
    const Device one = all[i], two = all[(i + 1) % all.size()];
    CAPTURE(one, two);
    const Tensor a = ones({2, 2}, one), b = ones({2, 2}, two);
    const Tensor index = zeros({2, 2}, TensorOptions(kLong).device(two));
    const auto text = [&](const char* op) {
      return str("[", op,
                 "] Expected all tensors to be on the same device, but found at least two "
                 "devices, ",
                 one, " and ", two, "!");
    };
    CHECK_THROWS_WITH_TEXT(a + b, text("add"));
    CHECK_THROWS_WITH_TEXT(a.add_(b), text("add"));
    CHECK_THROWS_WITH_TEXT(where(a.gt(0), b, a), text("where"));
    CHECK_THROWS_WITH_TEXT(a.matmul(b), text("matmul"));
    CHECK_THROWS_WITH_TEXT(a.mm(b), text("mm"));
    CHECK_THROWS_WITH_TEXT(linear(a, b), text("linear"));
    CHECK_THROWS_WITH_TEXT(linear(a, a, b[0]), text("linear"));
    CHECK_THROWS_WITH_TEXT(cat({a, b}), text("cat"));
    CHECK_THROWS_WITH_TEXT(stack({a, b}), text("stack"));
    CHECK_THROWS_WITH_TEXT(a.gather(0, index), text("gather"));
    CHECK_THROWS_WITH_TEXT(a.index_select(0, index[0]), text("index_select"));
    CHECK_THROWS_WITH_TEXT(a.clone().scatter_(0, index, 1), text("scatter_"));
    CHECK_THROWS_WITH_TEXT(a.clone().index_add_(0, index[0], a), text("index_add_"));
    CHECK_THROWS_WITH_TEXT(a.masked_select(b.gt(0)), text("masked_select"));
    CHECK_THROWS_WITH_TEXT(a.masked_fill(b.gt(0), 1), "same device");
    CHECK_THROWS_WITH_TEXT(nll_loss(a, index[0]), text("nll_loss"));
    CHECK_THROWS_WITH_TEXT(a.clone().index_put_({0}, b[0].clone()).add_(b), text("add"));
    if (two.is_cuda()) {
      CHECK_THROWS_WITH_TEXT(a.index({index[0]}), text("index"));
      CHECK_THROWS_WITH_TEXT(a.index({b.gt(0)}), text("index"));
    }
    const Tensor w = ones({2}, TensorOptions(one).requires_grad(true));
    CHECK_THROWS_WITH_TEXT((w * 2).backward(ones({2}, two)),
                           str("expected device ", one, " but got ", two));
    CHECK_THROWS_WITH_TEXT(tensor(1., one).is_cpu() ? tensor(1.).add_(b) : a.add_(b),
                           "same device");
  }
}

TEST_CASE("each device has a generator of its own, and one seed repeats its numbers") {
  for (const Device device : devices()) {
    CAPTURE(device);
    manual_seed(3);
    const Tensor first = randn({100}, device);
    CHECK_FALSE(randn({100}, device).equal(first));
    manual_seed(3);
    CHECK(randn({100}, device).equal(first));
    const Tensor state = get_rng_state(device);
    CHECK(state.is_cpu());
    const Tensor next = rand({50}, device);
    set_rng_state(state, device);
    CHECK(rand({50}, device).equal(next));
    Generator own(device, 5), same(device, 5);
    CHECK(rand({9}, &own, device).equal(rand({9}, &same, device)));
    CHECK(randperm(10, device).to(kCPU).equal(randperm(10, device).to(kCPU)) == false);
    const Tensor chances = tensor({0., 1., 0.}, device);
    CHECK(chances.multinomial(5, /*replacement=*/true).device() == device);
    CHECK(elements<int64_t>(chances.multinomial(3, true)) == Longs{1, 1, 1});
    CHECK(chances.multinomial(1).item<int64_t>() == 1);
  }
  if (cuda::is_available()) {
    cuda::manual_seed_all(3);
    const Tensor first = rand({10}, kCUDA);
    rand({10});
    cuda::manual_seed(3);
    CHECK(rand({10}, kCUDA).equal(first));
    Generator cpu;
    CHECK_THROWS_AS(rand({2}, &cpu, kCUDA), DeviceError);
  }
}

TEST_CASE("a small network learns the same on every device") {
  const auto train = [](Device device) {
    manual_seed(1);
    const Tensor x = randn({8, 3}).to(device), target = tensor({0, 1, 2, 0, 1, 2, 0, 1}, device);
    Tensor w = randn({4, 3}).to(device).requires_grad_(), v = randn({3, 4}).to(device);
    v.requires_grad_();
    for (int step = 0; step < 5; ++step) {
      const Tensor loss = nll_loss(linear(relu(linear(x, w)), v).log_softmax(1), target);
      w.mutable_grad().reset();
      v.mutable_grad().reset();
      loss.backward();
      const NoGradGuard guard;
      w.sub_(w.grad() * 0.1);
      v.sub_(v.grad() * 0.1);
    }
    return w.detach().cpu();
  };
  const Tensor wanted = train(kCPU);
  for (const Device device : cuda_devices())
    testing::assert_close(train(device), wanted, 1e-4, 1e-5);
}

TEST_CASE("gradients are checked on every device") {
  for (const Device device : devices()) {
    const Tensor x =
        tensor({0.5, -1.5, 2.}, TensorOptions(kDouble).device(device).requires_grad(true));
    CHECK(testing::gradcheck([](const std::vector<Tensor>& in) { return (in[0] * in[0]).tanh(); },
                             {x}));
  }
}

// Destroyed after main, and at the end of their threads.
static Tensor global_tensor;
static thread_local Tensor thread_tensor;

// The ends of many processes, which ThreadSanitizer takes long to fork.
static void check_ends(int (*body)()) {
  constexpr int kTimes = testing::kThreadSanitizer ? 10 : 100;
  for (int i = 0; i < kTimes; ++i) REQUIRE(testing::run_copy(body) == 0);
}

TEST_CASE("child: ends of processes with CUDA tensors", "[.][child-ends]") {
  check_ends([] {
    global_tensor = ones({1000}, kCUDA);
    thread_tensor = global_tensor * 2;
    float sum = 0;
    std::thread([&] {
      thread_tensor = ones({5}, kCUDA);
      sum = thread_tensor.sum().item<float>();
    }).join();
    return sum == 5 ? 0 : 1;
  });
  check_ends([] {
    global_tensor = ones({1000}, kCUDA);
    std::thread([] {
      thread_tensor = global_tensor + 1;
      std::exit(0);
    }).join();
    return 1;
  });
}

TEST_CASE("child: ends of processes beside a thread at work", "[.][child-busy-ends]") {
  check_ends([]() -> int {
    static std::atomic<int> rounds = 0;
    std::thread([] {
      try {
        for (Tensor x = ones({100}, kCUDA);; ++rounds) x = (x * 0.5 + 1).clone();
      } catch (const DeviceError&) {
        if (rounds < 3) std::_Exit(2);  // later: "driver shutting down", if it gets so far
      }
    }).detach();
    while (rounds < 3) std::this_thread::yield();
    std::exit(0);
  });
}

TEST_CASE("a process ends cleanly whatever CUDA tensors are left, a hundred times of a hundred") {
  if (!cuda::is_available()) return;
  for (const char* allocation : {"cached", "direct"}) {
    const std::string environment = std::string("TARN_CUDA_ALLOC=") + allocation;
    const auto child = testing::run_self("[child-ends]", environment);
    CAPTURE(allocation, child.output);
    CHECK(child.status == 0);
    // What the thread holds while it is inside a kernel, on one of the emulator's stacks, would
    // look like a leak.
    const auto busy =
        testing::run_self("[child-busy-ends]", environment + " ASAN_OPTIONS=detect_leaks=0");
    CAPTURE(busy.output);
    CHECK(busy.status == 0);
  }
}
