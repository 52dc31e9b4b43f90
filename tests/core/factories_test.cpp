#include <cmath>
#include <limits>
#include <numeric>

#include "tarn/core/autograd.h"
#include "tarn/core/factories.h"
#include "tarn/core/functions.h"
#include "tarn/core/random.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/tensors.h"

using namespace tarn;
using tarn::testing::elements;

namespace {

using Longs = std::vector<int64_t>;
using Floats = std::vector<float>;
using Doubles = std::vector<double>;

struct DefaultDtype {
  explicit DefaultDtype(ScalarType dtype) { set_default_dtype(dtype); }
  ~DefaultDtype() { set_default_dtype(kFloat); }
};

}  // namespace

TEST_CASE("filled tensors have the asked shape, value, dtype and requires_grad") {
  CHECK(elements<float>(zeros({2, 3})) == Floats(6, 0));
  CHECK(zeros({2, 3}).sizes().vec() == Longs{2, 3});
  CHECK(elements<double>(ones(4, kDouble)) == Doubles(4, 1));
  CHECK(ones({}).dim() == 0);
  CHECK(empty({0, 5}).numel() == 0);
  CHECK(empty(std::vector<int64_t>{2, 2}, kHalf).dtype() == kHalf);
  const Tensor leaf = zeros({2}, dtype(kDouble).requires_grad(true));
  CHECK(leaf.requires_grad());
  CHECK(leaf.is_leaf());
  CHECK_FALSE(zeros({2}).requires_grad());
}

TEST_CASE("full takes its dtype from the value unless told") {
  CHECK(full({2}, 3).dtype() == kLong);
  CHECK(full({2}, true).dtype() == kBool);
  CHECK(full({2}, 1.5).dtype() == kFloat);
  CHECK(elements<int32_t>(full({2}, 7.9, kInt)) == std::vector<int32_t>{7, 7});
  CHECK(elements<float>(full({}, 2.5)) == Floats{2.5f});
  CHECK(scalar_tensor(3).dtype() == kFloat);
  CHECK_THROWS_WITH_TEXT(full({2}, 300, kByte), "cannot be converted");
}

TEST_CASE("a tensor that cannot exist is refused before anything is allocated") {
  CHECK_THROWS_WITH_TEXT(zeros({-1, 2}),
                         "Trying to create tensor with negative dimension -1: [-1, 2]");
  CHECK_THROWS_WITH_TEXT(empty({int64_t{1} << 40, int64_t{1} << 40}),
                         "more bytes than can be counted");
  CHECK_THROWS_WITH_TEXT(empty({0, int64_t{1} << 40, int64_t{1} << 40}),
                         "more bytes than can be counted");
  CHECK_THROWS_WITH_TEXT(empty({int64_t{1} << 60}, kDouble), "more bytes than can be counted");
  CHECK_THROWS_AS(tarn::empty(std::vector<int64_t>(65, 1)), Error);
  CHECK_THROWS_WITH_TEXT(ones({2}, dtype(kLong).requires_grad(true)),
                         "Only Tensors of floating point");
  CHECK(tarn::empty(std::vector<int64_t>(64, 1)).dim() == 64);
}

TEST_CASE("the default dtype rules tensors of floating-point numbers only") {
  const DefaultDtype guard(kDouble);
  CHECK(zeros({1}).dtype() == kDouble);
  CHECK(tensor({1.5}).dtype() == kDouble);
  CHECK(tensor({1}).dtype() == kLong);
  CHECK(arange(2.0).dtype() == kDouble);
  CHECK(full({1}, 1.5).dtype() == kDouble);
  CHECK_THROWS_AS(set_default_dtype(kLong), TypeError);
  CHECK(get_default_dtype() == kDouble);
}

TEST_CASE("eye has ones on its diagonal") {
  CHECK(elements<float>(eye(2)) == Floats{1, 0, 0, 1});
  CHECK(elements<int64_t>(eye(2, 3, kLong)) == Longs{1, 0, 0, 0, 1, 0});
  CHECK(elements<int64_t>(eye(3, 2, kLong)) == Longs{1, 0, 0, 1, 0, 0});
  CHECK(eye(0).sizes().vec() == Longs{0, 0});
  CHECK(eye(1, 3).is_contiguous());
}

