#include <cmath>
#include <random>

#include "tarn/kernels/kernel_table.h"
#include "tarn/tests/kernels/array.h"

namespace tarn::testing {
namespace {

struct Problem {
  Problem(ScalarType dtype, int64_t rows, int64_t n)
      : rows(rows),
        n(n),
        x(dtype, {rows, n}),
        out(dtype, {rows, n}),
        grad_out(dtype, {rows, n}),
        grad_in(dtype, {rows, n}),
        weight(dtype, {n}),
        bias(dtype, {n}),
        grad_weight(dtype, {n}),
        grad_bias(dtype, {n}),
        statistics(compute_type(dtype), {2, rows}) {
    std::mt19937 random(5);
    const auto number = [&](int64_t) { return static_cast<double>(random() % 256) / 64 - 2; };
    for (Array* a : {&x, &grad_out, &weight, &bias}) a->fill_with(number);
    for (Array* a : {&out, &grad_in, &grad_weight, &grad_bias})
      a->fill_with([](int64_t) { return 99; });
  }
  // wants: of the gradients of x, weight and bias.
  void run(const bool (&wants)[3] = {true, true, true}) {
    const View w = weighted ? weight.view() : View{};
    tested().layer_norm(
        {out.view(), statistics.view(), x.view(), w, biased ? bias.view() : View{}, eps});
    const auto if_wanted = [&](int i, const Array& a) { return wants[i] ? a.view() : View{}; };
    tested().layer_norm_backward({if_wanted(0, grad_in), if_wanted(1, grad_weight),
                                  if_wanted(2, grad_bias), grad_out.view(), statistics.view(),
                                  x.view(), w});
    if (test_device.is_cuda()) cuda::synchronize(test_device.index());
  }

