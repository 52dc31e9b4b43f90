#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "tarn/tests/kernels/array.h"

namespace tarn::testing {
namespace {

bool before(double a, double b) {  // NaN is greatest
  return std::isnan(b) ? !std::isnan(a) : a < b;
}

// Sorts with the kernel and compares with std::stable_sort, row by row.
void check_sort(const Array& x, const std::vector<int64_t>& shape, int64_t k, bool descending,
                Layout out_layout) {
  const int64_t length = shape.empty() ? 1 : shape.back();
  std::vector<int64_t> out_shape = shape;
  if (!shape.empty()) out_shape.back() = k;
  Array values(x.dtype(), out_shape, out_layout), indices(kLong, out_shape, out_layout);
  tested().sort(SortArgs{values.view(), indices.view(), x.view(), descending});
  REQUIRE(values.guards_intact());
  REQUIRE(indices.guards_intact());
  const std::vector<double> all_keys = x.values(), all_values = values.values(),
                            all_indices = indices.values();
  bool same = true;
  for (int64_t row = 0; k > 0 && row < values.numel() / k; ++row) {
    const double *const keys = all_keys.data() + row * length,
                        *const row_values = all_values.data() + row * k,
                        *const row_indices = all_indices.data() + row * k;
    std::vector<int64_t> order(static_cast<size_t>(length));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return descending ? before(keys[b], keys[a]) : before(keys[a], keys[b]);
    });
    for (int64_t j = 0; j < k; ++j) {
      const int64_t index = order[static_cast<size_t>(j)];
      const double value = keys[index], got = row_values[j];
      same &= row_indices[j] == static_cast<double>(index);
      same &= got == value || (std::isnan(got) && std::isnan(value));
      same &= std::signbit(got) == std::signbit(value);
    }
  }
  INFO(x.dtype() << ", length " << length << ", k " << k
                 << (descending ? ", descending" : ", ascending"));
  REQUIRE(same);
}

void fill_random(Array& x, uint32_t seed) {
  std::mt19937 engine(seed);
  x.fill_with([&](int64_t) -> double {
    const int draw = static_cast<int>(engine() % 60);
    if (!is_floating_point(x.dtype()))
      return x.dtype() == kBool ? draw % 2 : draw - (is_signed(x.dtype()) ? 30 : 0);
    if (draw == 0)
      return std::copysign(std::numeric_limits<double>::quiet_NaN(), engine() % 2 ? 1 : -1);
    if (draw < 3) return draw == 1 ? -0.0 : 0.0;
    if (draw < 5)
      return draw == 3 ? std::numeric_limits<double>::infinity()
                       : -std::numeric_limits<double>::infinity();
    return (draw - 30) / 8.0;
  });
}

TEST_CASE("sort is stable with NaN greatest, in every dtype, layout and direction") {
  for_each_device([] {
    for (const ScalarType type : kAllTypes) {
      for (const Layout layout : kAllLayouts) {
        if (!is_worthwhile(layout, Layout::kContiguous, type)) continue;
        for (const auto& shape : test_shapes()) {
          Array x(type, shape, layout);
          fill_random(x, 7);
          for (const bool descending : {false, true}) {
            for (const Layout out_layout : kWritableLayouts) {
              if (!is_worthwhile(layout, out_layout, type)) continue;
              check_sort(x, shape, shape.empty() ? 1 : shape.back(), descending, out_layout);
            }
          }
        }
      }
    }
  });
}

TEST_CASE("long rows sort stably in every dtype") {
  for_each_device([] {
    const WithThreads threads(3);
    for (const ScalarType type : kAllTypes) {
      for (const int64_t length : {2047, 2048, 5003}) {
        Array x(type, {2, length});
        fill_random(x, 3);
        check_sort(x, {2, length}, length, false, Layout::kContiguous);
        if (test_device.is_cpu() || type == kFloat)
          check_sort(x, {2, length}, length, true, Layout::kContiguous);
      }
    }
  });
}

TEST_CASE("the first k of the order equal the beginning of a full sort") {
  for_each_device([] {
    for (const ScalarType type : {kFloat, kHalf, kLong, kByte}) {
      for (const int64_t length : {5, 100, 3000}) {
        Array x(type, {2, length});
        fill_random(x, 11);
        for (const int64_t k :
             {int64_t{0}, int64_t{1}, int64_t{4}, length / 2, length - 1, length}) {
          check_sort(x, {2, length}, k, true, Layout::kContiguous);
          check_sort(x, {2, length}, k, false, Layout::kSliced);
        }
      }
    }
  });
}

TEST_CASE("selection survives rows in which every element displaces another") {
  for_each_device([] {
    Array rising(kFloat, {4000}), falling(kFloat, {4000}), equal(kFloat, {4000});
    rising.fill_with([](int64_t i) { return i; });
    falling.fill_with([](int64_t i) { return -i; });
    equal.fill_with([](int64_t) { return 1; });
    for (const Array* x : {&rising, &falling, &equal}) {
      for (const int64_t k : {1, 10, 700}) {
        check_sort(*x, {4000}, k, true, Layout::kContiguous);
        check_sort(*x, {4000}, k, false, Layout::kContiguous);
      }
    }
  });
}

TEST_CASE("64-bit integers and doubles sort by all their bits") {
  for_each_device([] {
    const int64_t length = 3000;
    Array longs(kLong, {length}), doubles(kDouble, {length});
    std::mt19937_64 engine(5);
    int64_t* x = longs.as<int64_t>();
    for (int64_t i = 0; i < length; ++i) x[i] = static_cast<int64_t>(engine());
    x[17] = std::numeric_limits<int64_t>::min();
    x[18] = std::numeric_limits<int64_t>::max();
    Array values(kLong, {length}), indices(kLong, {length});
    tested().sort(SortArgs{values.view(), indices.view(), longs.view(), false});
    std::vector<int64_t> expected(x, x + length);
    std::sort(expected.begin(), expected.end());
    CHECK(std::equal(expected.begin(), expected.end(), values.as<int64_t>()));
    doubles.fill_with([&](int64_t) {
      return std::ldexp(static_cast<double>(engine()) - 0x1p63, -static_cast<int>(engine() % 900));
    });
    check_sort(doubles, {length}, length, false, Layout::kContiguous);
    check_sort(doubles, {length}, length, true, Layout::kContiguous);
  });
}

}  // namespace
}  // namespace tarn::testing
