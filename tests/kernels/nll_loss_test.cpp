#include <cmath>
#include <limits>
#include <random>

#include "tarn/device/check.h"
#include "tarn/kernels/kernel_table.h"
#include "tarn/tests/kernels/array.h"

namespace tarn::testing {
namespace {

constexpr int64_t kIgnored = -100;
const View kNoWeight{nullptr, nullptr, nullptr, 0, kFloat};

struct Problem {
  Problem(ScalarType dtype, int64_t n, int64_t classes, Layout layout, bool weighted)
      : n(n),
        classes(classes),
        log_probs(dtype, {n, classes}, layout),
        grad_in(dtype, {n, classes}, layout),
        target(kLong, {n}, layout == Layout::kTransposed ? Layout::kSliced : Layout::kContiguous),
        weight(dtype, {classes}),
        weighted(weighted) {
    std::mt19937 random(11);
    log_probs.fill_with([&](int64_t) { return -static_cast<double>(random() % 64) / 16; });
    grad_in.fill_with([](int64_t) { return 99; });
    target.fill_with([&](int64_t i) {
      return i % 5 == 3 ? kIgnored
                        : static_cast<int64_t>(random() % static_cast<uint64_t>(classes));
    });
    weight.fill_with([](int64_t c) { return 0.25 * static_cast<double>(c + 1); });
  }
  int64_t label(int64_t i) const { return static_cast<int64_t>(target.get(i)); }
  double weight_of(int64_t i) const {
    if (label(i) == kIgnored) return 0;
    return weighted ? weight.get(label(i)) : 1;
  }
  double loss_of(int64_t i) const {
    return label(i) == kIgnored ? 0 : -weight_of(i) * log_probs.get(i * classes + label(i));
  }
  double total() const {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += weight_of(i);
    return sum;
  }
  View weights() const { return weighted ? weight.view() : kNoWeight; }

  int64_t n, classes;
  Array log_probs, grad_in, target, weight;
  bool weighted;
};

double tolerance(ScalarType dtype) {
  return dtype == kDouble ? 1e-13 : dtype == kFloat ? 2e-7 : dtype == kHalf ? 1e-3 : 8e-3;
}

void check(ScalarType dtype, int64_t n, int64_t classes, Layout layout, bool weighted,
           Reduction reduction) {
  const Problem p(dtype, n, classes, layout, weighted);
  const bool each = reduction == Reduction::None;
  const std::vector<int64_t> shape = each ? std::vector{n} : std::vector<int64_t>{};
  Array loss(dtype, shape, layout), total(dtype, {}), grad(dtype, shape, layout);
  tested().nll_loss({loss.view(), total.view(), p.log_probs.view(), p.target.view(), p.weights(),
                     kIgnored, reduction});
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    sum += p.loss_of(i);
    if (each) CHECK(loss.get(i) == Approx(p.loss_of(i)).epsilon(tolerance(dtype)).margin(0));
  }
  CHECK(total.get(0) == Approx(p.total()).epsilon(tolerance(dtype)));
  if (!each) {
    const double wanted = reduction == Reduction::Mean ? sum / p.total() : sum;
    CHECK(loss.get(0) == Approx(wanted).epsilon(tolerance(dtype)));
  }

  grad.fill_with([](int64_t i) { return 2 + i; });
  tested().nll_loss_backward({p.grad_in.view(), grad.view(), total.view(), p.target.view(),
                              p.weights(), kIgnored, reduction});
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < classes; ++c) {
      double wanted = c == p.label(i) ? -p.weight_of(i) * grad.get(each ? i : 0) : 0;
      if (reduction == Reduction::Mean) wanted /= total.get(0);
      const double got = p.grad_in.get(i * classes + c);
      if (got != Approx(wanted).epsilon(tolerance(dtype)).margin(0)) CHECK(got == wanted);
    }
  }
  CHECK((loss.guards_intact() && p.grad_in.guards_intact()));
}

