#include <cmath>
#include <limits>

#include "tarn/tests/kernels/array.h"

namespace tarn::testing {
namespace {

// self (sizes) addressed by index tensors on the first `index.size()` dimensions, all of one 1-d
// length n: values are (n, remaining sizes of self).
struct Problem {
  Array self;
  std::vector<Array> index;
  Array values;
  std::vector<int64_t> sizes, self_strides;
  std::vector<std::vector<int64_t>> index_strides;
  IndexSpec spec{};

  Problem(ScalarType dtype, std::vector<int64_t> self_sizes,
          std::vector<std::vector<int64_t>> positions, Layout self_layout = Layout::kContiguous,
          Layout values_layout = Layout::kContiguous)
      : self(dtype, self_sizes, self_layout),
        values(dtype, value_sizes(self_sizes, positions), values_layout) {
    const size_t count = positions.size();
    const View self_view = self.view();
    sizes = value_sizes(self_sizes, positions);
    self_strides.assign(1, 0);
    for (size_t d = count; d < self_sizes.size(); ++d) self_strides.push_back(self_view.strides[d]);
    spec.count = static_cast<int>(count);
    for (size_t k = 0; k < count; ++k) {
      index.emplace_back(kLong, std::vector<int64_t>{static_cast<int64_t>(positions[k].size())});
      index.back().fill_with([&](int64_t i) { return positions[k][static_cast<size_t>(i)]; });
      index_strides.emplace_back(sizes.size(), 0);
      index_strides.back()[0] = 1;
      spec.size[k] = self_sizes[k];
      spec.stride[k] = self_view.strides[k];
      spec.dim[k] = static_cast<int64_t>(k);
    }
    for (size_t k = 0; k < count; ++k) {
      spec.index[k] = View{index[k].view().data, sizes.data(), index_strides[k].data(),
                           static_cast<int32_t>(sizes.size()), kLong};
    }
  }
  Problem(const Problem&) = delete;

  static std::vector<int64_t> value_sizes(const std::vector<int64_t>& self_sizes,
                                          const std::vector<std::vector<int64_t>>& positions) {
    std::vector<int64_t> result{static_cast<int64_t>(positions[0].size())};
    for (size_t d = positions.size(); d < self_sizes.size(); ++d) result.push_back(self_sizes[d]);
    return result;
  }
  View self_view() const {
    return View{self.view().data, sizes.data(), self_strides.data(),
                static_cast<int32_t>(sizes.size()), self.dtype()};
  }
  GatherArgs gather_args() const { return {values.view(), self_view(), spec}; }
  ScatterArgs scatter_args(ScatterMode mode) const {
    return {self_view(), values.view(), spec, mode};
  }

