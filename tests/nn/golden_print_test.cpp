// Tensors, values and modules print as libtorch prints them (tests/golden/print_cases.h).
#include <string>

#include <tarn/tarn.h>

namespace api = tarn;
#include "tarn/tests/golden/print_cases.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/golden.h"

namespace {

std::string without(std::string text, const std::string& part) {
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at)) {
    text.erase(at, part.size());
  }
  return text;
}

}  // namespace

TEST_CASE("tensors, values and modules print as libtorch prints them") {
  const PrintCases wanted = tarn::testing::read_text_cases("print.txt");
  const PrintCases got = print_cases();
  REQUIRE(got.size() == wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    INFO(wanted[i].first);
    CHECK(got[i].first == wanted[i].first);
    CHECK(without(got[i].second, "tarn::") == without(wanted[i].second, "torch::"));
  }
}