TEST_CASE("arange counts like PyTorch") {
  CHECK(elements<int64_t>(arange(4)) == Longs{0, 1, 2, 3});
  CHECK(elements<int64_t>(arange(2, 5)) == Longs{2, 3, 4});
  CHECK(elements<int64_t>(arange(10, 0, -3)) == Longs{10, 7, 4, 1});
  CHECK(elements<float>(arange(0, 1, 0.25)) == Floats{0, 0.25f, 0.5f, 0.75f});
  CHECK(arange(0, 1, 0.1).numel() == 10);
  CHECK(elements<double>(arange(3, kDouble)) == Doubles{0, 1, 2});
  CHECK(arange(0).numel() == 0);
  CHECK(arange(5, 5).numel() == 0);
  CHECK(elements<int64_t>(arange(0, 5, 1.5, kLong)) == Longs{0, 1, 2, 3, 4});
  CHECK(elements<int32_t>(arange(0, 5, 1.5, kInt)) == std::vector<int32_t>{0, 1, 2, 3});
  const int64_t large = (int64_t{1} << 60) + 1;
  CHECK(elements<int64_t>(arange(large, large + 5, 2)) == Longs{large, large + 2, large + 4});
  CHECK(arange(3, dtype(kFloat).requires_grad(true)).requires_grad());
}

TEST_CASE("arange refuses a step that does not lead to the end") {
  CHECK_THROWS_WITH_TEXT(arange(10, 0), "upper bound and lower bound inconsistent with step sign");
  CHECK_THROWS_WITH_TEXT(arange(0, 5, -1), "inconsistent with step sign");
  CHECK_THROWS_WITH_TEXT(arange(0, 5, 0), "step must be nonzero");
  CHECK_THROWS_WITH_TEXT(arange(0, 5, 0.5, kLong), "step must be nonzero");
  CHECK_THROWS_WITH_TEXT(arange(0.0, std::numeric_limits<double>::infinity()), "unsupported range");
  CHECK_THROWS_WITH_TEXT(arange(0.0, 1.0, std::nan("")), "step must be nonzero");
  CHECK_THROWS_WITH_TEXT(arange(0.0, 1e300, 1e-300), "possible overflow");
  CHECK_THROWS_AS(arange(0, 2, kBool), TypeError);
}

TEST_CASE("linspace includes both ends") {
  CHECK(elements<float>(linspace(0, 1, 5)) == Floats{0, 0.25f, 0.5f, 0.75f, 1});
  CHECK(elements<float>(linspace(3, -3, 3)) == Floats{3, 0, -3});
  CHECK(elements<int64_t>(linspace(0, 10, 4, kLong)) == Longs{0, 3, 6, 10});
  CHECK(elements<float>(linspace(2, 5, 1)) == Floats{2});
  CHECK(linspace(0, 1, 0).numel() == 0);
  for (int64_t n : {3, 38, 1001}) {  // 0.1 + 37 * step is not 0.7
    CHECK(linspace(0.1, 0.7, n, kDouble)[-1].item<double>() == 0.7);
  }
  CHECK_THROWS_WITH_TEXT(linspace(0, 1, -1), "number of steps must be non-negative");
}

TEST_CASE("tensor takes numbers, nested lists and vectors") {
  CHECK(tensor(2.5).dim() == 0);
  CHECK(tensor(2.5).item<float>() == 2.5f);
  CHECK(tensor(7).dtype() == kLong);
  CHECK(tensor(true).dtype() == kBool);
  CHECK(elements<int64_t>(tensor({1, 2, 3})) == Longs{1, 2, 3});
  CHECK(elements<float>(tensor({{1.0, 2.0}, {3.0, 4.0}})) == Floats{1, 2, 3, 4});
  CHECK(tensor({{1.0, 2.0}, {3.0, 4.0}}).sizes().vec() == Longs{2, 2});
  CHECK(tensor({{1}}).sizes().vec() == Longs{1, 1});
  CHECK(tensor({}).sizes().vec() == Longs{0});
  CHECK(tensor({}).dtype() == kFloat);
  CHECK(tensor({{}, {}}).sizes().vec() == Longs{2, 0});
  CHECK(tensor({{{{{{{{{{1, 2}}}}}}}}}}).sizes().vec() == Longs{1, 1, 1, 1, 1, 1, 1, 1, 1, 2});
  CHECK(elements<bool>(tensor({true, false})) == std::vector<bool>{true, false});
  CHECK(tensor({1.5, 2.0}, kLong).dtype() == kLong);
  CHECK(elements<double>(tensor({1, 2}, kDouble)) == Doubles{1, 2});
  CHECK(tensor({1.5}, requires_grad()).requires_grad());
  CHECK(tensor({int8_t{1}}).dtype() == kChar);
}

