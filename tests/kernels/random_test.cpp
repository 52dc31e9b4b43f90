// Golden numbers are PyTorch 2.13's on the CPU. Each was made by torch.manual_seed(seed) and the
// call in its comment.
#include <algorithm>
#include <cmath>
#include <random>

#include "tarn/kernels/cpu/kernels.h"
#include "tarn/tests/kernels/array.h"

namespace tarn::testing {
namespace {

void draw(RandomEngine& engine, Array& out, RandomKind kind, double a = 0, double b = 1) {
  cpu::random(RandomArgs{out.view(), kind, a, b, 0, 0, &engine});
}
std::vector<double> drawn(uint64_t seed, ScalarType type, int64_t n, RandomKind kind, double a = 0,
                          double b = 1) {
  RandomEngine engine(seed);
  Array out(type, {n});
  draw(engine, out, kind, a, b);
  return out.values();
}
std::vector<double> integers(uint64_t seed, int64_t n, int64_t low, int64_t high,
                             RandomKind kind = RandomKind::kInteger) {
  RandomEngine engine(seed);
  Array out(kLong, {n});
  cpu::random(RandomArgs{out.view(), kind, 0, 0, low, high, &engine});
  return out.values();
}
std::vector<double> as_float(std::vector<double> values) {
  for (double& value : values) value = static_cast<double>(static_cast<float>(value));
  return values;
}

TEST_CASE(
    "the Mersenne Twister gives std::mt19937's numbers one by one, in bulk and after a restore") {
  for_each_isa([] {
    std::mt19937 reference(42);
    MersenneTwister twister(42);
    for (int i = 0; i < 1300; ++i) REQUIRE(twister() == reference());
    std::vector<uint32_t> bulk(2000), expected(2000);
    twister.fill(bulk.data(), 2000);
    for (uint32_t& number : expected) number = static_cast<uint32_t>(reference());
    CHECK(bulk == expected);
    MersenneTwister restored(1);
    restored.set_state(twister.words(), twister.position());
    for (int i = 0; i < 700; ++i) REQUIRE(restored() == reference());
  });
}

TEST_CASE("uniform numbers are PyTorch's in every float dtype") {
  for_each_isa([] {  // empty(5, dtype).uniform_(-1, 2), seed 0
    CHECK(drawn(0, kFloat, 5, RandomKind::kUniform, -1, 2) ==
          as_float({0.48876977, 1.30466533, -0.734567702, -0.603908539, -0.0777315497}));
    CHECK(drawn(0, kDouble, 5, RandomKind::kUniform, -1, 2) ==
          std::vector<double>{1.9101590054196591, 1.1234595931993638, 0.37814882938235261,
                              1.7622430523658807, 0.93507236036829433});
    CHECK(
        drawn(0, kHalf, 5, RandomKind::kUniform, -1, 2) ==
        std::vector<double>{0.48876953125, 1.3046875, -0.734375, -0.60400390625, -0.0777587890625});
    CHECK(drawn(0, kBFloat16, 5, RandomKind::kUniform, -1, 2) ==
          std::vector<double>{0.48828125, 1.3046875, -0.734375, -0.60546875, -0.07763671875});
  });
}

TEST_CASE("uniform numbers never reach the upper bound, also where rounding would") {
  for (const ScalarType type : kFloatTypes) {
    const double low = type == kFloat ? 1000 : 0, high = low + 1;
    const std::vector<double> values = drawn(3, type, 60000, RandomKind::kUniform, low, high);
    if (type != kDouble) CHECK(*std::min_element(values.begin(), values.end()) == low);
    CHECK(*std::max_element(values.begin(), values.end()) < high);
  }
}

TEST_CASE("few normal numbers are PyTorch's one-by-one numbers") {
  // empty(7, dtype).normal_(0, 1), seed 1
  const std::vector<double> expected = {
      0.66135217157045223,  0.26692409829251879,  0.061677258237348306, 0.62131732868542155,
      -0.45190596470388295, -0.16613023453557194, -1.5227684840130555};
  CHECK(drawn(1, kDouble, 7, RandomKind::kNormal) == expected);
  CHECK(drawn(1, kFloat, 7, RandomKind::kNormal) == as_float(expected));
  CHECK(drawn(1, kHalf, 7, RandomKind::kNormal)[0] == 0.6611328125);
}

TEST_CASE("the second number of a pair waits in the engine until it is asked for") {
  // randn(3), randn(2), rand(2), seed 6
  RandomEngine engine(6);
  Array three(kFloat, {3}), two(kFloat, {2}), uniform(kFloat, {2});
  draw(engine, three, RandomKind::kNormal);
  draw(engine, two, RandomKind::kNormal);
  draw(engine, uniform, RandomKind::kUniform);
  CHECK(three.values() == as_float({-1.87439859, -0.993663251, 0.718467236}));
  CHECK(two.values() == as_float({-0.698453844, -1.47155523}));
  CHECK(uniform.values() == as_float({0.633244216, 0.769245923}));
  engine.reseed(6);
  CHECK_FALSE(engine.has_next_normal);
}

TEST_CASE("sixteen and more normal numbers are PyTorch's blocks, with the last block drawn anew") {
  for_each_isa([] {  // empty(19, dtype).normal_(1, 2), seed 1, at 0, 1, 8, 15, 16, 17, 18
    const auto picked = [](ScalarType type) {
      const std::vector<double> all = drawn(1, type, 19, RandomKind::kNormal, 1, 2);
      return std::vector<double>{all[0], all[1], all[8], all[15], all[16], all[17], all[18]};
    };
    const std::vector<double> floats = picked(kFloat);
    const std::vector<double> expected = as_float(
        {-2.05119181, -0.500463605, 1.87828314, 0.736753583, -0.596879601, 1.67146111, 1.55066705});
    // Without fused multiply-adds a last bit may differ.
    for (size_t i = 0; i < 7; ++i)
      CHECK(std::fabs(floats[i] - expected[i]) <= (cpu_isa() == CpuIsa::Baseline ? 5e-7 : 0));
    const std::vector<double> doubles = picked(kDouble);
    const std::vector<double> expected_doubles = {
        0.37742089161993586, -0.42606055368022488, 1.1882557318193692, 2.7793490316575138,
        -2.8571667080161558, 0.45798409346960967,  0.7281589318816245};
    for (size_t i = 0; i < 7; ++i) CHECK(std::fabs(doubles[i] - expected_doubles[i]) < 1e-14);
    CHECK(picked(kHalf) == std::vector<double>{-2.05078125, -0.50048828125, 1.4892578125,
                                               1.1220703125, -0.2354736328125, -0.59619140625,
                                               0.73681640625});
    CHECK(picked(kBFloat16) == std::vector<double>{-2.046875, -0.5, 1.4921875, 1.125, -0.2353515625,
                                                   -0.59765625, 0.73828125});
  });
}

TEST_CASE("large normal tensors are PyTorch's on any number of threads") {
  for (const int threads : {1, 3}) {  // empty(70000).normal_(), seed 0
    const WithThreads scope(threads);
    const std::vector<double> values = drawn(0, kFloat, 70000, RandomKind::kNormal);
    CHECK(values[0] == Approx(-1.12583983).epsilon(1e-6));
    CHECK(values[35000] == Approx(1.01080823).epsilon(1e-6));
    CHECK(values[69999] == Approx(1.60254979).epsilon(1e-6));
  }
  std::vector<double> one, three;
  {
    const WithThreads scope(1);
    one = drawn(9, kFloat, 500003, RandomKind::kNormal, 1, 3);
  }
  const WithThreads scope(3);
  three = drawn(9, kFloat, 500003, RandomKind::kNormal, 1, 3);
  CHECK(one == three);
  const double mean = std::accumulate(one.begin(), one.end(), 0.0) / 500003;
  CHECK(mean == Approx(1).margin(0.02));
}

TEST_CASE("bernoulli compares a double with the probability, as PyTorch, in every dtype") {
  // empty(40).bernoulli_(0.3), seed 2
  const std::vector<double> expected = {0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1,
                                        0, 0, 0, 0, 0, 1, 0, 1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1};
  for_each_isa([&] {
    for (const ScalarType type : kAllTypes)
      CHECK(drawn(2, type, 40, RandomKind::kBernoulli, 0.3) == expected);
  });
  CHECK(drawn(2, kFloat, 1000, RandomKind::kBernoulli, 0) == std::vector<double>(1000, 0));
  CHECK(drawn(2, kFloat, 1000, RandomKind::kBernoulli, 1) == std::vector<double>(1000, 1));
}

TEST_CASE("integers are PyTorch's, with 64-bit draws from a range of 2^28 on") {
  CHECK(integers(3, 8, -5, 100) ==
        std::vector<double>{56, 33, 47, 97, 65, 85, 25, 90});  // randint(-5, 100, (8,))
  RandomEngine engine(3);
  Array out(kLong, {8});
  cpu::random(RandomArgs{out.view(), RandomKind::kInteger, 0, 0, -5, 100, &engine});
  Array wide(kLong, {3}), edge(kLong, {2});
  // then randint(0, 2**40, (3,)) and randint(0, 2**28, (2,))
  cpu::random(RandomArgs{wide.view(), RandomKind::kInteger, 0, 0, 0, int64_t{1} << 40, &engine});
  cpu::random(RandomArgs{edge.view(), RandomKind::kInteger, 0, 0, 0, 1 << 28, &engine});
  CHECK(wide.values() == std::vector<double>{1088503892627, 867663915883, 1069621364393});
  CHECK(edge.values() == std::vector<double>{259365781, 133365158});
  // randint(0, 1000, (4,)): the seed's lower 32 bits count
  CHECK(integers((uint64_t{1} << 40) + 17, 4, 0, 1000) == std::vector<double>{559, 585, 751, 742});
  CHECK(integers(17, 4, 0, 1000) == std::vector<double>{559, 585, 751, 742});
  for (const double value : integers(1, 100, INT64_MIN, INT64_MAX)) CHECK(std::isfinite(value));
}

TEST_CASE("exponential numbers are PyTorch's") {
  // empty(4, dtype=float64).exponential_(1.5), seed 4
  const std::vector<double> expected = {0.43225532374152764, 0.8769871954562809,
                                        0.039519918923583967, 1.9116415777508973};
  const std::vector<double> values = drawn(4, kDouble, 4, RandomKind::kExponential, 1.5);
  for (size_t i = 0; i < 4; ++i) CHECK(std::fabs(values[i] - expected[i]) < 1e-15);
}

TEST_CASE("permutations are PyTorch's, in any dtype and layout, and complete") {
  const std::vector<double> expected = {11, 0, 9, 6, 10, 3,
                                        4,  5, 8, 7, 1,  2};  // randperm(12), seed 5
  CHECK(integers(5, 12, 0, 0, RandomKind::kPermutation) == expected);
  for (const ScalarType type : {kInt, kFloat}) {
    RandomEngine engine(5);
    Array out(type, {12}, Layout::kSliced);
    cpu::random(RandomArgs{out.view(), RandomKind::kPermutation, 0, 0, 0, 0, &engine});
    CHECK(out.values() == expected);
    CHECK(out.guards_intact());
  }
  for (const int64_t n : {0, 1, 2, 1000}) {
    std::vector<double> values = integers(8, n, 0, 0, RandomKind::kPermutation);
    std::sort(values.begin(), values.end());
    for (int64_t i = 0; i < n; ++i)
      REQUIRE(values[static_cast<size_t>(i)] == static_cast<double>(i));
  }
}

TEST_CASE("strided outputs are filled in memory order, as TensorIterator does") {
  RandomEngine engine(7);
  Array out(kFloat, {3, 4}, Layout::kTransposed);  // empty(4, 3).t().uniform_(), seed 7
  draw(engine, out, RandomKind::kUniform);
  CHECK(out.values() ==
        as_float({0.53492254, 0.656890273, 0.207086027, 0.851268351, 0.198803186, 0.232761562,
                  0.629736364, 0.854943156, 0.659211695, 0.425061405, 0.365316153, 0.550935209}));
  for (const RandomKind kind :
       {RandomKind::kUniform, RandomKind::kBernoulli, RandomKind::kExponential}) {
    for (const auto& shape : test_shapes()) {
      RandomEngine first(1), second(1);
      Array packed(kDouble, shape), sliced(kDouble, shape, Layout::kSliced);
      draw(first, packed, kind, 0.5, 2);
      draw(second, sliced, kind, 0.5, 2);
      CHECK(packed.values() == sliced.values());
      CHECK(sliced.guards_intact());
      CHECK(first.next32() == second.next32());
    }
  }
}

}  // namespace
}  // namespace tarn::testing
