#include <array>
#include <cmath>

#include "tarn/tests/kernels/array.h"

namespace tarn::testing {
namespace {

ScalarType accumulation_type(ScalarType type) { return is_floating_point(type) ? type : kLong; }

TEST_CASE("cumulative sums and products follow every dimension in every dtype and layout") {
  for_each_device([] {
    for (const ScalarType type : kAllTypes) {
      for (const auto& shape : test_shapes()) {
        for (const Layout layout : kAllLayouts) {
          if (!is_worthwhile(layout, Layout::kContiguous, type)) continue;
          for (const ScanKind kind : {ScanKind::kSum, ScanKind::kProduct}) {
            Array x(type, shape, layout);
            // Sums and products of these are exact in double.
            x.fill_with([&](int64_t i) -> double {
              if (kind == ScanKind::kSum) return type == kBool ? i % 2 : (i * 3) % 5;
              if (i % 7 == 3) return is_floating_point(type) ? 2 : is_signed(type) ? -1 : 1;
              return i % 7 == 5 && is_floating_point(type) ? 0.5 : i == 1 && type == kByte ? 3 : 1;
            });
            for (int dim = 0; dim < std::max(1, static_cast<int>(shape.size())); ++dim) {
              int64_t step = 1;
              for (size_t d = static_cast<size_t>(dim) + 1; d < shape.size(); ++d) step *= shape[d];
              const int64_t length = shape.empty() ? 1 : shape[static_cast<size_t>(dim)];
              std::vector<double> totals = x.values();
              double* const total = totals.data();
              for (int64_t i = 0; i < x.numel(); ++i) {
                if (i / step % length == 0) continue;
                const double previous = total[i - step];
                total[i] = kind == ScanKind::kSum ? previous + total[i] : previous * total[i];
              }
              const Array expected(accumulation_type(type), shape, totals);
              for (const Layout out_layout : kWritableLayouts) {
                if (!is_worthwhile(layout, out_layout, type)) continue;
                const Array out(accumulation_type(type), shape, out_layout);
                tested().scan(ScanArgs{out.view(), x.view(), dim, kind});
                INFO(type << ", dim " << dim << ", kind " << static_cast<int>(kind));
                REQUIRE(out.values() == expected.values());
                REQUIRE(out.guards_intact());
              }
            }
          }
        }
      }
    }
  });
}

TEST_CASE("float prefixes are accumulated in double") {
  for_each_device([] {
    const int64_t n = on_cpu_or_gpu(100000, 10000);
    Array x(kFloat, {n + 1}), out(kFloat, {n + 1});
    x.fill_with([](int64_t i) { return i == 0 ? 16777216.0 : 0.25; });
    tested().scan(ScanArgs{out.view(), x.view(), 0, ScanKind::kSum});
    CHECK(out.get(n) == 16777216.0 + static_cast<double>(n / 4));
    Array column(kFloat, {1001, 16}), sums(kFloat, {1001, 16});
    column.fill_with([](int64_t i) { return i < 16 ? 16777216.0 : 0.25; });
    tested().scan(ScanArgs{sums.view(), column.view(), 0, ScanKind::kSum});
    for (int64_t j = 0; j < 16; ++j) CHECK(sums.get(1000 * 16 + j) == 16777216.0 + 250);
  });
}

TEST_CASE("16-bit prefixes are accumulated in float") {
  for_each_device([] {
    Array x(kHalf, {3000}), out(kHalf, {3000});
    x.fill_with([](int64_t) { return 1; });
    tested().scan(ScanArgs{out.view(), x.view(), 0, ScanKind::kSum});
    CHECK(out.get(2999) == 3000);  // sums kept in half would stop at 2048
  });
}

TEST_CASE("integer sums wrap, and bool and int8 sums are int64") {
  for_each_device([] {
    Array large(kLong, {2});
    large.as<int64_t>()[0] = INT64_MAX;
    large.as<int64_t>()[1] = 1;
    Array out(kLong, {2});
    tested().scan(ScanArgs{out.view(), large.view(), 0, ScanKind::kSum});
    CHECK(out.as<int64_t>()[1] == INT64_MIN);
    Array bytes(kChar, {300}), sums(kLong, {300});
    bytes.fill_with([](int64_t) { return 127; });
    tested().scan(ScanArgs{sums.view(), bytes.view(), 0, ScanKind::kSum});
    CHECK(sums.get(299) == 300 * 127);
  });
}

TEST_CASE("long lines, many lines and columns add up on every device") {
  for_each_device([] {
    for (const auto& [rows, columns, dim] :
         {std::array<int64_t, 3>{2, 5011, 1}, {1500, 35, 1}, {40, 1500, 0}, {9000, 3, 0}}) {
      Array x(kFloat, {rows, columns}), out(kFloat, {rows, columns});
      x.fill_with([](int64_t i) { return (i * 7) % 5 - 2; });
      tested().scan(ScanArgs{out.view(), x.view(), static_cast<int>(dim), ScanKind::kSum});
      const int64_t step = dim == 1 ? 1 : columns, length = dim == 1 ? columns : rows;
      bool same = true;
      for (int64_t i = 0; i < x.numel(); ++i) {
        const double before = i / step % length == 0 ? 0 : out.get(i - step);
        same &= out.get(i) == before + x.get(i);
      }
      INFO(rows << " x " << columns << " along " << dim);
      REQUIRE(same);
    }
  });
}

TEST_CASE("many lines on three threads equal one thread") {
  Array x(kFloat, {300, 211}), one(kFloat, {300, 211}), three(kFloat, {300, 211});
  x.fill_with([](int64_t i) { return std::sin(static_cast<double>(i)); });
  for (int dim = 0; dim < 2; ++dim) {
    {
      const WithThreads threads(1);
      tested().scan(ScanArgs{one.view(), x.view(), dim, ScanKind::kSum});
    }
    const WithThreads threads(3);
    tested().scan(ScanArgs{three.view(), x.view(), dim, ScanKind::kSum});
    CHECK(one.values() == three.values());
  }
}

}  // namespace
}  // namespace tarn::testing