TEST_CASE("tensor copies vectors and array references") {
  CHECK(tensor(std::vector<int>{1, 2}).dtype() == kLong);
  CHECK(tensor(std::vector<double>{1, 2}).dtype() == kFloat);
  CHECK(tensor(std::vector<float>{1, 2}, kDouble).dtype() == kDouble);
  CHECK(tensor(std::vector<bool>{true, false}).dtype() == kBool);
  CHECK(tensor(std::vector<float>{}).sizes().vec() == Longs{0});
  std::vector<int64_t> values{4, 5};
  const Tensor copy = tensor(IntArrayRef(values));
  values[0] = 9;
  CHECK(elements<int64_t>(copy) == Longs{4, 5});
}

TEST_CASE("tensor names the part of a list that does not fit") {
  CHECK_THROWS_WITH_TEXT(
      tensor({{{1, 2}, {3, 4}}, {{5, 6}, {7}}}),
      "Expected all sub-lists to have sizes: 2 (e.g. {5, 6}), but got sub-list {7} with sizes: 1");
  CHECK_THROWS_WITH_TEXT(tensor({{{1, 2}, {3, 4}}, {{5, 6}}}),
                         "sizes: 2 2 (e.g. {{1, 2}, {3, 4}})");
  CHECK_THROWS_WITH_TEXT(tensor({1, 2.5}),
                         "Expected all elements of the tensor to have the same scalar type: Int, "
                         "but got element of scalar type: Double");
  CHECK_THROWS_WITH_TEXT(tensor({true, 2}),
                         "scalar type: Bool, but got element of scalar type: Int");
  CHECK_THROWS_WITH_TEXT(tensor({300}, kByte), "cannot be converted");
}

TEST_CASE("a data container says what it holds and prints as it was written") {
  using Data = tarn::detail::TensorDataContainer;
  CHECK(str(Data{{1, 2}, {3, 4}}) == "{{1, 2}, {3, 4}}");
  CHECK(str(Data(1.5)) == "1.5");
  CHECK(str(Data()) == "{}");
  CHECK(str(Data{true, false}) == "{1, 0}");
  CHECK(str(Data(std::vector<double>{1.5, 2})) == "{1.5, 2}");
  const Data number(1), list{1, 2}, values(std::vector<int>{1});
  CHECK(number.is_scalar());
  CHECK(list.is_init_list());
  CHECK(values.is_tensor());
  CHECK_THROWS_WITH_TEXT(
      number.init_list(),
      "Can only call `init_list()` on a TensorDataContainer that has `is_init_list() == true`");
  CHECK_THROWS_WITH_TEXT(list.tensor(), "Can only call `tensor()`");
  CHECK_THROWS_WITH_TEXT(values.scalar(), "Can only call `scalar()`");
}

TEST_CASE("from_blob shares the caller's memory and gives it back once") {
  std::vector<float> data{1, 2, 3, 4, 5, 6};
  const Tensor x = from_blob(data.data(), {2, 3});
  CHECK(x.data_ptr() == data.data());
  data[5] = 60;
  CHECK(x[1][2].item<float>() == 60);
  CHECK(elements<float>(from_blob(data.data(), {2, 2}, {1, 3})) == Floats{1, 4, 2, 5});

  int calls = 0;
  void* given_back = nullptr;
  {
    Tensor owner = from_blob(data.data(), {6}, [&](void* p) {
      ++calls;
      given_back = p;
    });
    const Tensor view = owner.slice(0, 2, 4);
    owner.reset();
    CHECK(calls == 0);
    CHECK(view[0].item<float>() == 3);
  }
  CHECK(calls == 1);
  CHECK(given_back == data.data());
}

TEST_CASE("from_blob refuses what does not describe memory, and leaves it to the caller") {
  int calls = 0;
  float one = 1;
  const auto deleter = [&](void*) { ++calls; };
  CHECK_THROWS_AS(from_blob(&one, {-1}, deleter), Error);
  CHECK_THROWS_AS(from_blob(&one, {1, 1}, {1}, deleter), ShapeError);
  CHECK_THROWS_WITH_TEXT(from_blob(&one, {2}, {-1}, deleter), "Negative strides");
  CHECK_THROWS_WITH_TEXT(from_blob(nullptr, {2}, deleter), "null pointer");
  CHECK_THROWS_AS(from_blob(&one, {1 << 20}, {int64_t{1} << 50}, deleter), Error);
  CHECK(calls == 0);
  CHECK(from_blob(nullptr, {0}).numel() == 0);
}

