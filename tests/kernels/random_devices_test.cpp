// Random numbers of every device: distributions, and on CUDA the generator itself. The CPU's golden
// numbers are in random_test.cpp.
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "tarn/tests/kernels/array.h"

namespace tarn::testing {
namespace {

void draw(RandomEngine& engine, Array& out, RandomKind kind, double a = 0, double b = 1) {
  tested().random(RandomArgs{out.view(), kind, a, b, 0, 0, &engine});
}
std::vector<double> drawn(uint64_t seed, ScalarType type, int64_t n, RandomKind kind, double a = 0,
                          double b = 1) {
  RandomEngine engine(seed);
  Array out(type, {n});
  draw(engine, out, kind, a, b);
  return out.values();
}
Array integers(RandomEngine& engine, int64_t n, int64_t low, int64_t high,
               RandomKind kind = RandomKind::kInteger) {
  Array out(kLong, {n});
  tested().random(RandomArgs{out.view(), kind, 0, 0, low, high, &engine});
  return out;
}

// Calls f for each CUDA device.
template <class F>
void for_each_cuda_device(F f) {
  for (int64_t i = 0; i < cuda::device_count(); ++i) {
    const OnDevice scope(Device(kCUDA, i));
    f();
  }
}

struct Moments {
  double mean, variance;
};
Moments moments(const std::vector<double>& values) {
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  const double mean = sum / static_cast<double>(values.size());
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, squares / static_cast<double>(values.size())};
}

TEST_CASE("every distribution has its mean and variance in every dtype") {
  constexpr int64_t kCount = 20000;
  for_each_device([] {
    for (const ScalarType type : kFloatTypes) {
      INFO(type);
      const Moments uniform = moments(drawn(1, type, kCount, RandomKind::kUniform, -1, 3));
      CHECK(uniform.mean == Approx(1).margin(0.05));
      CHECK(uniform.variance == Approx(16.0 / 12).margin(0.05));
      const Moments normal = moments(drawn(2, type, kCount, RandomKind::kNormal, 2, 0.5));
      CHECK(normal.mean == Approx(2).margin(0.02));
      CHECK(normal.variance == Approx(0.25).margin(0.02));
      const Moments exponential = moments(drawn(3, type, kCount, RandomKind::kExponential, 2));
      CHECK(exponential.mean == Approx(0.5).margin(0.02));
      CHECK(exponential.variance == Approx(0.25).margin(0.03));
    }
    for (const ScalarType type : kAllTypes) {
      INFO(type);
      CHECK(moments(drawn(4, type, kCount, RandomKind::kBernoulli, 0.3)).mean ==
            Approx(0.3).margin(0.02));
      CHECK(drawn(5, type, 1000, RandomKind::kBernoulli, 0) == std::vector<double>(1000, 0));
      CHECK(drawn(5, type, 1000, RandomKind::kBernoulli, 1) == std::vector<double>(1000, 1));
    }
    RandomEngine engine(6);
    std::vector<int> counts(10);
    for (const double value : integers(engine, kCount, -3, 7).values())
      ++counts.at(static_cast<size_t>(value + 3));
    for (const int count : counts) CHECK(count == Approx(2000).margin(200));
  });
}

TEST_CASE("normal numbers fall into intervals as often as they should") {
  for_each_device([] {
    const std::vector<double> values = drawn(9, kFloat, 40000, RandomKind::kNormal);
    for (const double edge : {-2.0, -1.0, -0.3, 0.0, 0.7, 1.5}) {
      const auto below =
          std::count_if(values.begin(), values.end(), [&](double x) { return x < edge; });
      CHECK(static_cast<double>(below) / 40000 ==
            Approx(0.5 * std::erfc(-edge / std::numbers::sqrt2)).margin(0.01));
    }
  });
}

TEST_CASE(
    "uniform numbers of every device stay below the upper bound, also where rounding would not") {
  for_each_device([] {
    for (const ScalarType type : kFloatTypes) {
      const double low = type == kFloat ? 1000 : 0;
      const std::vector<double> values = drawn(3, type, 60000, RandomKind::kUniform, low, low + 1);
      if (type != kDouble) CHECK(*std::min_element(values.begin(), values.end()) == low);
      CHECK(*std::max_element(values.begin(), values.end()) < low + 1);
    }
  });
}

TEST_CASE("exponential numbers are above zero") {
  for_each_cuda_device([] {
    for (const ScalarType type : {kFloat, kDouble}) {
      const std::vector<double> values = drawn(3, type, 60000, RandomKind::kExponential, 1);
      CHECK(*std::min_element(values.begin(), values.end()) > 0);
    }
  });
}

TEST_CASE("a permutation has every number once, in every dtype and layout") {
  for_each_device([] {
    for (const int64_t n : {0, 1, 2, 1000, 5000}) {
      RandomEngine engine(8);
      const std::vector<double> values =
          integers(engine, n, 0, 0, RandomKind::kPermutation).values();
      std::vector<double> sorted = values;
      std::sort(sorted.begin(), sorted.end());
      for (int64_t i = 0; i < n; ++i)
        REQUIRE(sorted[static_cast<size_t>(i)] == static_cast<double>(i));
      if (n >= 1000) CHECK(values != sorted);
    }
    for (const ScalarType type : {kInt, kFloat}) {
      RandomEngine first(5), second(5);
      Array packed(kLong, {12}), sliced(type, {12}, Layout::kSliced);
      draw(first, packed, RandomKind::kPermutation);
      draw(second, sliced, RandomKind::kPermutation);
      CHECK(packed.values() == sliced.values());
      CHECK(sliced.guards_intact());
    }
  });
}

TEST_CASE("one seed gives one sequence on every device of a kind, whatever the layout") {
  for (const RandomKind kind : {RandomKind::kUniform, RandomKind::kNormal, RandomKind::kBernoulli,
                                RandomKind::kExponential}) {
    std::vector<double> expected;
    for_each_cuda_device([&] {
      RandomEngine engine(11);
      Array first(kFloat, {40, 25}), second(kFloat, {40, 25});
      draw(engine, first, kind, 0.5, 2);
      draw(engine, second, kind, 0.5, 2);
      CHECK(first.values() != second.values());
      if (expected.empty()) expected = first.values();
      CHECK(first.values() == expected);
      RandomEngine again(11);
      Array sliced(kFloat, {40, 25}, Layout::kSliced);
      draw(again, sliced, kind, 0.5, 2);
      CHECK(sliced.values() == expected);
      CHECK(sliced.guards_intact());
      again.reseed(11);
      Array turned(kFloat, {25, 40}, Layout::kTransposed);
      draw(again, turned, kind, 0.5, 2);
      for (int64_t i = 0; i < 1000; ++i)
        REQUIRE(turned.get(i % 25 * 40 + i / 25) == expected[static_cast<size_t>(i)]);
    });
  }
}

// --- Philox --------------------------------------------------------------------------------------

// J. Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011).
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0], b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}
// What call `call` of a subsequence gives.
std::array<uint32_t, 4> words(uint64_t seed, uint64_t subsequence, uint64_t call) {
  const auto low = [](uint64_t x) { return static_cast<uint32_t>(x); };
  return philox({low(call), low(call >> 32), low(subsequence), low(subsequence >> 32)},
                {low(seed), low(seed >> 32)});
}

