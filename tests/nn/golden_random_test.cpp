// Random numbers and initial parameters against PyTorch's CPU generator, bit for bit but where a
// logarithm, a sine or a product takes part (tests/golden/random_numbers.py).
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/golden.h"

namespace {

using namespace tarn;
using tarn::testing::Golden;
using tarn::testing::Tolerance;
using Tensors = std::vector<Tensor>;

constexpr Tolerance kSame{0, 0};
constexpr std::pair<const char*, ScalarType> kFloats[] = {{"f32", kFloat}, {"f64", kDouble}};

// What normal numbers may differ by: the last places of log, cos and sin.
Tolerance normal_tolerance(ScalarType dtype) {
  if (dtype == kDouble) return {2e-15, 2e-15};
  if (dtype == kFloat) return {1e-6, 1e-6};
  return {dtype == kHalf ? 1e-3 : 8e-3, 1e-6};
}

// Compares calls with the golden file, and knows in the end which cases were never called.
class Comparison {
 public:
  void expect(const std::string& name, uint64_t seed, Tolerance allowed,
              const std::function<Tensors()>& call) {
    INFO(name);
    waiting_.erase(name);
    manual_seed(seed);
    const Tensors got = call(), wanted = golden_.list(name, "");
    REQUIRE(got.size() == wanted.size());
    for (size_t i = 0; i < got.size(); ++i) {
      INFO("tensor " << i);
      CHECK(tarn::testing::difference(got[i], wanted[i], allowed) == "");
    }
  }
  // The same for a call that gives one tensor.
  template <typename F>
  void expect_one(const std::string& name, uint64_t seed, Tolerance allowed, F call) {
    expect(name, seed, allowed, [&] { return Tensors{call()}; });
  }
  const std::set<std::string>& waiting() const { return waiting_; }

