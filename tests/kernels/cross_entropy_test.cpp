#include <cmath>
#include <limits>
#include <random>

#include "tarn/device/check.h"
#include "tarn/kernels/kernel_table.h"
#include "tarn/tests/kernels/array.h"

namespace tarn::testing {
namespace {

constexpr int64_t kIgnored = -100;
constexpr double kInf = std::numeric_limits<double>::infinity();

struct Problem {
  Problem(ScalarType dtype, int64_t n, int64_t classes, int64_t d, Layout layout,
          Reduction reduction)
      : samples(n * d),
        classes(classes),
        d(d),
        reduction(reduction),
        logits(dtype, {n, classes, d}, layout),
        grad_in(dtype, {n, classes, d}, layout == Layout::kBroadcast ? Layout::kSliced : layout),
        target(kLong, {n * d}),
        weight(dtype, {classes}),
        loss(dtype, loss_shape(), Layout::kSliced),
        grad_out(dtype, loss_shape(), Layout::kSliced),
        total(dtype, {}),
        statistics(compute_type(dtype), {2, n * d}) {
    std::mt19937 random(11);
    logits.fill_with([&](int64_t) { return static_cast<double>(random() % 256) / 16 - 8; });
    grad_in.fill_with([](int64_t) { return 99; });
    target.fill_with([&](int64_t i) {
      return i % 5 == 3 ? kIgnored
                        : static_cast<int64_t>(random() % static_cast<uint64_t>(classes));
    });
    weight.fill_with([](int64_t c) { return 0.25 * static_cast<double>(c % 7 + 1); });
    grad_out.fill_with([](int64_t i) { return 2 + 0.25 * static_cast<double>(i % 9); });
  }
  std::vector<int64_t> loss_shape() const {
    return reduction == Reduction::None ? std::vector{samples} : std::vector<int64_t>{};
  }
  void run() {
    const View weights = weighted ? weight.view() : View{};
    tested().cross_entropy({loss.view(), total.view(), statistics.view(), logits.view(),
                            target.view(), weights, kIgnored, smoothing, reduction});
    tested().cross_entropy_backward({grad_in.view(), grad_out.view(), total.view(),
                                     statistics.view(), logits.view(), target.view(), weights,
                                     kIgnored, smoothing, reduction});
    if (test_device.is_cuda()) cuda::synchronize(test_device.index());
  }

  int64_t label(int64_t i) const { return static_cast<int64_t>(target.get(i)); }
  int64_t place(int64_t i, int64_t c) const { return (i / d * classes + c) * d + i % d; }
  double logit(int64_t i, int64_t c) const { return logits.get(place(i, c)); }
  double weight_of(int64_t c) const { return weighted ? weight.get(c) : 1; }
  double expected(int64_t i, int64_t c) const {
    const double even = smoothing / static_cast<double>(classes);
    return label(i) == kIgnored ? 0 : weight_of(c) * (even + (c == label(i) ? 1 - smoothing : 0));
  }
  double log_sum(int64_t i) const {
    double largest = -kInf, sum = 0;
    for (int64_t c = 0; c < classes; ++c) largest = std::max(largest, logit(i, c));
    for (int64_t c = 0; c < classes; ++c) sum += std::exp(logit(i, c) - largest);
    return largest + std::log(sum);
  }

