// The texts are libtorch 2.13's.
#include <limits>
#include <sstream>

#include "tarn/core/factories.h"
#include "tarn/core/print.h"
#include "tarn/tests/support/catch.h"

using namespace tarn;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity(),
                 kNan = std::numeric_limits<double>::quiet_NaN();

Tensor doubles(const std::vector<double>& values) { return tensor(values, kDouble); }

}  // namespace

TEST_CASE("vectors print one element a line with four digits after the point") {
  CHECK(str(tensor({1.5, -2.25, 3.0})) == " 1.5000\n-2.2500\n 3.0000\n[ CPUFloatType{3} ]");
  CHECK(str(doubles({0.5, 10.25, 999})) == "   0.5000\n  10.2500\n 999.0000\n[ CPUDoubleType{3} ]");
  CHECK(str(doubles({-0.5, -300.25})) == "  -0.5000\n-300.2500\n[ CPUDoubleType{2} ]");
}

TEST_CASE("whole numbers print without a point") {
  CHECK(str(arange(3)) == " 0\n 1\n 2\n[ CPULongType{3} ]");
  CHECK(str(tensor({-1, 20, 300})) == "  -1\n  20\n 300\n[ CPULongType{3} ]");
  CHECK(str(tensor({true, false})) == " 1\n 0\n[ CPUBoolType{2} ]");
  CHECK(str(doubles({1234567, 1})) == "1.23457e+06\n       1\n[ CPUDoubleType{2} ]");
  CHECK(str(tensor({int64_t{1} << 40, int64_t{-1}})) ==
        " 1.0995e+12\n-1.0000e+00\n[ CPULongType{2} ]");
}

TEST_CASE("a common power of ten is printed once") {
  CHECK(str(doubles({1e-3, 2e-3})) == "0.001 *\n 1.0000\n 2.0000\n[ CPUDoubleType{2} ]");
  CHECK(str(doubles({1.5e9 + 0.5, 1e9})) == "1000000000 *\n 1.5000\n 1.0000\n[ CPUDoubleType{2} ]");
  CHECK(str(doubles({123456.5, 2.5e5})) == "100000 *\n 1.2346\n 2.5000\n[ CPUDoubleType{2} ]");
  CHECK(str(doubles({123456.5, 2.5e5, 1.5e5, 1e5}).reshape({2, 2})) ==
        "100000 *\n 1.2346  2.5000\n  1.5000  1.0000\n[ CPUDoubleType{2,2} ]");
}

TEST_CASE("numbers of very different size print with exponents") {
  CHECK(str(doubles({1e-8, 1e8})) == " 1.0000e-08\n 1.0000e+08\n[ CPUDoubleType{2} ]");
  CHECK(str(doubles({1e200, 1e-200})) == " 1.0000e+200\n 1.0000e-200\n[ CPUDoubleType{2} ]");
  CHECK(str(doubles({1e200, 1e150})) == "1.0000e+200\n1.0000e+150\n[ CPUDoubleType{2} ]");
}

TEST_CASE("NaN and infinities print as such") {
  CHECK(str(doubles({kNan, 1})) == "nan\n 1\n[ CPUDoubleType{2} ]");
  CHECK(str(doubles({kInf, -kInf, 1.5})) == "    inf\n   -inf\n 1.5000\n[ CPUDoubleType{3} ]");
  CHECK(str(doubles({kNan, kInf})) == "nan\ninf\n[ CPUDoubleType{2} ]");
}

TEST_CASE("0-dim tensors print the shortest text that is their number") {
  CHECK(str(tensor(1.5)) == "1.5\n[ CPUFloatType{} ]");
  CHECK(str(ones({}).div(3)) == "0.3333333432674408\n[ CPUFloatType{} ]");
  CHECK(str(tensor(7)) == "7\n[ CPULongType{} ]");
  CHECK(str(tensor(1e15, kDouble)) == "1000000000000000\n[ CPUDoubleType{} ]");
  CHECK(str(tensor(1e16, kDouble)) == "1e+16\n[ CPUDoubleType{} ]");
  CHECK(str(tensor(1e-4, kDouble)) == "0.0001\n[ CPUDoubleType{} ]");
  CHECK(str(tensor(1e-5, kDouble)) == "1e-05\n[ CPUDoubleType{} ]");
  CHECK(str(tensor(kNan)) == "nan\n[ CPUFloatType{} ]");
}

TEST_CASE("empty and undefined tensors print their type alone") {
  CHECK(str(empty({0})) == "[ CPUFloatType{0} ]");
  CHECK(str(empty({2, 0, 3}, kLong)) == "[ CPULongType{2,0,3} ]");
  CHECK(str(Tensor()) == "[ Tensor (undefined) ]");
}

TEST_CASE("matrices wider than 80 columns are split") {
  const std::string text = str(arange(80).reshape({2, 40}));
  CHECK(text.rfind("Columns 1 to 20  0   1 ", 0) == 0);
  CHECK(text.find("\n\nColumns 21 to 40 20  21 ") != std::string::npos);
  std::ostringstream narrow;
  print(narrow, arange(6).reshape({2, 3}), 6);
  CHECK(narrow.str() == "Columns 1 to 2 0  1\n 3  4\n\nColumns 3 to 3 2\n 5\n[ CPULongType{2,3} ]");
  std::ostringstream tiny;
  print(tiny, arange(2).reshape({1, 2}), 1);
  CHECK(tiny.str() == "Columns 1 to 1 0\n\nColumns 2 to 2 1\n[ CPULongType{1,2} ]");
}

TEST_CASE("higher dimensions print matrix by matrix, the first dimension fastest") {
  CHECK(str(arange(16).reshape({2, 2, 2, 2})) ==
        "(1,1,.,.) = \n 0  1\n  2  3\n\n(2,1,.,.) = \n  8   9\n  10  11\n\n"
        "(1,2,.,.) = \n 4  5\n  6  7\n\n(2,2,.,.) = \n 12  13\n  14  15\n[ CPULongType{2,2,2,2} ]");
  CHECK(str(doubles({.001, .002, .003, .0015}).reshape({1, 2, 2})) ==
        "(1,.,.) = \n0.001 *\n  1.0000  2.0000\n   3.0000  1.5000\n[ CPUDoubleType{1,2,2} ]");
}

TEST_CASE("printing follows strides, leaves the stream alone and needs no gradient") {
  std::ostringstream os;
  os << std::hex << arange(6).reshape({2, 3}).t() << ' ' << 255;
  CHECK(os.str() == " 0  3\n 1  4\n 2  5\n[ CPULongType{3,2} ] ff");
  CHECK(str(ones({2}, requires_grad())) == " 1\n 1\n[ CPUFloatType{2} ]");
}

TEST_CASE("toString names place and dtype") {
  CHECK(ones({2}).toString() == "CPUFloatType");
  CHECK(ones({2}, kBFloat16).toString() == "CPUBFloat16Type");
  CHECK(Tensor().toString() == "UndefinedType");
}