TEST_CASE("the test's Philox4x32-10 gives the vectors published with the algorithm") {
  CHECK(philox({0, 0, 0, 0}, {0, 0}) ==
        std::array<uint32_t, 4>{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8});
  constexpr uint32_t kOnes = 0xFFFFFFFF;
  CHECK(philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}) ==
        std::array<uint32_t, 4>{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD});
  CHECK(philox({0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, {0xA4093822, 0x299F31D0}) ==
        std::array<uint32_t, 4>{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1});
}

TEST_CASE("element i of a CUDA tensor comes from subsequence i of Philox at the engine's offset") {
  const uint64_t seed = 0x123456789ABCDEF0;
  for_each_cuda_device([&] {
    RandomEngine engine(seed);
    for (const uint64_t call : {0, 1, 2}) {
      CHECK(engine.offset == 4 * call);
      // All 64 bits: low + x % (2^64 - 1).
      Array out = integers(engine, 700, INT64_MIN, INT64_MAX);
      const int64_t* numbers = out.as<int64_t>();
      bool same = true;
      for (uint64_t i = 0; i < 700; ++i) {
        const auto w = words(seed, i, call);
        same &= static_cast<uint64_t>(numbers[i]) ==
                ((uint64_t{w[0]} << 32 | w[1]) + (uint64_t{1} << 63));
      }
      CHECK(same);
    }
    Array floats(kFloat, {300}), normals(kFloat, {300}), digits = integers(engine, 300, 0, 1000);
    draw(engine, floats, RandomKind::kUniform, 2, 6);
    draw(engine, normals, RandomKind::kNormal, 1, 3);
    for (uint64_t i = 0; i < 300; ++i) {
      const auto element = static_cast<int64_t>(i);
      REQUIRE(digits.get(element) == words(seed, i, 3)[0] % 1000);
      const double u = (words(seed, i, 4)[0] + 0.5) * 0x1p-32;
      REQUIRE(floats.get(element) == Approx(2 + 4 * u).epsilon(1e-6));
      const auto w = words(seed, i, 5);  // Box-Muller, sine first
      const double radius = std::sqrt(-2 * std::log((w[0] + 0.5) * 0x1p-32));
      const double angle = 2 * std::numbers::pi * (w[1] + 0.5) * 0x1p-32;
      REQUIRE(normals.get(element) ==
              Approx(1 + 3 * radius * std::sin(angle)).epsilon(1e-4).margin(1e-4));
    }
  });
}

