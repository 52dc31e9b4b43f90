#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>

#include "tarn/core/autograd.h"
#include "tarn/core/factories.h"
#include "tarn/core/random.h"
#include "tarn/core/testing.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/tensors.h"

using namespace tarn;
using tarn::testing::assert_close;
using tarn::testing::elements;

namespace {

using Floats = std::vector<float>;
using Longs = std::vector<int64_t>;

// A sum over all bytes of a generator's state, as a short stand-in for PyTorch's.
uint32_t checksum(const Tensor& state) {
  uint32_t sum = 0, place = 0;
  for (uint8_t byte : elements<uint8_t>(state)) sum += ++place * byte;
  return sum;
}

// The counters at the front of the state: left, seeded and next.
std::vector<uint64_t> counters(const Tensor& state) {
  const uint8_t* bytes = state.data_ptr<uint8_t>();
  int32_t left, seeded;
  uint64_t next;
  std::memcpy(&left, bytes + 8, 4);
  std::memcpy(&seeded, bytes + 12, 4);
  std::memcpy(&next, bytes + 16, 8);
  return {static_cast<uint64_t>(left), static_cast<uint64_t>(seeded), next};
}

}  // namespace

TEST_CASE("the state of a generator is PyTorch's, byte for byte") {
  // Checksums and numbers of torch.get_rng_state() of PyTorch 2.13.
  manual_seed(123);
  CHECK(get_rng_state().sizes().vec() == Longs{5056});
  CHECK(checksum(get_rng_state()) == 804655418u);
  CHECK(counters(get_rng_state()) == std::vector<uint64_t>{1, 1, 0});
  randn({3});
  CHECK(checksum(get_rng_state()) == 821012839u);
  CHECK(counters(get_rng_state()) == std::vector<uint64_t>{617, 1, 8});
  rand({700});
  CHECK(checksum(get_rng_state()) == 809864375u);
  assert_close(randn({3}), tensor({-0.2404179722070694, -1.1618143320083618, 0.5289298295974731}));
  manual_seed(7);
  rand({624});
  CHECK(checksum(get_rng_state()) == 802837420u);
  CHECK(counters(get_rng_state()) == std::vector<uint64_t>{1, 1, 624});
}

TEST_CASE("a restored state continues with the same numbers") {
  for (int64_t drawn : {0, 1, 3, 623, 624, 625, 2000}) {
    Generator generator(42);
    rand({drawn}, &generator);
    randn({1}, &generator);  // leaves half a pair of normal numbers behind
    const Tensor state = generator.get_state();
    const Floats next = elements<float>(randn({5}, &generator));
    const Floats after = elements<float>(rand({700}, &generator));
    Generator other(1);
    other.set_state(state);
    CHECK(other.current_seed() == 42);
    CHECK(elements<float>(randn({5}, &other)) == next);
    CHECK(elements<float>(rand({700}, &other)) == after);
    CHECK(elements<uint8_t>(other.get_state()) == elements<uint8_t>(generator.get_state()));
  }
}

TEST_CASE("what is no state is refused and leaves the generator as it was") {
  Generator generator(9);
  const Tensor good = generator.get_state();
  CHECK_THROWS_WITH_TEXT(generator.set_state(zeros({5055}, kByte)), "5056 bytes");
  CHECK_THROWS_WITH_TEXT(generator.set_state(zeros({5056})), "uint8 tensor");
  CHECK_THROWS_WITH_TEXT(generator.set_state(zeros({5056}, kByte)), "Invalid mt19937 state");
  Tensor bad = good.clone();
  bad[8] = 200;  // left = 200 does not go with next = 0
  CHECK_THROWS_WITH_TEXT(generator.set_state(bad), "Invalid mt19937 state");
  bad = good.clone();
  bad[16] = 200;  // nor next = 200 with left = 1
  CHECK_THROWS_WITH_TEXT(generator.set_state(bad), "Invalid mt19937 state");
  CHECK(elements<uint8_t>(generator.get_state()) == elements<uint8_t>(good));
}

