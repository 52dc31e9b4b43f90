// The comparison with golden data can fail: each kind of wrong result is planted and found.
#include <cmath>
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

// The failures among the cases of "square" when f stands for it.
template <typename F>
std::vector<std::string> failures_of_square(F f) {
  Operations ops;
  ops["square"] = operation(f);
  std::vector<std::string> found;
  for (const std::string& line : compare_all(Golden("pointwise.safetensors"), ops)) {
    if (line.rfind("square.", 0) == 0 || line.find("no case") != std::string::npos) {
      found.push_back(line);
    }
  }
  return found;
}

}  // namespace

TEST_CASE("a difference in dtype, shape, value, NaN or infinity is found") {
  const Tensor x = tensor({1.0, 2.0, std::nan(""), INFINITY}, kDouble);
  CHECK(difference(x.clone(), x) == "");
  CHECK_THAT(difference(x.to(kFloat), x), Catch::Contains("dtype"));
  CHECK_THAT(difference(x.reshape({2, 2}), x), Catch::Contains("shape"));
  CHECK_THAT(difference(x * 1.001, x), Catch::Contains("2 of 4 elements; element 1"));
  CHECK_THAT(difference(tensor({1.0, 2.0, 3.0, INFINITY}, kDouble), x),
             Catch::Contains("element 2"));
  CHECK_THAT(difference(tensor({1.0, NAN, NAN, INFINITY}, kDouble), x),
             Catch::Contains("element 1"));
  CHECK_THAT(difference(tensor({1.0, 2.0, NAN, -INFINITY}, kDouble), x),
             Catch::Contains("element 3"));
  CHECK_THAT(difference(tensor({1.0, 2.0, NAN, 1e300}, kDouble), x), Catch::Contains("element 3"));
  CHECK(difference(Tensor(), x) == "an undefined tensor");
}

TEST_CASE("a wrong result, a wrong gradient and an exception are each reported") {
  CHECK(failures_of_square([](const Tensor& x) { return x * x; }).empty());
  const auto wrong = failures_of_square([](const Tensor& x) { return x * x + 1e-4; });
  REQUIRE(!wrong.empty());
  CHECK_THAT(wrong[0], Catch::Contains("square.f32: result 0"));
  const auto gradient = failures_of_square([](const Tensor& x) { return x.detach() * x; });
  REQUIRE(gradient.size() == 2);
  CHECK_THAT(gradient[0], Catch::Contains("square.f32: gradient 0"));
  const auto thrown = failures_of_square([](const Tensor& x) { return x.reshape({1000}); });
  REQUIRE(!thrown.empty());
  CHECK_THAT(thrown[0], Catch::Contains("square.f32: threw"));
}

TEST_CASE("an operation without a case and a case without an operation are reported") {
  Operations ops;
  ops["no such operation"] = operation([](const Tensor& x) { return x; });
  const auto failures = compare_all(Golden("pointwise.safetensors"), ops);
  REQUIRE(failures.size() > 100);
  CHECK(failures.front().find(": no operation") != std::string::npos);
  CHECK(failures.back() == "no such operation: no case");
  CHECK_THROWS_WITH_TEXT(Golden("pointwise.safetensors")["square.f64/x9"], "has no square.f64/x9");
}
