#include <cmath>
#include <limits>

#include "tarn/tests/kernels/array.h"

namespace tarn::testing {
namespace {

// Small numbers every dtype can tell apart as far as it can.
double sample(int64_t i, ScalarType type) {
  const double value = static_cast<double>((i * 37) % 101) + (i % 3 == 1 ? 0.5 : 0);
  if (type == kBool) return i % 3 == 0 ? 0 : 1;
  if (!is_floating_point(type)) return std::floor(value) * (is_signed(type) && i % 2 ? -1 : 1);
  return i % 2 ? -value : value;
}

double expected_copy(double value, ScalarType to) {
  if (to == kBool) return value != 0;
  if (to == kByte && value < 0) return 256 + std::trunc(value) - (std::trunc(value) == 0 ? 256 : 0);
  return is_floating_point(to) ? value : std::trunc(value);
}

TEST_CASE("copy converts every pair of dtypes in every layout") {
  for_each_isa_and_device([] {
    for (const ScalarType from : kAllTypes) {
      for (const ScalarType to : kAllTypes) {
        for (const Layout in_layout : kAllLayouts) {
          for (const Layout out_layout : kWritableLayouts) {
            const ScalarType type = from == kFloat ? kFloat : to;
            if (!is_worthwhile(in_layout, out_layout, type)) continue;
            for (const auto& shape : {std::vector<int64_t>{}, {0}, {19}, {5, 7}, {3, 2, 6}}) {
              Array in(from, shape, in_layout), out(to, shape, out_layout);
              in.fill_with([&](int64_t i) { return sample(i, from); });
              tested().copy(out.view(), in.view());
              INFO(from << " to " << to << ", layouts " << static_cast<int>(in_layout) << " to "
                        << static_cast<int>(out_layout));
              bool same = true;
              for (int64_t i = 0; i < in.numel(); ++i)
                same &= out.get(i) == expected_copy(in.get(i), to);
              REQUIRE(same);
              REQUIRE(out.guards_intact());
            }
          }
        }
      }
    }
  });
}

TEST_CASE("copy moves elements of every size through every pair of layouts") {
  for_each_device([] {
    for (const ScalarType type : {kByte, kHalf, kFloat, kDouble}) {
      for (const auto& shape : test_shapes()) {
        for (const Layout in_layout : kAllLayouts) {
          for (const Layout out_layout : kWritableLayouts) {
            if (!is_worthwhile(in_layout, out_layout)) continue;
            Array in(type, shape, in_layout), out(type, shape, out_layout);
            in.fill_with([](int64_t i) { return (i * 31) % 127; });
            tested().copy(out.view(), in.view());
            REQUIRE(out.values() == in.values());
            REQUIRE(out.guards_intact());
          }
        }
      }
    }
  });
}

TEST_CASE("a batch of transposed matrices is copied in tiles by several threads") {
  for_each_device([] {
    const WithThreads threads(3);
    for (const ScalarType type : {kByte, kHalf, kFloat, kDouble}) {
      // (batch, rows, columns), each matrix stored by columns.
      const int64_t sizes[] = {3, 130, 71};
      const int64_t strides[] = {130 * 71, 1, 130};
      Array stored(type, {3 * 130 * 71}), out(type, {3, 130, 71});
      stored.fill_with([](int64_t i) { return i % 251 % 120; });
      const View in{stored.view().data, sizes, strides, 3, type};
      tested().copy(out.view(), in);
      bool same = true;
      for (int64_t b = 0; b < 3; ++b) {
        for (int64_t r = 0; r < 130; ++r) {
          for (int64_t c = 0; c < 71; ++c) {
            same &= out.get((b * 130 + r) * 71 + c) == stored.get(b * 130 * 71 + c * 130 + r);
          }
        }
      }
      CHECK(same);
    }
  });
}

TEST_CASE("large copies are split among threads without a gap") {
  for_each_device([] {
    const WithThreads threads(3);
    const int64_t n = 300007;
    for (const ScalarType to : {kFloat, kDouble, kHalf}) {
      Array in(kFloat, {n}), out(to, {n});
      in.fill_with([](int64_t i) { return i % 2039; });
      tested().copy(out.view(), in.view());
      CHECK(out.values() == in.values());
    }
  });
}

TEST_CASE("floats outside an integer's range become what PyTorch gives on x86") {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const std::vector<double> in = {kNan, kInf, -kInf, -1,   300,   3e9,
                                  -3e9, 1e19, -1e19, -1.5, 70000, 256.5};
  const double int_min = -2147483648.0, long_min = -9223372036854775808.0;
  const std::pair<ScalarType, std::vector<double>> cases[] = {
      {kByte, {0, 0, 0, 255, 44, 0, 0, 0, 0, 255, 112, 0}},
      {kChar, {0, 0, 0, -1, 44, 0, 0, 0, 0, -1, 112, 0}},
      {kShort, {0, 0, 0, -1, 300, 0, 0, 0, 0, -1, 4464, 256}},
      {kInt,
       {int_min, int_min, int_min, -1, 300, int_min, int_min, int_min, int_min, -1, 70000, 256}},
      {kLong,
       {long_min, long_min, long_min, -1, 300, 3e9, -3e9, long_min, long_min, -1, 70000, 256}},
      {kBool, std::vector<double>(12, 1)}};
  for_each_isa_and_device([&] {
    for (const ScalarType from : {kFloat, kDouble}) {
      for (const auto& [to, expected] : cases) {
        for (const Layout layout : {Layout::kContiguous, Layout::kSliced}) {
          Array source(from, {12}), out(to, {12}, layout);
          source.fill_with([&](int64_t i) { return in[static_cast<size_t>(i)]; });
          tested().copy(out.view(), source.view());
          INFO(from << " to " << to);
          CHECK(out.values() == expected);
        }
      }
    }
  });
  for_each_device([] {  // through int64, not int32
    Array large(kDouble, {1}, {4294967301.0}), byte(kByte, {1});
    tested().copy(byte.view(), large.view());
    CHECK(byte.get(0) == 5);
  });
}

TEST_CASE("copying between float and the 16-bit floats rounds to nearest even") {
  const double tiny = std::ldexp(1.0, -24);
  const std::vector<double> in = {1 + std::ldexp(1.0, -11),
                                  1 + 3 * std::ldexp(1.0, -11),
                                  65519,
                                  65520,
                                  -65520,
                                  tiny,
                                  tiny / 2,
                                  tiny * 0.51,
                                  6.1e-5,
                                  0.333333343267440796,
                                  -0.0,
                                  1e-30,
                                  3.0e38,
                                  2049,
                                  2051,
                                  1.00390625,
                                  1.01171875};
  const int64_t n = static_cast<int64_t>(in.size());
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<double> half = {1,
                                    1 + std::ldexp(1.0, -9),
                                    65504,
                                    inf,
                                    -inf,
                                    tiny,
                                    0,
                                    tiny,
                                    6.097555160522461e-05,
                                    0.333251953125,
                                    -0.0,
                                    0,
                                    inf,
                                    2048,
                                    2052,
                                    1.00390625,
                                    1.01171875};
  for_each_isa_and_device([&] {
    Array source(kFloat, {n}, in), out(kHalf, {n}), back(kFloat, {n}), bfloat(kBFloat16, {n});
    tested().copy(out.view(), source.view());
    CHECK(out.values() == half);
    CHECK(std::signbit(out.get(10)));
    tested().copy(back.view(), out.view());
    CHECK(back.values() == half);
    tested().copy(bfloat.view(), source.view());
    CHECK(bfloat.get(0) == 1);
    CHECK(bfloat.get(13) == 2048);
    CHECK(bfloat.get(14) == 2048);
    CHECK(bfloat.get(15) == 1);         // 1 + 2^-8: a tie goes to the even neighbour
    CHECK(bfloat.get(16) == 1.015625);  // 1 + 3 * 2^-8
  });
  for_each_device([] {  // by way of float: the second rounding makes this a tie, as in PyTorch
    Array exact(kDouble, {1}, {1 + std::ldexp(1.0, -11) + std::ldexp(1.0, -40)}), once(kHalf, {1});
    tested().copy(once.view(), exact.view());
    CHECK(once.get(0) == 1);
  });
}

TEST_CASE("a byte that is neither 0 nor 1 counts as true when a bool is read") {
  for_each_device([] {
    const Array stored(kByte, {4}, {0, 1, 2, 255});
    View in = stored.view();
    in.dtype = kBool;
    for (const ScalarType to : {kByte, kInt, kFloat, kHalf, kDouble}) {
      Array out(to, {4});
      tested().copy(out.view(), in);
      CHECK(out.values() == std::vector<double>{0, 1, 1, 1});
    }
  });
}

TEST_CASE("fill writes the converted number to every element and nowhere else") {
  for_each_device([] {
    for (const ScalarType type : kAllTypes) {
      for (const Layout layout : kWritableLayouts) {
        for (const auto& shape : test_shapes()) {
          Array out(type, shape, layout);
          tested().fill(out.view(), FillValue{2.5, 0, false});
          const double expected = type == kBool ? 1 : is_floating_point(type) ? 2.5 : 2;
          CHECK(out.values() == std::vector<double>(static_cast<size_t>(out.numel()), expected));
          tested().fill(out.view(), FillValue{0, 0, true});
          CHECK(out.values() == std::vector<double>(static_cast<size_t>(out.numel()), 0));
          REQUIRE(out.guards_intact());
        }
      }
    }
    Array exact(kLong, {2});
    tested().fill(exact.view(), FillValue{0, std::numeric_limits<int64_t>::max() - 1, true});
    CHECK(exact.as<int64_t>()[1] == std::numeric_limits<int64_t>::max() - 1);
  });
}

TEST_CASE("arange counts in int64 for integers and in double for floats") {
  for_each_device([] {
    for (const ScalarType type : {kInt, kLong, kFloat, kDouble, kHalf, kByte}) {
      for (const int64_t n : {0, 1, 5, 40}) {
        for (const Layout layout : {Layout::kContiguous, Layout::kSliced}) {
          Array out(type, {n}, layout);
          tested().arange(out.view(), 3, 2);
          for (int64_t i = 0; i < n; ++i) CHECK(out.get(i) == static_cast<double>(3 + 2 * i));
          REQUIRE(out.guards_intact());
        }
      }
    }
    Array fraction(kFloat, {1000});
    tested().arange(fraction.view(), 0.5, 0.1);
    for (int64_t i = 0; i < 1000; ++i) {
      CHECK(fraction.get(i) ==
            static_cast<double>(static_cast<float>(0.5 + 0.1 * static_cast<double>(i))));
    }
    const WithThreads threads(3);
    Array large(kLong, {100000});
    tested().arange(large.view(), -5, 3);
    bool same = true;
    for (int64_t i = 0; i < 100000; ++i) same &= large.get(i) == static_cast<double>(3 * i - 5);
    CHECK(same);
  });
}

}  // namespace
}  // namespace tarn::testing