TEST_CASE("nll_loss and its gradient are right for every dtype, layout and reduction") {
  for_each_device([] {
    for (const ScalarType dtype : kFloatTypes) {
      for (const Layout layout : kWritableLayouts) {
        if (!is_worthwhile(layout, Layout::kContiguous, dtype)) continue;
        for (const Reduction reduction : {Reduction::None, Reduction::Mean, Reduction::Sum}) {
          for (const bool weighted : {false, true}) {
            INFO(dtype << " layout " << static_cast<int>(layout) << " reduction "
                       << static_cast<int>(reduction) << " weighted " << weighted);
            check(dtype, 7, 10, layout, weighted, reduction);
            check(dtype, 1, 3, layout, weighted, reduction);
          }
        }
      }
    }
    const WithThreads threads(2);
    check(kFloat, on_cpu_or_gpu(4000, 4100), 17, Layout::kContiguous, true, Reduction::Mean);
  });
}

TEST_CASE("a mean over no weight is NaN and a sum over nothing is 0, as in PyTorch") {
  for_each_device([] {
    for (const int64_t n : {0, 3}) {
      Problem p(kFloat, n, 4, Layout::kContiguous, false);
      p.target.fill_with([](int64_t) { return kIgnored; });
      Array loss(kFloat, {}), total(kFloat, {});
      const auto run = [&](Reduction reduction) {
        tested().nll_loss({loss.view(), total.view(), p.log_probs.view(), p.target.view(),
                           kNoWeight, kIgnored, reduction});
      };
      run(Reduction::Mean);
      CHECK(std::isnan(loss.get(0)));
      CHECK(total.get(0) == 0);
      run(Reduction::Sum);
      CHECK(loss.get(0) == 0);
      Array grad(kFloat, {});
      grad.set(0, 1);
      tested().nll_loss_backward({p.grad_in.view(), grad.view(), total.view(), p.target.view(),
                                  kNoWeight, kIgnored, Reduction::Mean});
      for (int64_t i = 0; i < n * 4; ++i) CHECK(p.grad_in.get(i) == 0);
    }
  });
}

TEST_CASE("a target that is no class is an error that names it") {
  for_each_device([] {
    for (const int64_t bad : {int64_t{10}, int64_t{-1}, std::numeric_limits<int64_t>::max()}) {
      Problem p(kFloat, 6, 10, Layout::kContiguous, false);
      p.target.as<int64_t>()[4] = bad;
      Array loss(kFloat, {6}), total(kFloat, {}), grad(kFloat, {6});
      loss.fill_with([](int64_t) { return 5; });
      grad.fill_with([](int64_t) { return 1; });
      total.set(0, 6);
      const auto wait = [] {
        if (test_device.is_cuda()) cuda::synchronize(test_device.index());
      };
      const auto forward = [&] {
        tested().nll_loss({loss.view(), total.view(), p.log_probs.view(), p.target.view(),
                           kNoWeight, kIgnored, Reduction::None});
        wait();
      };
      const auto backward = [&] {
        tested().nll_loss_backward({p.grad_in.view(), grad.view(), total.view(), p.target.view(),
                                    kNoWeight, kIgnored, Reduction::None});
        wait();
      };
      const std::string text =
          str("Target ", bad, " is out of bounds. There are 10 classes, ", "0 to 9; sample 4.");
      CHECK_THROWS_AS(forward(), IndexError);
      CHECK_THROWS_WITH_TEXT(forward(), text);
      CHECK_THROWS_WITH_TEXT(backward(), text);
      if (test_device.is_cpu()) {  // nothing was written
        CHECK(loss.get(0) == 5);
        CHECK(total.get(0) == 6);
        CHECK(p.grad_in.get(0) == 99);
      } else {  // the sample counts as ignored
        CHECK(loss.get(4) == 0);
        CHECK(total.get(0) == 4);
        for (int64_t c = 0; c < 10; ++c) CHECK(p.grad_in.get(40 + c) == 0);
      }
      CHECK_NOTHROW(wait());
    }
  });
}

TEST_CASE("an ignored index may itself be a class") {
  for_each_device([] {
    Problem p(kFloat, 5, 3, Layout::kContiguous, false);
    p.target.fill_with([](int64_t i) { return i % 3; });
    Array loss(kFloat, {5}), total(kFloat, {});
    tested().nll_loss({loss.view(), total.view(), p.log_probs.view(), p.target.view(), kNoWeight, 1,
                       Reduction::None});
    CHECK(loss.get(1) == 0);
    CHECK(loss.get(4) == 0);
    CHECK(total.get(0) == 3);
  });
}

}  // namespace
}  // namespace tarn::testing
