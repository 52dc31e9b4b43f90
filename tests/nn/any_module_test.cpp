#include "tarn/nn/any_module.h"

#include "tarn/core/random.h"
#include "tarn/nn/nn.h"
#include "tarn/tests/support/catch.h"

using namespace tarn;

namespace {

struct MImpl : nn::Module {
  explicit MImpl(int v) : value(v) {}
  int value;
  int forward(float x, int y) { return value + static_cast<int>(x) + y; }
};
TARN_MODULE(M);

struct Defaults : nn::Module {
  double forward(double a, int b = 2, double c = 3) const noexcept { return a + b + c; }
};
struct Overloaded : nn::Module {
  Tensor forward(const Tensor& x) { return x + 1; }
  Tensor forward(const Tensor& x, const Tensor& y) { return x + y; }
};
struct Nothing : nn::Module {
  std::string forward() { return "nothing"; }
};
struct Changes : nn::Module {
  Tensor forward(Tensor& x) { return x.add_(1); }
};

}  // namespace

TEST_CASE("an AnyModule forwards arguments of the exact types") {
  nn::AnyModule any(M(1));
  CHECK(any.forward<int>(3.7f, 4) == 8);
  CHECK_THROWS_WITH_TEXT(
      any.forward<int>(5.0, 4),
      "Expected argument #0 to be of type float, but received value of type double");
  CHECK_THROWS_WITH_TEXT(any.forward<int>(5.f, 4l),
                         "Expected argument #1 to be of type int, but received value of type long");
  CHECK_THROWS_WITH_TEXT(any.forward<int>(),
                         "MImpl's forward() method expects 2 argument(s), but received 0.");
  CHECK_THROWS_WITH_TEXT(any.forward<float>(5.f, 4),
                         "Attempted to cast AnyValue to float, but its actual type is int");
  CHECK_THROWS_AS(any.forward<int>(5.0, 4), TypeError);
}

TEST_CASE("default arguments of forward() need no declaration") {
  nn::AnyModule any{Defaults()};
  CHECK(any.forward<double>(1.0) == 6);
  CHECK(any.forward<double>(1.0, 5) == 9);
  CHECK(any.forward<double>(1.0, 5, 7.0) == 13);
  CHECK_THROWS_WITH_TEXT(
      any.forward<double>(1.0, 5, 7.0, 9),
      "expects at least 1 argument(s) and at most 3 argument(s), but received 4.");
  CHECK_THROWS_WITH_TEXT(
      any.forward<double>(),
      "expects at least 1 argument(s) and at most 3 argument(s), but received 0.");
  CHECK(nn::AnyModule(Nothing()).forward<std::string>() == "nothing");
}

TEST_CASE("tensors pass whatever their static type") {
  nn::AnyModule any{Overloaded()};
  const Tensor x = ones({2});
  Tensor y = x.clone();
  CHECK(any.forward(x).equal(full({2}, 2.0)));
  CHECK(any.forward(y).equal(full({2}, 2.0)));
  CHECK(any.forward(nn::Parameter(x)).equal(full({2}, 2.0)));
  CHECK_THROWS_WITH_TEXT(any.forward(x, y), "expects 1 argument(s), but received 2");
  CHECK(nn::AnyModule(Changes()).forward(y).equal(full({2}, 2.0)));
  CHECK(nn::AnyModule(nn::MSELoss()).forward(x, full({2}, 4.0)).item<float>() == 9);
}

TEST_CASE("an AnyModule gives its module back in its own type") {
  M m(5);
  nn::AnyModule any(m);
  CHECK(any.get<M>()->value == 5);
  CHECK(&any.get<MImpl>() == m.get());
  CHECK(any.ptr<M>() == m.ptr());
  CHECK(any.ptr().get() == m.get());
  CHECK(any.type_info() == typeid(MImpl));
  CHECK_THROWS_WITH_TEXT(any.get<nn::Linear>(), "Attempted to cast module");
  any = nn::AnyModule(std::make_shared<Nothing>());
  CHECK(any.type_info() == typeid(Nothing));
}

TEST_CASE("an empty AnyModule can only be asked whether it is empty") {
  nn::AnyModule any;
  CHECK(any.is_empty());
  CHECK_THROWS_WITH_TEXT(any.get<M>(), "Cannot call get() on an empty AnyModule");
  CHECK_THROWS_WITH_TEXT(any.ptr<M>(), "Cannot call ptr() on an empty AnyModule");
  CHECK_THROWS_WITH_TEXT(any.ptr(), "Cannot call ptr() on an empty AnyModule");
  CHECK_THROWS_WITH_TEXT(any.type_info(), "Cannot call type_info() on an empty AnyModule");
  CHECK_THROWS_WITH_TEXT(any.forward<int>(5), "Cannot call forward() on an empty AnyModule");
  CHECK_THROWS_WITH_TEXT(any.forward(ones({1})), "Cannot call forward() on an empty AnyModule");
  CHECK_THROWS_WITH_TEXT(any.clone(), "Cannot call clone() on an empty AnyModule");
}

TEST_CASE("an AnyValue holds one value of any type") {
  nn::AnyValue value(5);
  CHECK(value.get<int>() == 5);
  CHECK(*value.try_get<int>() == 5);
  CHECK(value.try_get<float>() == nullptr);
  CHECK(value.type_info() == typeid(int));
  CHECK_THROWS_WITH_TEXT(value.get<float>(),
                         "Attempted to cast AnyValue to float, but its actual type is int");
  CHECK_THROWS_WITH_TEXT(nn::AnyValue(5l).get<float>(),
                         "Attempted to cast AnyValue to float, but its actual type is long");
  CHECK(nn::AnyValue(ones({3})).get<Tensor>().numel() == 3);
}
