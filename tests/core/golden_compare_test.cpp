// The comparison with golden data can fail: each kind of wrong result is planted and found.
#include <limits>
#include <string>
#include <vector>

#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/golden.h"

namespace {

using namespace tarn;
using tarn::testing::compare_all;
using tarn::testing::difference;
using tarn::testing::Golden;
using tarn::testing::operation;
using tarn::testing::Operations;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

// The failures among the cases of "square" when f stands for it.
template <typename F>
std::vector<std::string> failures_of_square(F f) {
  Operations ops;
  ops["square"] = operation(f);
  std::vector<std::string> found;
  for (const std::string& line : compare_all(Golden("pointwise.safetensors"), ops)) {
    if (line.rfind("square.", 0) == 0 || contains(line, "no case")) {
      found.push_back(line);
    }
  }
  return found;
}

}  // namespace

TEST_CASE("a difference in dtype, shape, value, NaN or infinity is found") {
  const Tensor x = tensor({1.0, 2.0, kNan, kInf}, kDouble);
  CHECK(difference(x.clone(), x) == "");
  CHECK(contains(difference(x.to(kFloat), x), "dtype"));
  CHECK(contains(difference(x.reshape({2, 2}), x), "shape"));
  CHECK(contains(difference(x * 1.001, x), "2 of 4 elements; element 1"));
  CHECK(contains(difference(tensor({1.0, 2.0, 3.0, kInf}, kDouble), x), "element 2"));
  CHECK(contains(difference(tensor({1.0, kNan, kNan, kInf}, kDouble), x), "element 1"));
  CHECK(contains(difference(tensor({1.0, 2.0, kNan, -kInf}, kDouble), x), "element 3"));
  CHECK(contains(difference(tensor({1.0, 2.0, kNan, 1e300}, kDouble), x), "element 3"));
  CHECK(difference(Tensor(), x) == "an undefined tensor");
}

TEST_CASE("a wrong result, a wrong gradient and an exception are each reported") {
  CHECK(failures_of_square([](const Tensor& x) { return x * x; }).empty());
  const auto wrong = failures_of_square([](const Tensor& x) { return x * x + 1e-4; });
  REQUIRE(!wrong.empty());
  CHECK(contains(wrong[0], "square.f32: result 0"));
  const auto gradient = failures_of_square([](const Tensor& x) { return x.detach() * x; });
  REQUIRE(gradient.size() == 2);
  CHECK(contains(gradient[0], "square.f32: gradient 0"));
  const auto thrown = failures_of_square([](const Tensor& x) { return x.reshape({1000}); });
  REQUIRE(!thrown.empty());
  CHECK(contains(thrown[0], "square.f32: threw"));
}

TEST_CASE("an operation without a case and a case without an operation are reported") {
  Operations ops;
  ops["no such operation"] = operation([](const Tensor& x) { return x; });
  const auto failures = compare_all(Golden("pointwise.safetensors"), ops);
  REQUIRE(failures.size() > 100);
  CHECK(contains(failures.front(), ": no operation"));
  CHECK(failures.back() == "no such operation: no case");
  CHECK_THROWS_WITH_TEXT(Golden("pointwise.safetensors")["square.f64/x9"], "has no square.f64/x9");
}