  int64_t samples, classes, d;
  Reduction reduction;
  bool weighted = false;
  double smoothing = 0;
  Array logits, grad_in, target, weight, loss, grad_out, total, statistics;
};

double tolerance(ScalarType dtype) {
  return dtype == kDouble ? 1e-13 : dtype == kFloat ? 2e-6 : dtype == kHalf ? 1e-3 : 8e-3;
}

// Compares with the definition, in double.
void check(Problem& p) {
  p.run();
  const ScalarType dtype = p.logits.dtype();
  const auto close = [&](double wanted) {
    return Approx(wanted).epsilon(tolerance(dtype)).margin(tolerance(dtype));
  };
  const bool each = p.reduction == Reduction::None;
  double sum = 0, weights = 0;
  for (int64_t i = 0; i < p.samples; ++i) {
    double one = 0;
    for (int64_t c = 0; c < p.classes; ++c)
      one += p.expected(i, c) * (p.log_sum(i) - p.logit(i, c));
    if (p.label(i) != kIgnored) weights += p.weight_of(p.label(i));
    sum += one;
    if (each) CHECK(p.loss.get(i) == close(one));
  }
  CHECK(p.total.get(0) == close(weights));
  if (!each) CHECK(p.loss.get(0) == close(p.reduction == Reduction::Mean ? sum / weights : sum));

  for (int64_t i = 0; i < p.samples; ++i) {
    double total = 0;
    for (int64_t c = 0; c < p.classes; ++c) total += p.expected(i, c);
    double g = p.grad_out.get(each ? i : 0);
    if (p.reduction == Reduction::Mean) g /= p.total.get(0);
    const double log_sum = p.log_sum(i);
    for (int64_t c = 0; c < p.classes; ++c) {
      const double wanted = g * (total * std::exp(p.logit(i, c) - log_sum) - p.expected(i, c));
      const double got = p.grad_in.get(p.place(i, c));
      if (got != close(wanted)) CHECK(got == wanted);
    }
  }
  CHECK((p.loss.guards_intact() && p.grad_in.guards_intact() && p.statistics.guards_intact()));
}

void check_variants(ScalarType dtype, int64_t n, int64_t classes, int64_t d, Layout layout) {
  for (const Reduction reduction : {Reduction::None, Reduction::Mean, Reduction::Sum}) {
    for (const bool weighted : {false, true}) {
      for (const double smoothing : {0.0, 0.25}) {
        Problem p(dtype, n, classes, d, layout, reduction);
        p.weighted = weighted;
        p.smoothing = smoothing;
        INFO(dtype << " (" << n << ", " << classes << ", " << d << ") layout "
                   << static_cast<int>(layout) << " reduction " << static_cast<int>(reduction)
                   << " weighted " << weighted << " smoothing " << smoothing);
        check(p);
      }
    }
  }
}

TEST_CASE("cross_entropy and its gradient are right for every layout and instruction set") {
  for_each_isa_and_device([] {
    for (const ScalarType dtype : {kFloat, kDouble}) {
      for (const Layout layout : kAllLayouts) {
        check_variants(dtype, 7, 10, 1, layout);
        check_variants(dtype, 3, 5, 9, layout);
      }
      check_variants(dtype, 6, 33, 1, Layout::kContiguous);
      check_variants(dtype, 2, 40, 7, Layout::kContiguous);
      check_variants(dtype, 5, 1, 1, Layout::kContiguous);
    }
  });
}

TEST_CASE("cross_entropy computes 16-bit logits in float") {
  for_each_device([] {
    for (const ScalarType dtype : {kHalf, kBFloat16}) {
      for (const Layout layout : {Layout::kContiguous, Layout::kTransposed}) {
        check_variants(dtype, 7, 10, 1, layout);
        check_variants(dtype, 2, 40, 3, layout);
      }
    }
  });
}

TEST_CASE("cross_entropy gives the same with any number of threads, blocks and runs") {
  for_each_device([] {
    std::vector<double> results[2];
    for (const int threads : {1, 2}) {
      const WithThreads scope(threads);
      Problem p(kFloat, test_device.is_cpu() ? 4000 : 600, 40, 1, Layout::kContiguous,
                Reduction::Mean);
      p.smoothing = 0.1;
      if (threads == 1)
        check(p);
      else
        p.run();
      results[threads - 1] = p.grad_in.values();
      results[threads - 1].push_back(p.loss.get(0));
    }
    CHECK(results[0] == results[1]);
  });
}

TEST_CASE("cross_entropy takes infinities, NaN and large logits as PyTorch does") {
  for_each_device([] {
    for (const int64_t classes : {4, 40}) {
      Problem p(kFloat, 6, classes, 1, Layout::kContiguous, Reduction::None);
      p.logits.fill_with([](int64_t) { return 1; });
      p.target.fill_with([](int64_t i) { return i == 3 ? kIgnored : 0; });
      p.grad_out.fill_with([](int64_t) { return 1; });
      const auto set = [&](int64_t row, int64_t c, double x) { p.logits.set(p.place(row, c), x); };
      set(0, 1, -kInf);
      set(1, 0, -kInf);
      set(2, 1, kInf);
      set(3, 1, std::numeric_limits<double>::quiet_NaN());
      set(4, 0, 3e38);
      set(4, 1, 3e38);
      p.run();
      const double others = static_cast<double>(classes - 1);
      CHECK(p.loss.get(0) == Approx(std::log(others)));
      CHECK(p.grad_in.get(p.place(0, 1)) == 0);
      CHECK(p.loss.get(1) == kInf);
      CHECK(p.grad_in.get(p.place(1, 0)) == -1);
      CHECK(std::isnan(p.loss.get(2)));
      CHECK(p.loss.get(3) == 0);  // ignored
      CHECK(p.grad_in.get(p.place(3, 1)) == 0);
      CHECK(p.loss.get(4) == Approx(std::log(2.0)));
      CHECK(p.grad_in.get(p.place(4, 0)) == Approx(-0.5));
      CHECK(p.loss.get(5) == Approx(std::log(others + 1)));
    }
  });
}

TEST_CASE("a mean of cross_entropy over no weight is NaN, and over nothing too, as in PyTorch") {
  for_each_device([] {
    for (const int64_t n : {0, 3}) {
      Problem p(kFloat, n, 4, 1, Layout::kContiguous, Reduction::Mean);
      p.target.fill_with([](int64_t) { return kIgnored; });
      p.run();
      CHECK(std::isnan(p.loss.get(0)));
      CHECK(p.total.get(0) == 0);
      for (int64_t i = 0; i < n * 4; ++i) CHECK(p.grad_in.get(i) == 0);
    }
  });
}

TEST_CASE("a target of cross_entropy that is no class is an error that names it") {
  for_each_device([] {
    for (const int64_t bad : {int64_t{10}, int64_t{-1}}) {
      Problem p(kFloat, 6, 10, 1, Layout::kContiguous, Reduction::None);
      p.target.as<int64_t>()[4] = bad;
      p.loss.fill_with([](int64_t) { return 5; });
      CHECK_THROWS_WITH_TEXT(
          p.run(),
          str("Target ", bad, " is out of bounds. There are 10 classes, 0 to 9; sample 4."));
      CHECK(p.loss.get(4) == (test_device.is_cpu() ? 5 : 0));  // not written, or ignored
    }
  });
}

}  // namespace
}  // namespace tarn::testing