 private:
  Golden golden_{"random.safetensors"};
  std::set<std::string> waiting_ = [this] {
    const auto names = golden_.cases();
    return std::set<std::string>(names.begin(), names.end());
  }();
};

void compare_lengths(Comparison& c) {
  for (const auto& [tag, type] : kFloats) {
    const ScalarType dtype = type;
    for (const int64_t size : {1, 2, 7, 15, 16, 17, 24, 31, 32, 33, 100}) {
      const std::string end = std::string(".") + tag + "." + std::to_string(size);
      c.expect_one("rand" + end, 0, kSame, [=] { return tarn::rand({size}, dtype); });
      c.expect_one("randn" + end, 0, normal_tolerance(dtype),
                   [=] { return tarn::randn({size}, dtype); });
    }
  }
  const std::pair<const char*, ScalarType> halves[] = {{"f16", kHalf}, {"bf16", kBFloat16}};
  for (const auto& [tag, type] : halves) {
    const ScalarType dtype = type;
    const std::string end = std::string(".") + tag;
    c.expect_one("rand" + end, 10, kSame, [=] { return tarn::rand({20}, dtype); });
    for (const int64_t size : {7, 20}) {
      c.expect_one("randn" + end + "." + std::to_string(size), 10, normal_tolerance(dtype),
                   [=] { return tarn::randn({size}, dtype); });
    }
  }
}

void compare_streams(Comparison& c) {
  for (const uint64_t seed : {uint64_t{1}, uint64_t{42}, uint64_t{123456789}, uint64_t{4294967295},
                              uint64_t{4294967301}, uint64_t{9223372036854775807}}) {
    c.expect_one("rand.seed." + std::to_string(seed), seed, kSame, [] { return tarn::rand({4}); });
  }
  const Tolerance normal = normal_tolerance(kFloat);
  c.expect_one("rand.long", 5, kSame, [] { return tarn::rand({2000}).narrow(0, 1992, 8); });
  c.expect_one("randn.long", 5, normal, [] { return tarn::randn({2003}).narrow(0, 1983, 20); });
  c.expect("sequence", 4, normal, [] {
    Tensors drawn;
    drawn.push_back(tarn::randn({3}));
    drawn.push_back(tarn::rand({2}));
    drawn.push_back(tarn::randn({2}));
    drawn.push_back(tarn::randn({20}));
    drawn.push_back(tarn::randn({1}));
    drawn.push_back(tarn::rand({1}));
    return drawn;
  });
}

void compare_in_place(Comparison& c) {
  using tarn::empty;
  using tarn::zeros;
  for (const auto& [tag, type] : kFloats) {
    const ScalarType dtype = type;
    const Tolerance normal = normal_tolerance(dtype);
    const auto draw = [&, end = std::string(".") + tag](const char* name, uint64_t seed,
                                                        Tolerance allowed, auto call) {
      c.expect_one(name + end, seed, allowed, call);
    };
    draw("uniform_", 1, kSame, [=] { return empty({5, 3}, dtype).uniform_(-3, 7); });
    draw("normal_", 1, normal, [=] { return empty({3, 3}, dtype).normal_(2, 0.5); });
    draw("normal_.large", 1, {normal.relative, 3 * normal.absolute}, [=] {
      return empty({6, 7}, dtype).normal_(-1, 3);
    });
    draw("bernoulli_", 2, kSame, [=] { return empty({50}, dtype).bernoulli_(0.3); });
    draw("normal_.transposed", 3, normal, [=] { return zeros({6, 5}, dtype).t().normal_(); });
    draw("uniform_.transposed", 3, kSame, [=] { return zeros({6, 5}, dtype).t().uniform_(); });
  }
  c.expect_one("bernoulli_.bool", 8, kSame, [] { return empty({40}, kBool).bernoulli_(0.5); });
}

void compare_integers(Comparison& c) {
  constexpr int64_t one = 1;
  const std::pair<int64_t, int64_t> ranges[] = {{0, 2},
                                                {0, 10},
                                                {-5, 5},
                                                {0, 1000003},
                                                {0, (one << 32) - 1},
                                                {0, one << 33},
                                                {-(one << 62), one << 62}};
  for (const auto& range : ranges) {
    const int64_t low = range.first, high = range.second;
    c.expect_one("randint." + std::to_string(low) + "." + std::to_string(high), 6, kSame,
                 [=] { return tarn::randint(low, high, {20}); });
  }
  c.expect_one("randint.f32", 6, kSame, [] { return tarn::randint(0, 100, {20}, kFloat); });
  for (const int64_t size : {1, 2, 10, 100}) {
    c.expect_one("randperm." + std::to_string(size), 7, kSame,
                 [=] { return tarn::randperm(size); });
  }
}

void compare_layers(Comparison& c) {
  namespace F = nn::functional;
  c.expect_one("dropout", 9, {1e-7, 0}, [] {
    return F::dropout(tarn::ones({6, 7}), F::DropoutFuncOptions().p(0.4));
  });
  c.expect_one("dropout.f64", 9, {1e-15, 0}, [] {
    return F::dropout(tarn::ones({6, 7}, kDouble), F::DropoutFuncOptions().p(0.1));
  });
  const auto linear = [](int64_t in, int64_t out) {
    const nn::Linear layer(in, out);
    return Tensors{layer->weight, layer->bias};
  };
  c.expect("linear.20.256", 0, kSame, [&] { return linear(20, 256); });
  c.expect("linear.256.10", 0, kSame, [&] {
    const Tensors all = linear(256, 10);
    return Tensors{all[0].narrow(0, 8, 2), all[1].narrow(0, 8, 2)};
  });
  c.expect("mlp.output", 0, kSame, [&] {
    linear(20, 256);
    return linear(256, 10);
  });
  c.expect_one("linear.no_bias", 11, kSame,
               [] { return nn::Linear(nn::LinearOptions(5, 3).bias(false))->weight; });
}

void compare_init(Comparison& c) {
  namespace init = nn::init;
  using Fill = std::function<Tensor(const Tensor&)>;
  const std::pair<const char*, Fill> fills[] = {
      {"uniform_", [](auto& x) { return init::uniform_(x, -1, 2); }},
      {"normal_", [](auto& x) { return init::normal_(x, 1, 0.25); }},
      {"constant_", [](auto& x) { return init::constant_(x, 0.3); }},
      {"ones_", [](auto& x) { return init::ones_(x); }},
      {"zeros_", [](auto& x) { return init::zeros_(x); }},
      {"eye_", [](auto& x) { return init::eye_(x); }},
      {"kaiming_uniform_", [](auto& x) { return init::kaiming_uniform_(x); }},
      {"kaiming_uniform_.relu",
       [](auto& x) { return init::kaiming_uniform_(x, 0, kFanOut, kReLU); }},
      {"kaiming_normal_", [](auto& x) { return init::kaiming_normal_(x); }},
      {"kaiming_normal_.tanh",
       [](auto& x) { return init::kaiming_normal_(x, 0.1, kFanOut, kTanh); }},
      {"xavier_uniform_", [](auto& x) { return init::xavier_uniform_(x); }},
      {"xavier_normal_", [](auto& x) { return init::xavier_normal_(x, 1.5); }},
      {"orthogonal_", [](auto& x) { return init::orthogonal_(x); }},
  };
  for (const auto& [name, fill] : fills) {
    for (const auto& [tag, dtype] : kFloats) {
      c.expect_one(std::string("init.") + name + "." + tag, 12, normal_tolerance(dtype),
                   [&, f = &fill, d = dtype] {
                     return (*f)(tarn::empty({4, 6}, d));
                   });
    }
  }
  c.expect_one("init.orthogonal_.tall", 12, {1e-13, 1e-13}, [] {
    return init::orthogonal_(tarn::empty({6, 4}, kDouble));
  });
  c.expect_one("init.kaiming_uniform_.conv", 12, normal_tolerance(kFloat), [] {
    return init::kaiming_uniform_(tarn::empty({3, 2, 2, 2}));
  });
  c.expect_one("init.dirac_", 12, kSame, [] { return init::dirac_(tarn::empty({4, 3, 3, 3})); });
  c.expect_one("init.gain", 0, {1e-15, 0}, [] {
    return tensor(
        {init::calculate_gain(kLinear), init::calculate_gain(kConv2D),
         init::calculate_gain(kSigmoid), init::calculate_gain(kTanh), init::calculate_gain(kReLU),
         init::calculate_gain(kLeakyReLU), init::calculate_gain(kLeakyReLU, 0.2)},
        kDouble);
  });
}

}  // namespace

TEST_CASE("random numbers and initial parameters are PyTorch's under the same seed") {
  Comparison comparison;
  compare_lengths(comparison);
  compare_streams(comparison);
  compare_in_place(comparison);
  compare_integers(comparison);
  compare_layers(comparison);
  compare_init(comparison);
  for (const std::string& name : comparison.waiting()) FAIL_CHECK(name << " was never compared");
}