  // Row-major position in self of element e of values.
  int64_t target(int64_t e) const {
    int64_t inner = 1;
    for (size_t d = 1; d < sizes.size(); ++d) inner *= sizes[d];
    int64_t row = 0;
    for (int k = 0; k < spec.count; ++k) {
      const int64_t i = static_cast<int64_t>(index[static_cast<size_t>(k)].get(e / inner));
      row = row * spec.size[k] + (i < 0 ? i + spec.size[k] : i);
    }
    return row * inner + e % inner;
  }
};

const std::vector<std::vector<int64_t>> kRows = {{4, 0, -1, 4, 2, 2, -5}};

TEST_CASE("gather takes rows, elements and several index tensors in every layout and size") {
  for_each_device([] {
    for (const ScalarType type : {kByte, kHalf, kFloat, kLong, kBool}) {
      for (const Layout self_layout : kWritableLayouts) {
        for (const Layout values_layout : kWritableLayouts) {
          if (!is_worthwhile(self_layout, values_layout, type)) continue;
          Problem rows(type, {5, 13}, kRows, self_layout, values_layout);
          Problem single(type, {5}, kRows, self_layout, values_layout);
          Problem deep(type, {5, 3, 4}, kRows, self_layout, values_layout);
          Problem pair(type, {5, 3, 4}, {kRows[0], {0, 1, 2, -1, -2, -3, 0}}, self_layout,
                       values_layout);
          Problem none(type, {5, 3}, {{}}, self_layout, values_layout);
          for (Problem* problem : {&rows, &single, &deep, &pair, &none}) {
            problem->self.fill_with([](int64_t i) { return (i * 7) % 50; });
            tested().gather(problem->gather_args());
            for (int64_t e = 0; e < problem->values.numel(); ++e) {
              REQUIRE(problem->values.get(e) == problem->self.get(problem->target(e)));
            }
            REQUIRE(problem->values.guards_intact());
          }
        }
      }
    }
  });
}

TEST_CASE("rows of every length that fits in wide accesses or does not are gathered whole") {
  for_each_device([] {
    for (const ScalarType type : {kByte, kHalf, kFloat, kDouble}) {
      for (const int64_t width : {1, 2, 4, 8, 12, 16, 20, 32}) {
        for (const int64_t more : {0, 1}) {
          Problem rows(type, {5, width + more}, kRows);
          rows.self.fill_with([](int64_t i) { return (i * 7) % 50; });
          tested().gather(rows.gather_args());
          for (int64_t e = 0; e < rows.values.numel(); ++e)
            REQUIRE(rows.values.get(e) == rows.self.get(rows.target(e)));
          REQUIRE(rows.values.guards_intact());
        }
      }
    }
  });
}

TEST_CASE("gather along a dimension uses a full index tensor, as torch.gather") {
  for_each_device([] {
    // out[i][j] = x[i][index[i][j]]
    Array x(kFloat, {3, 4}), index(kLong, {3, 2}, {3, -4, 1, 1, 0, -1}), out(kFloat, {3, 2});
    x.fill_with([](int64_t i) { return i; });
    const int64_t sizes[] = {3, 2}, strides[] = {4, 0};
    GatherArgs args{out.view(), View{x.view().data, sizes, strides, 2, kFloat}, {}};
    args.spec.count = 1;
    args.spec.index[0] = index.view();
    args.spec.size[0] = 4;
    args.spec.stride[0] = 1;
    args.spec.dim[0] = 1;
    tested().gather(args);
    CHECK(out.values() == std::vector<double>{3, 0, 5, 5, 8, 11});
  });
}

double combine(ScatterMode mode, double old, double value) {
  switch (mode) {
    case ScatterMode::kAssign:
      return value;
    case ScatterMode::kAdd:
      return old + value;
    case ScatterMode::kMultiply:
      return old * value;
    case ScatterMode::kMax:
      return std::fmax(old, value);
    case ScatterMode::kMin:
      return std::fmin(old, value);
  }
  return 0;
}
const ScatterMode kModes[] = {ScatterMode::kAssign, ScatterMode::kAdd, ScatterMode::kMultiply,
                              ScatterMode::kMax, ScatterMode::kMin};

TEST_CASE("scatter combines in every mode and dtype, repeated targets in order") {
  for_each_device([] {
    for (const ScatterMode mode : kModes) {
      for (const ScalarType type : kAllTypes) {
        if (type == kBool) continue;
        for (const Layout self_layout : kWritableLayouts) {
          for (const Layout values_layout : kWritableLayouts) {
            if (!is_worthwhile(self_layout, values_layout, type)) continue;
            Problem rows(type, {5, 13}, kRows, self_layout, values_layout);
            Problem single(type, {5}, kRows, self_layout, values_layout);
            Problem pair(type, {5, 3, 4}, {kRows[0], {0, 1, 2, 0, -2, -2, 0}}, self_layout,
                         values_layout);
            for (Problem* problem : {&rows, &single, &pair}) {
              // Small numbers: sums and products stay exact in every dtype.
              problem->self.fill_with([](int64_t i) { return i % 3 + 1; });
              problem->values.fill_with([](int64_t i) { return i % 4; });
              std::vector<double> expected = problem->self.values();
              for (int64_t e = 0; e < problem->values.numel(); ++e) {
                double& old = expected[static_cast<size_t>(problem->target(e))];
                old = combine(mode, old, problem->values.get(e));
              }
              tested().scatter(problem->scatter_args(mode));
              INFO(type << ", mode " << static_cast<int>(mode));
              REQUIRE(problem->self.values() == expected);
              REQUIRE(problem->self.guards_intact());
            }
          }
        }
      }
    }
  });
}

TEST_CASE("of several values for one target the last in row-major order stays, in every layout") {
  for_each_device([] {
    for (const Layout layout : kWritableLayouts) {
      Array self(kFloat, {1}), index(kLong, {3, 4}, layout), values(kFloat, {3, 4}, layout);
      index.fill_with([](int64_t i) { return i == 11 ? -1 : 0; });
      values.fill_with([](int64_t i) { return i; });
      const int64_t sizes[] = {3, 4}, strides[] = {0, 0};
      ScatterArgs args{View{self.view().data, sizes, strides, 2, kFloat},
                       values.view(),
                       {},
                       ScatterMode::kAssign};
      args.spec.count = 1;
      args.spec.index[0] = index.view();
      args.spec.size[0] = 1;
      args.spec.stride[0] = 1;
      args.spec.dim[0] = 0;
      tested().scatter(args);
      CHECK(self.get(0) == 11);
      // Float sums depend on the order: 2^24 + 1 + ... loses every 1, 1 + ... + 2^24 does not.
      values.fill_with([](int64_t i) { return i == 4 ? 16777216.0 : 1.0; });
      self.set(0, 0);
      args.mode = ScatterMode::kAdd;
      args.self.data = self.view().data;
      args.values = values.view();
      tested().scatter(args);
      CHECK(self.get(0) == 16777220.0);
    }
  });
}

TEST_CASE("scatter of bool adds as or and multiplies as and") {
  for_each_device([] {
    Problem add(kBool, {2}, {{0, 0, 1, 1}}), multiply(kBool, {2}, {{0, 0, 1, 1}});
    for (Problem* problem : {&add, &multiply})
      problem->values.fill_with([](int64_t i) { return i == 0 || i == 1 || i == 2; });
    add.self.fill_with([](int64_t) { return 0; });
    multiply.self.fill_with([](int64_t) { return 1; });
    tested().scatter(add.scatter_args(ScatterMode::kAdd));
    tested().scatter(multiply.scatter_args(ScatterMode::kMultiply));
    CHECK(add.self.values() == std::vector<double>{1, 1});
    CHECK(multiply.self.values() == std::vector<double>{1, 0});
  });
}

TEST_CASE("integer scatter wraps around and NaN survives maximum and minimum") {
  for_each_device([] {
    Problem wraps(kByte, {1}, {{0}});
    wraps.self.set(0, 250);
    wraps.values.set(0, 10);
    tested().scatter(wraps.scatter_args(ScatterMode::kAdd));
    CHECK(wraps.self.get(0) == 4);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    for (const ScatterMode mode : {ScatterMode::kMax, ScatterMode::kMin}) {
      for (const bool in_self : {true, false}) {
        Problem problem(kFloat, {1}, {{0}});
        problem.self.set(0, in_self ? nan : 1);
        problem.values.set(0, in_self ? 1 : nan);
        tested().scatter(problem.scatter_args(mode));
        CHECK(std::isnan(problem.self.get(0)));
      }
    }
  });
}

// What a kernel of a device finds is thrown when the device is next waited for.
void wait() {
  if (test_device.is_cuda()) cuda::synchronize(test_device.index());
}
void gather_and_wait(const Problem& problem) {
  tested().gather(problem.gather_args());
  wait();
}
void scatter_and_wait(const Problem& problem, ScatterMode mode) {
  tested().scatter(problem.scatter_args(mode));
  wait();
}

TEST_CASE(
    "an index out of range names itself, its dimension and the size, and nothing is changed") {
  for_each_device([] {
    for (const int64_t bad : {5, -6, 1000}) {
      Problem problem(kFloat, {5, 3}, {{0, bad, 1}});
      problem.self.fill_with([](int64_t i) { return i; });
      problem.values.fill_with([](int64_t) { return -1; });
      const std::vector<double> before = problem.self.values();
      const std::string text =
          "index " + std::to_string(bad) + " is out of bounds for dimension 0 with size 5";
      CHECK_THROWS_AS(gather_and_wait(problem), IndexError);
      CHECK_THROWS_WITH_TEXT(gather_and_wait(problem), text);
      for (const ScatterMode mode : kModes) {
        CHECK_THROWS_WITH_TEXT(scatter_and_wait(problem, mode), text);
        CHECK(problem.self.values() == before);
      }
    }
    Problem second(kFloat, {5, 3}, {{0, 1}, {2, 3}});
    CHECK_THROWS_WITH_TEXT(gather_and_wait(second),
                           "index 3 is out of bounds for dimension 1 with size 3");
    Problem empty(kFloat, {0, 3}, {{0}});
    CHECK_THROWS_WITH_TEXT(gather_and_wait(empty),
                           "index 0 is out of bounds for dimension 0 with size 0");
  });
}

TEST_CASE("large gathers and scatters give the same bits on one thread and on three") {
  for_each_device([] {
    const int64_t rows = 50, n = on_cpu_or_gpu(700, 200), width = on_cpu_or_gpu(301, 37);
    std::vector<int64_t> positions(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) positions[static_cast<size_t>(i)] = (i * i * 31) % rows;
    std::vector<double> summed[2], gathered[2];
    for (const int threads : {1, 3}) {
      const WithThreads scope(threads);
      Problem problem(kFloat, {rows, width}, {positions});
      problem.self.fill_with([](int64_t i) { return std::sin(static_cast<double>(i)); });
      problem.values.fill_with([](int64_t i) { return std::cos(static_cast<double>(i)); });
      tested().scatter(problem.scatter_args(ScatterMode::kAdd));
      summed[threads / 2] = problem.self.values();
      tested().gather(problem.gather_args());
      gathered[threads / 2] = problem.values.values();
      bool same = true;
      for (int64_t e = 0; e < problem.values.numel(); ++e)
        same &= problem.values.get(e) == problem.self.get(problem.target(e));
      CHECK(same);
    }
    CHECK(summed[0] == summed[1]);
    CHECK(gathered[0] == gathered[1]);
  });
}

}  // namespace
}  // namespace tarn::testing
