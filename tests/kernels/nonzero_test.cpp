#include <limits>

#include "tarn/tests/kernels/array.h"

namespace tarn::testing {
namespace {

TEST_CASE("count_nonzero and nonzero list elements in row-major order in every layout") {
  for_each_device([] {
    for (const ScalarType type : kAllTypes) {
      for (const Layout layout : kAllLayouts) {
        if (!is_worthwhile(layout, Layout::kContiguous, type)) continue;
        for (const auto& shape : test_shapes()) {
          Array x(type, shape, layout);
          x.fill_with([](int64_t i) { return (i * 5) % 7 < 3 ? 0 : i % 2 + 1; });
          std::vector<double> expected;
          int64_t count = 0;
          for (int64_t i = 0; i < x.numel(); ++i) {
            if (x.get(i) == 0) continue;
            ++count;
            int64_t rest = i;
            const size_t start = expected.size();
            for (size_t d = shape.size(); d-- > 0;) {
              expected.insert(expected.begin() + static_cast<std::ptrdiff_t>(start),
                              static_cast<double>(rest % shape[d]));
              rest /= shape[d];
            }
          }
          REQUIRE(tested().count_nonzero(x.view()) == count);
          for (const Layout out_layout : kWritableLayouts) {
            if (!is_worthwhile(layout, out_layout, type)) continue;
            Array out(kLong, {count, static_cast<int64_t>(shape.size())}, out_layout);
            tested().nonzero(out.view(), x.view());
            REQUIRE(out.values() == expected);
            REQUIRE(out.guards_intact());
          }
        }
      }
    }
  });
}

TEST_CASE("negative zero is zero and NaN is not, and every byte of a mask counts") {
  for_each_device([] {
    for (const ScalarType type : kFloatTypes) {
      Array x(type, {4}, {-0.0, 0.0, std::numeric_limits<double>::quiet_NaN(), -1});
      CHECK(tested().count_nonzero(x.view()) == 2);
      Array out(kLong, {2, 1});
      tested().nonzero(out.view(), x.view());
      CHECK(out.values() == std::vector<double>{2, 3});
    }
    const WithThreads threads(3);
    for (const ScalarType type : {kByte, kBool, kShort, kFloat}) {
      const int64_t n = on_cpu_or_gpu(100003, 20003);
      Array ones(type, {n});
      ones.fill_with([](int64_t) { return 1; });
      CHECK(tested().count_nonzero(ones.view()) == n);
    }
  });
}

}  // namespace
}  // namespace tarn::testing