TEST_CASE("seeds are 64 bits wide and select the sequence") {
  Generator generator;
  CHECK(generator.current_seed() == 67280421310721u);
  generator.manual_seed((uint64_t{1} << 40) + 7);
  CHECK(generator.current_seed() == (uint64_t{1} << 40) + 7);
  assert_close(rand({2}, &generator), tensor({0.5349225401878357, 0.19880318641662598}));
  const uint64_t fresh = generator.seed();
  CHECK(generator.current_seed() == fresh);
  CHECK(generator.seed() != fresh);
  manual_seed(3);
  CHECK(default_generator().current_seed() == 3);
  CHECK(&default_generator() == &default_generator(kCPU));
}

TEST_CASE("manual_seed drops the second half of a pair of normal numbers") {
  manual_seed(3);
  const Floats first = elements<float>(randn({2}));
  randn({1});
  manual_seed(3);
  CHECK(elements<float>(randn({2})) == first);
}

TEST_CASE("a generator of another device has its own state and is refused on the CPU") {
  Generator cuda(Device(kCUDA, 0), 5);
  CHECK(cuda.get_state().sizes().vec() == Longs{16});
  cuda.engine().offset = 12;
  const Tensor state = cuda.get_state();
  Generator other(Device(kCUDA, 0));
  other.set_state(state);
  CHECK(other.current_seed() == 5);
  CHECK(other.engine().offset == 12);
  CHECK_THROWS_AS(rand({2}, &cuda), DeviceError);
  CHECK_THROWS_AS(cuda.set_state(default_generator().get_state()), ValueError);
  manual_seed(77);
  CHECK(default_generator(kCUDA).current_seed() == 77);
  CHECK(&default_generator(kCUDA) == &default_generator(Device(kCUDA, 0)));
  manual_seed(78);
  CHECK(default_generator(Device(kCUDA, 0)).current_seed() == 78);
  CHECK(default_generator(Device(kCUDA, 3)).current_seed() == 78);
}

TEST_CASE("in-place draws give PyTorch's numbers") {
  manual_seed(1);
  CHECK(elements<float>(full({6}, 0.5).bernoulli()) == Floats{0, 1, 1, 0, 1, 0});
  CHECK(elements<float>(empty({4}).bernoulli_(full({4}, 0.5, kDouble))) == Floats{1, 0, 1, 1});
  manual_seed(1);
  assert_close(empty({4}).exponential_(2), tensor({0.031498268246650696, 0.12715879082679749,
                                                   0.1334514021873474, 0.0974598303437233}));
  manual_seed(1);
  assert_close(normal(tensor({1.0, 2.0}), tensor({0.5, 0.1})),
               tensor({1.3306760787963867, 2.0266923904418945}));
}

TEST_CASE("draws stay in their ranges") {
  manual_seed(4);
  const Tensor u = empty({5000}).uniform_(-2, 3);
  CHECK(u.min().item<float>() >= -2);
  CHECK(u.max().item<float>() < 3);
  CHECK(u.mean().item<float>() == Approx(0.5).margin(0.1));
  const Tensor n = normal(5, 0.1, {5000}, nullptr, kDouble);
  CHECK(n.mean().item<double>() == Approx(5).margin(0.01));
  CHECK(n.std().item<double>() == Approx(0.1).margin(0.01));
  CHECK(normal(ones({2, 1}), ones({3})).sizes().vec() == Longs{2, 3});
  CHECK(normal(0, zeros({3})).abs().sum().item<float>() == 0);
  CHECK(normal(full({3}, 2.0), 0).sum().item<float>() == 6);
  const Tensor dice = empty({1000}, kInt).random_(1, 7);
  CHECK(dice.min().item<int>() == 1);
  CHECK(dice.max().item<int>() == 6);
  CHECK(empty({100}).random_(3).max().item<float>() <= 2);
  CHECK(empty({1000}, kBool).bernoulli_(0.25).to(kFloat).mean().item<float>() ==
        Approx(0.25).margin(0.06));
  CHECK(bernoulli(ones({2, 3}), 1.0).sum().item<float>() == 6);
  CHECK(elements<float>(empty({2, 3}).bernoulli_(tensor({0.0, 1.0, 0.0}))) ==
        Floats{0, 1, 0, 0, 1, 0});
}