TEST_CASE("empty_strided reserves up to its last element") {
  const Tensor x = empty_strided({2, 3}, {1, 2}, kDouble);
  CHECK(x.strides().vec() == Longs{1, 2});
  CHECK(x.storage().nbytes() == 48);
  CHECK(empty_strided({2, 3}, {4, 1}).storage().nbytes() == 28);
  CHECK(empty_strided({0, 3}, {3, 1}).storage().nbytes() == 0);
  CHECK(empty_strided({5}, {0}).storage().nbytes() == 4);
  CHECK_THROWS_AS(empty_strided({2}, {1, 1}), ShapeError);
  CHECK_THROWS_AS(empty_strided({2, 2}, {1, -1}), ValueError);
}

TEST_CASE("like-factories keep sizes, dtype and the order of dimensions in memory") {
  const Tensor x = zeros({2, 3, 4}, kDouble).permute({2, 0, 1});
  for (const Tensor& y : {empty_like(x), zeros_like(x), ones_like(x), rand_like(x)}) {
    CHECK(y.sizes().vec() == Longs{4, 2, 3});
    CHECK(y.strides().vec() == Longs{1, 12, 4});
    CHECK(y.dtype() == kDouble);
    CHECK_FALSE(y.is_view());
  }
  CHECK(zeros_like(ones({2, 1}).expand({2, 3})).storage().nbytes() == 24);
  CHECK(elements<double>(ones_like(x)) == Doubles(24, 1));
  CHECK(elements<int64_t>(full_like(x, 3, kLong)) == Longs(24, 3));
  CHECK(randn_like(x).std().item<double>() > 0);
  const Tensor dice = randint_like(x, 1, 7, kLong);
  CHECK(dice.min().item<int64_t>() >= 1);
  CHECK(dice.max().item<int64_t>() <= 6);
  CHECK_FALSE(zeros_like(zeros({2}, requires_grad())).requires_grad());
  CHECK(zeros_like(zeros({2}), requires_grad()).requires_grad());
  CHECK_THROWS_AS(rand_like(arange(3)), TypeError);
}

TEST_CASE("random factories have the asked ranges, dtypes and defaults") {
  manual_seed(1);
  const Tensor u = rand({1000});
  CHECK(u.min().item<float>() >= 0);
  CHECK(u.max().item<float>() < 1);
  CHECK(u.mean().item<float>() == Approx(0.5).margin(0.05));
  CHECK(randn({1000}, kDouble).mean().item<double>() == Approx(0).margin(0.15));
  CHECK(randint(10, {5}).dtype() == kLong);
  const Tensor bits = randint(-2, 2, {1000}, kInt);
  CHECK(bits.min().item<int>() == -2);
  CHECK(bits.max().item<int>() == 1);
  std::vector<int64_t> order = elements<int64_t>(randperm(100));
  CHECK_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  Longs counting(100);
  std::iota(counting.begin(), counting.end(), 0);
  CHECK(order == counting);
  CHECK(randperm(0).numel() == 0);
  CHECK(randperm(3, kInt).dtype() == kInt);
  CHECK(rand({2}, requires_grad()).requires_grad());
  CHECK(rand({0}).numel() == 0);
}

TEST_CASE("random factories refuse dtypes and ranges that cannot be") {
  CHECK_THROWS_AS(rand({2}, kLong), TypeError);
  CHECK_THROWS_AS(randn({2}, kBool), TypeError);
  CHECK_THROWS_WITH_TEXT(randint(5, 5, {2}),
                         "random_ expects 'from' to be less than 'to', but got from=5 >= to=5");
  CHECK_THROWS_WITH_TEXT(randint(0, 300, {2}, kByte), "to - 1 is out of bounds");
  CHECK_THROWS_WITH_TEXT(randint(-1, 3, {2}, kByte), "from is out of bounds");
  CHECK_THROWS_WITH_TEXT(randperm(-1), "n must be non-negative");
  CHECK_THROWS_AS(randperm(300, kByte), ValueError);
}