TEST_CASE("tensors with more elements than subsequences use all numbers of a call, then the next") {
  constexpr int64_t kSubsequences = 270336;  // 132 multiprocessors of 2048 threads
  const int64_t n = 4 * kSubsequences + 1000;
  for_each_cuda_device([&] {
    // Written as they are drawn, calls of which every number belongs to an element, and otherwise.
    for (const ScalarType type : {kLong, kInt}) {
      RandomEngine engine(77);
      Array out(type, {n}, type == kLong ? Layout::kSliced : Layout::kContiguous);
      tested().random(RandomArgs{out.view(), RandomKind::kInteger, 0, 0, 0, 1 << 20, &engine});
      CHECK(engine.offset == 8);
      bool same = true;
      for (int64_t i = 0; i < n; i += i < n - 1000 ? 997 : 1) {
        const auto w = words(77, static_cast<uint64_t>(i % kSubsequences),
                             static_cast<uint64_t>(i / kSubsequences / 4));
        same &= out.get(i) == w[static_cast<size_t>(i / kSubsequences % 4)] % (1 << 20);
      }
      CHECK(same);
    }
  });
}

TEST_CASE(
    "a seed and an offset in device memory count like the engine's own, when the kernel runs") {
  for_each_cuda_device([] {
    RandomEngine plain(3), on_device(4);
    Array base(kLong, {2}), first(kFloat, {50}), second(kFloat, {50}), third(kFloat, {50});
    base.set(0, 3);
    base.set(1, 20);
    on_device.on_device = base.view().as<CounterBase>();
    plain.offset = 24;
    draw(plain, first, RandomKind::kNormal);
    on_device.offset = 4;
    draw(on_device, second, RandomKind::kNormal);
    CHECK(first.values() == second.values());
    CHECK(on_device.offset == 8);
    base.set(0, 4);
    static_cast<void>(base.view());
    on_device.offset = 4;
    draw(on_device, third, RandomKind::kNormal);
    CHECK(third.values() != first.values());
  });
}

}  // namespace
}  // namespace tarn::testing