TEST_CASE("impossible distributions are refused") {
  const Tensor x = zeros({2});
  CHECK_THROWS_WITH_TEXT(x.uniform_(2, 1),
                         "uniform_ expects to return a [from, to) range, but found from=2 > to=1");
  CHECK_THROWS_WITH_TEXT(x.normal_(0, -1), "normal expects std >= 0.0, but found std -1");
  CHECK_THROWS_WITH_TEXT(x.bernoulli_(2), "bernoulli_ expects p to be in [0, 1], but got p=2");
  CHECK_THROWS_WITH_TEXT(x.bernoulli_(std::nan("")), "bernoulli_ expects p to be in [0, 1]");
  CHECK_THROWS_WITH_TEXT(tensor({0.5, 1.5}).bernoulli(), "Expected p_in >= 0 && p_in <= 1");
  CHECK_THROWS_WITH_TEXT(x.random_(5, 2),
                         "random_ expects 'from' to be less than 'to', but got from=5 >= to=2");
  CHECK_THROWS_WITH_TEXT(x.exponential_(0),
                         "exponential_ expects lambda > 0.0, but found lambda=0");
  CHECK_THROWS_WITH_TEXT(zeros({2}, kLong).uniform_(), "dtype must be a floating point");
  CHECK_THROWS_WITH_TEXT(zeros({2}, kChar).random_(200), "to - 1 is out of bounds");
  CHECK_THROWS_AS(x.bernoulli_(full({3}, 0.5)), ShapeError);
  CHECK_THROWS_AS(normal(zeros({2}), tensor({1.0, -1.0})), Error);
  CHECK(x.sum().item<float>() == 0);
}

TEST_CASE("drawing into a tensor counts as a write and cuts its history") {
  const Tensor leaf = ones({3}, requires_grad());
  CHECK_THROWS_WITH_TEXT(leaf.uniform_(), "a leaf Variable that requires grad");
  CHECK_THROWS_WITH_TEXT(leaf.normal_(), "leaf Variable that requires grad");
  {
    const NoGradGuard guard;
    leaf.uniform_();
  }
  CHECK(leaf.grad_fn().get() == nullptr);
  const Tensor y = leaf * 2;
  const auto version = y._version();
  y.normal_();
  CHECK(y._version() > version);
  y.sum().backward();
  CHECK(elements<float>(leaf.grad()) == Floats{0, 0, 0});
  CHECK_THROWS_AS(ones({1}).expand({3}).normal_(), Error);
  CHECK_FALSE(leaf.abs().bernoulli().requires_grad());
}

TEST_CASE("threads that share a generator never draw the same number") {
  Generator generator(11);
  constexpr int kThreads = 4, kRounds = 20;
  std::vector<Floats> drawn(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRounds; ++i) {
        const Floats part = elements<float>(rand({5003}, &generator));
        drawn[static_cast<size_t>(t)].insert(drawn[static_cast<size_t>(t)].end(), part.begin(),
                                             part.end());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Floats all;
  for (const Floats& part : drawn) all.insert(all.end(), part.begin(), part.end());
  std::sort(all.begin(), all.end());
  Generator alone(11);
  Floats expected;
  for (int i = 0; i < kThreads * kRounds; ++i) {
    for (float value : elements<float>(rand({5003}, &alone))) expected.push_back(value);
  }
  std::sort(expected.begin(), expected.end());
  CHECK(all == expected);
}

TEST_CASE("under a ThreadSeedGuard a thread draws from a seed of its own, and leaves no trace") {
  manual_seed(5);
  const Floats expected = elements<float>(rand({4}));
  manual_seed(9);
  const Floats first = elements<float>(rand({4})), second = elements<float>(rand({4}));

  manual_seed(9);
  CHECK(elements<float>(rand({4})) == first);
  {
    const ThreadSeedGuard guard(5);
    {
      const ThreadSeedGuard nested(9);
      CHECK(elements<float>(rand({4})) == first);
    }
    CHECK(elements<float>(rand({4})) == expected);
    std::thread([&] {
      const ThreadSeedGuard other(5);
      CHECK(elements<float>(rand({4})) == expected);
    }).join();
  }
  CHECK(elements<float>(rand({4})) == second);
}
