// Result dtypes against PyTorch's, over all dtypes of all operands (tests/golden/pointwise.py).
#include <algorithm>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/golden.h"

namespace {

using namespace tarn;
using tarn::testing::Golden;

const Golden& golden() {
  static const Golden file("pointwise.safetensors");
  return file;
}

// The order in which tests/golden/pointwise.py numbers the dtypes.
const ScalarType kDtypes[] = {kByte, kChar,  kShort,  kInt,  kLong,
                              kHalf, kFloat, kDouble, kBool, kBFloat16};

// Walks a table of the golden file: each expect() compares the next entry with the dtype of f().
class Table {
 public:
  explicit Table(const std::string& name)
      : name_(name), entries_(golden()["promotion/" + name].contiguous()) {}
  ~Table() { CHECK(at_ == entries_.numel()); }

  template <typename F>
  void expect(const std::string& operands, F f) {
    int got = -1;
    std::string said;
    try {
      const ScalarType dtype = f().scalar_type();
      got = static_cast<int>(std::find(std::begin(kDtypes), std::end(kDtypes), dtype) - kDtypes);
    } catch (const std::exception& error) {
      said = error.what();
    }
    const int want = entries_.data_ptr<int8_t>()[at_++];
    if (got == want) return;
    FAIL_CHECK(name_ << " of " << operands << " gives " << text(got) << ", not " << text(want)
                     << " " << said);
  }

 private:
  static std::string text(int number) {
    return number < 0 ? "an error" : "dtype number " + std::to_string(number);
  }

  std::string name_;
  Tensor entries_;
  int64_t at_ = 0;
};

std::string name_of(ScalarType dtype) { return tarn::str(dtype); }

}  // namespace

TEST_CASE("operands of two dtypes give PyTorch's result dtype") {
  using Binary = Tensor (*)(const Tensor&, const Tensor&);
  const std::pair<const char*, Binary> ops[] = {
      {"add", [](const Tensor& a, const Tensor& b) { return a + b; }},
      {"sub", [](const Tensor& a, const Tensor& b) { return a - b; }},
      {"mul", [](const Tensor& a, const Tensor& b) { return a * b; }},
      {"div", [](const Tensor& a, const Tensor& b) { return a / b; }},
      {"remainder", [](const Tensor& a, const Tensor& b) { return a.remainder(b); }},
      {"pow", [](const Tensor& a, const Tensor& b) { return a.pow(b); }},
      {"maximum", [](const Tensor& a, const Tensor& b) { return maximum(a, b); }},
      {"lt", [](const Tensor& a, const Tensor& b) { return a < b; }},
      {"bitwise_and", [](const Tensor& a, const Tensor& b) { return a & b; }},
  };
  const std::vector<int64_t> two = {2}, none;
  const std::pair<const char*, std::pair<std::vector<int64_t>, std::vector<int64_t>>> kinds[] = {
      {"dim_dim", {two, two}}, {"dim_zero", {two, none}}, {"zero_zero", {none, none}}};
  for (const auto& [name, op] : ops) {
    for (const auto& [kind, shapes] : kinds) {
      Table table(std::string(name) + "." + kind);
      for (const ScalarType a : kDtypes) {
        for (const ScalarType b : kDtypes) {
          const Tensor x = tarn::ones(shapes.first, a), y = tarn::ones(shapes.second, b);
          table.expect(name_of(a) + ", " + name_of(b), [&, op = op] { return op(x, y); });
        }
      }
    }
  }
}

TEST_CASE("a tensor and a number give PyTorch's result dtype") {
  using WithScalar = Tensor (*)(const Tensor&, const Scalar&);
  const std::pair<const char*, WithScalar> ops[] = {
      {"add", [](const Tensor& a, const Scalar& b) { return a + b; }},
      {"sub", [](const Tensor& a, const Scalar& b) { return a - b; }},
      {"mul", [](const Tensor& a, const Scalar& b) { return a * b; }},
      {"div", [](const Tensor& a, const Scalar& b) { return a / b; }},
      {"remainder", [](const Tensor& a, const Scalar& b) { return a.remainder(b); }},
      {"pow", [](const Tensor& a, const Scalar& b) { return a.pow(b); }},
      {"lt", [](const Tensor& a, const Scalar& b) { return a < b; }},
  };
  const std::pair<const char*, Scalar> scalars[] = {{"int", 2}, {"double", 2.5}, {"bool", true}};
  for (const auto& [name, op] : ops) {
    for (const auto& [kind, scalar] : scalars) {
      Table table(std::string(name) + ".scalar_" + kind);
      for (const ScalarType a : kDtypes) {
        const Tensor x = tarn::ones({2}, a);
        table.expect(name_of(a), [&, op = op, s = scalar] { return op(x, s); });
      }
    }
  }
}

TEST_CASE("operations of one tensor give PyTorch's result dtype") {
  using Unary = Tensor (*)(const Tensor&);
  const std::pair<const char*, Unary> ops[] = {
      {"exp", [](const Tensor& x) { return x.exp(); }},
      {"abs", [](const Tensor& x) { return x.abs(); }},
      {"neg", [](const Tensor& x) { return -x; }},
      {"sqrt", [](const Tensor& x) { return x.sqrt(); }},
      {"relu", [](const Tensor& x) { return x.relu(); }},
      {"sigmoid", [](const Tensor& x) { return x.sigmoid(); }},
      {"square", [](const Tensor& x) { return x.square(); }},
      {"floor", [](const Tensor& x) { return x.floor(); }},
      {"sign", [](const Tensor& x) { return x.sign(); }},
      {"erf", [](const Tensor& x) { return x.erf(); }},
      {"sum", [](const Tensor& x) { return x.sum(); }},
      {"mean", [](const Tensor& x) { return x.mean(); }},
      {"prod", [](const Tensor& x) { return x.prod(); }},
      {"max", [](const Tensor& x) { return x.max(); }},
      {"argmax", [](const Tensor& x) { return x.argmax(); }},
      {"any", [](const Tensor& x) { return x.any(); }},
      {"var", [](const Tensor& x) { return x.var(); }},
      {"norm", [](const Tensor& x) { return x.norm(); }},
      {"cumsum", [](const Tensor& x) { return x.cumsum(0); }},
      {"softmax", [](const Tensor& x) { return x.softmax(0); }},
  };
  for (const auto& [name, op] : ops) {
    Table table(name);
    for (const ScalarType a : kDtypes) {
      const Tensor x = tarn::ones({2}, a);
      table.expect(name_of(a), [&, op = op] { return op(x); });
    }
  }
}