  int64_t rows, n;
  bool weighted = true, biased = true;
  double eps = 1e-3;
  Array x, out, grad_out, grad_in, weight, bias, grad_weight, grad_bias, statistics;
};

double tolerance(ScalarType dtype) {
  return dtype == kDouble ? 1e-12 : dtype == kFloat ? 1e-5 : dtype == kHalf ? 2e-3 : 1.6e-2;
}

// Compares with the definition, in double.
void check(const Problem& p) {
  const ScalarType dtype = p.x.dtype();
  const auto expect = [&](const char* what, int64_t i, double got, double wanted, double size = 1) {
    // The terms of a sum are rounded, whatever they add up to.
    if (!(std::abs(got - wanted) <= tolerance(dtype) * (std::abs(wanted) + size))) {
      CAPTURE(what, i);
      CHECK(got == wanted);
    }
  };
  const double n = static_cast<double>(p.n);
  std::vector<double> weights(static_cast<size_t>(p.n)), biases(weights), sizes(weights);
  for (int64_t r = 0; r < p.rows; ++r) {
    double mean = 0, variance = 0, level = 0, slope = 0;
    const auto x = [&](int64_t i) { return p.x.get(r * p.n + i); };
    const auto g = [&](int64_t i) { return p.grad_out.get(r * p.n + i); };
    const auto w = [&](int64_t i) { return p.weighted ? p.weight.get(i) : 1; };
    for (int64_t i = 0; i < p.n; ++i) mean += x(i) / n;
    for (int64_t i = 0; i < p.n; ++i) variance += (x(i) - mean) * (x(i) - mean) / n;
    const double scale = 1 / std::sqrt(variance + p.eps);
    const auto z = [&](int64_t i) { return (x(i) - mean) * scale; };
    for (int64_t i = 0; i < p.n; ++i) {
      level += g(i) * w(i) / n;
      slope += g(i) * w(i) * z(i) / n;
    }
    for (int64_t i = 0; i < p.n; ++i) {
      expect("out", r * p.n + i, p.out.get(r * p.n + i),
             z(i) * w(i) + (p.biased ? p.bias.get(i) : 0));
      expect("grad_in", r * p.n + i, p.grad_in.get(r * p.n + i),
             (g(i) * w(i) - level - z(i) * slope) * scale, scale);
      const auto column = static_cast<size_t>(i);
      weights[column] += g(i) * z(i);
      biases[column] += g(i);
      sizes[column] += std::abs(g(i) * z(i)) + std::abs(g(i));
    }
  }
  for (int64_t i = 0; i < p.n; ++i) {
    const auto column = static_cast<size_t>(i);
    expect("grad_weight", i, p.grad_weight.get(i), weights[column], sizes[column]);
    expect("grad_bias", i, p.grad_bias.get(i), biases[column], sizes[column]);
  }
  for (const Array* a : {&p.out, &p.grad_in, &p.grad_weight, &p.grad_bias, &p.statistics})
    CHECK(a->guards_intact());
}

void check(ScalarType dtype, int64_t rows, int64_t n) {
  INFO(dtype << " (" << rows << ", " << n << ")");
  Problem p(dtype, rows, n);
  p.run();
  check(p);
}

TEST_CASE("layer_norm and its gradients are right for every size and instruction set") {
  for_each_isa_and_device([] {
    for (const ScalarType dtype : kFloatTypes) {
      for (const int64_t n : {1, 2, 8, 13, 40, 96}) check(dtype, 5, n);
      check(dtype, 1, 7);
      check(dtype, 70, 24);
    }
    check(kFloat, 2, 1040);
  });
}

TEST_CASE("layer_norm takes rows that are longer than a block can hold") {
  for_each_device([] {
    check(kFloat, 2, 2 * 8192 + 4);
    check(kHalf, 1, 8192 + 8);
    check(kDouble, 1, 4096 + 1);
  });
}

TEST_CASE("layer_norm sums many rows in chunks, the same with any number of threads") {
  for_each_device([] {
    std::vector<double> results[2];
    for (const int threads : {1, 2}) {
      const WithThreads scope(threads);
      Problem p(kFloat, on_cpu_or_gpu(3000, 700), 33);
      p.run();
      if (threads == 1) check(p);
      for (const Array* a : {&p.out, &p.grad_in, &p.grad_weight, &p.grad_bias}) {
        const std::vector<double> values = a->values();
        results[threads - 1].insert(results[threads - 1].end(), values.begin(), values.end());
      }
    }
    CHECK(results[0] == results[1]);
  });
}

TEST_CASE("layer_norm goes without weight or bias") {
  for_each_device([] {
    for (const ScalarType dtype : {kFloat, kBFloat16}) {
      for (const bool weighted : {false, true}) {
        Problem p(dtype, 3, 20);
        p.weighted = weighted;
        p.biased = !weighted;
        p.run();
        check(p);
      }
    }
  });
}

TEST_CASE("layer_norm computes the gradients that are wanted and leaves the others alone") {
  for_each_device([] {
    for (const int64_t rows : {3, 700}) {
      Problem all(kFloat, rows, 6);
      all.run();
      for (int wanted = 0; wanted < 8; ++wanted) {
        const bool wants[] = {(wanted & 1) != 0, (wanted & 2) != 0, (wanted & 4) != 0};
        Problem p(kFloat, rows, 6);
        p.run(wants);
        const auto expect = [&](int i, const Array& got, const Array& full) {
          CAPTURE(rows, wanted, i);
          if (wants[i])
            CHECK(got.values() == full.values());
          else
            CHECK(got.get(0) == 99);
        };
        expect(0, p.grad_in, all.grad_in);
        expect(1, p.grad_weight, all.grad_weight);
        expect(2, p.grad_bias, all.grad_bias);
      }
    }
  });
}

TEST_CASE("layer_norm of data that does not begin at a multiple of 16 bytes") {
  for_each_device([] {
    Problem p(kFloat, 3, 16);
    Array shifted(kFloat, {3 * 16 + 1});
    shifted.fill_with([&](int64_t i) { return i > 0 ? p.x.get(i - 1) : 0; });
    View x = shifted.view();
    const View rows = p.x.view();
    x = {x.as<float>() + 1, rows.sizes, rows.strides, 2, kFloat};
    tested().layer_norm(
        {p.out.view(), p.statistics.view(), x, p.weight.view(), p.bias.view(), p.eps});
    tested().layer_norm_backward({p.grad_in.view(), p.grad_weight.view(), p.grad_bias.view(),
                                  p.grad_out.view(), p.statistics.view(), x, p.weight.view()});
    check(p);
  });
}

TEST_CASE("layer_norm keeps the variance of numbers that are far from 0") {
  for_each_device([] {
    Problem p(kFloat, 2, 64);
    p.weighted = p.biased = false;
    p.eps = 0;
    // Exact in float, whose squares are not: their mean less the mean's square would be anything.
    p.x.fill_with([](int64_t i) { return 30000 + 0.25 * static_cast<double>(i % 2); });
    p.run();
    for (int64_t i = 0; i < p.x.numel(); ++i) CHECK(p.out.get(i) == Approx(i % 2 == 0 ? -1 : 1));
  });
}

TEST_CASE("layer_norm of a row with NaN or infinity is NaN, and that of others is not touched") {
  for_each_device([] {
    Problem p(kFloat, 3, 20);
    p.x.set(4, std::nan(""));
    p.x.set(20 + 7, std::numeric_limits<double>::infinity());
    p.run();
    for (int64_t i = 0; i < 60; ++i) {
      CAPTURE(i);
      CHECK(std::isnan(p.out.get(i)) == (i < 40));
      CHECK(std::isnan(p.grad_in.get(i)) == (i < 40));
    }
  });
}

}  // namespace
}  // namespace tarn::testing
