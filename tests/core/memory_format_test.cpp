// How results lie in memory. The strides are those torch 2.13 gives.
#include "tarn/core/autograd.h"
#include "tarn/core/tensor.h"
#include "tarn/tests/support/catch.h"

namespace tarn {
namespace {

Tensor counted(IntArrayRef sizes) {
  int64_t n = 1;
  for (int64_t s : sizes) n *= s;
  return arange(n, kFloat).reshape(sizes);
}

struct Inputs {
  Tensor cube = counted({2, 3, 4}).permute({2, 0, 1});          // (4, 2, 3), strides 1 12 4
  Tensor rows = counted({2, 3}), turned = counted({3, 2}).t();  // (2, 3)
  Tensor image = counted({2, 4, 5, 3}).permute({0, 3, 1, 2});   // channels last
  Tensor gaps = counted({3, 4}).slice(1, 0, 4, 2);              // (3, 2), strides 4 2
  Tensor repeated = counted({3}).expand({2, 3});                // strides 0 1
};

void check_strides(const Tensor& t, IntArrayRef expected) {
  CHECK(t.strides().vec() == expected.vec());
}

TEST_CASE("copies keep the order of dimensions in memory") {
  const Inputs in;
  check_strides(in.cube.clone(), {1, 12, 4});
  check_strides(in.cube.to(kHalf), {1, 12, 4});
  check_strides(in.turned.to(kFloat, false, /*copy=*/true), {1, 2});
  check_strides(in.turned.clone(MemoryFormat::Contiguous), {3, 1});
  check_strides(in.turned.contiguous(), {3, 1});
  check_strides(in.gaps.clone(), {2, 1});
  check_strides(in.repeated.clone(), {3, 1});
  check_strides(zeros_like(in.cube), {1, 12, 4});
  check_strides(zeros_like(in.repeated), {3, 1});
  CHECK(equal(in.cube.clone(), in.cube.contiguous()));
}

TEST_CASE("a copy whose elements have gaps is contiguous in another dtype, ordered in the same") {
  const Tensor x = counted({4, 6}).slice(1, 0, 6, 2).t();  // (3, 4), strides 2 6
  check_strides(x.clone(), {1, 3});
  check_strides(x.to(kDouble), {4, 1});
}

TEST_CASE("pointwise results are laid out as their operands are, the first having the first say") {
  const Inputs in;
  check_strides(in.cube + 1, {1, 12, 4});
  check_strides(in.cube * in.cube.contiguous(), {1, 12, 4});
  check_strides(in.cube.contiguous() * in.cube, {6, 3, 1});
  check_strides(in.turned + in.rows, {1, 2});
  check_strides(in.rows + in.turned, {3, 1});
  check_strides(in.turned < 1, {1, 2});
  check_strides(2 - in.turned, {1, 2});
  check_strides(in.image.relu(), {60, 1, 15, 3});
  check_strides(in.image + ones({3, 1, 1}), {60, 1, 15, 3});
  check_strides(ones({3, 1, 1}) + in.image, {60, 1, 15, 3});
  check_strides(where(in.image > 5, in.image, in.image.contiguous()), {60, 1, 15, 3});
  check_strides(in.cube + arange(3.0), {1, 12, 4});
  check_strides(in.turned + ones({1, 2, 3}), {6, 1, 2});
  check_strides(in.repeated + in.turned, {1, 2});
  check_strides(in.gaps + 1, {2, 1});
  check_strides(in.cube.unsqueeze(1) * in.cube.unsqueeze(1), {1, 24, 12, 4});
  CHECK(equal(in.cube + in.cube.contiguous(), in.cube.contiguous() * 2));
}

TEST_CASE("sorting keeps the order of dimensions, reductions and products do not") {
  const Inputs in;
  const auto [values, indices] = in.turned.sort();
  check_strides(values, {1, 2});
  check_strides(indices, {1, 2});
  check_strides(std::get<0>(in.cube.max(0)), {3, 1});
  check_strides(in.cube.sum(1), {3, 1});
  check_strides(in.turned.mm(in.turned.t()), {2, 1});
}

TEST_CASE("what has to be contiguous is: reshape and repeat of permuted tensors") {
  const Inputs in;
  CHECK(equal(in.cube.reshape({24}), in.cube.contiguous().view({24})));
  CHECK(equal(in.turned.repeat({1, 2}), cat({in.turned, in.turned}, 1)));
}

TEST_CASE("a gradient is laid out as its leaf is, and contiguous where that has gaps") {
  const Tensor rows = counted({2, 3}).clone().requires_grad_();
  (rows.t() * counted({3, 2})).sum().backward();
  check_strides(rows.grad(), {3, 1});

  const Tensor turned = counted({3, 2}).t().detach().requires_grad_();
  (turned * counted({2, 3})).sum().backward();
  check_strides(turned.grad(), {1, 2});
  CHECK(equal(turned.grad(), counted({2, 3})));

  const Tensor gaps = counted({3, 4}).slice(1, 0, 4, 2).detach().requires_grad_();
  (gaps * gaps).sum().backward();
  check_strides(gaps.grad(), {2, 1});
}

}  // namespace
}  // namespace tarn
