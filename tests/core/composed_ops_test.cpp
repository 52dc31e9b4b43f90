// Ops made of others: values by hand, gradients numerically.
#include <cmath>
#include <limits>

#include "tarn/core/indexing.h"
#include "tarn/core/tensor.h"
#include "tarn/core/testing.h"
#include "tarn/tests/support/catch.h"

namespace tarn {
namespace {

using Inputs = std::vector<Tensor>;

void check_gradients(const testing::TensorFunction& f, Inputs inputs) {
  for (Tensor& t : inputs) t = (t.to(kDouble) * 0.37 + 0.5).detach().requires_grad_();
  CHECK(testing::gradcheck(f, inputs));
  CHECK(testing::gradgradcheck([&](const Inputs& in) { return f(in).square(); }, inputs));
}

Tensor counted(IntArrayRef sizes) {
  int64_t n = 1;
  for (int64_t s : sizes) n *= s;
  return arange(n).reshape(sizes);
}

TEST_CASE("roll turns dimensions, and all elements without one") {
  const Tensor x = counted({2, 3});
  CHECK(equal(x.roll(1, 1), tensor({{2, 0, 1}, {5, 3, 4}})));
  CHECK(equal(x.roll(-1, 0), tensor({{3, 4, 5}, {0, 1, 2}})));
  CHECK(equal(x.roll({1, 4}, {0, 1}), tensor({{5, 3, 4}, {2, 0, 1}})));
  CHECK(equal(roll(x, 1), tensor({{5, 0, 1}, {2, 3, 4}})));
  CHECK(zeros({0, 3}).roll(1, 0).sizes() == IntArrayRef({0, 3}));
  CHECK_THROWS_WITH_TEXT(x.roll({1, 2}, {0}), "shifts and dimensions must align");
  check_gradients([](const Inputs& in) { return in[0].roll(1, 1); }, {x});
}

TEST_CASE("repeat_interleave repeats each element") {
  const Tensor x = counted({2, 2});
  CHECK(equal(x.repeat_interleave(2), tensor({0, 0, 1, 1, 2, 2, 3, 3})));
  CHECK(equal(x.repeat_interleave(2, 0), tensor({{0, 1}, {0, 1}, {2, 3}, {2, 3}})));
  CHECK(equal(x.repeat_interleave(2, -1), tensor({{0, 0, 1, 1}, {2, 2, 3, 3}})));
  CHECK(x.repeat_interleave(0, 0).sizes() == IntArrayRef({0, 2}));
  check_gradients([](const Inputs& in) { return in[0].repeat_interleave(3, 1); }, {x});
}

TEST_CASE("tensor_split makes parts whose lengths differ by at most 1") {
  const std::vector<Tensor> parts = counted({7}).tensor_split(3);
  REQUIRE(parts.size() == 3);
  CHECK(equal(parts[0], tensor({0, 1, 2})));
  CHECK(equal(parts[1], tensor({3, 4})));
  CHECK(equal(parts[2], tensor({5, 6})));
  CHECK(counted({2}).tensor_split(3)[2].numel() == 0);
  CHECK_THROWS_WITH_TEXT(counted({2}).tensor_split(0), "number of sections must be larger than 0");
}

TEST_CASE("cross is the vector product along a dimension of size 3") {
  const Tensor a = tensor({1, 2, 3}), b = tensor({4, 5, 6});
  CHECK(equal(cross(a, b), tensor({-3, 6, -3})));
  CHECK(equal(stack({a, b}, 1).cross(stack({b, a}, 1)), tensor({{-3, 3}, {6, -6}, {-3, 3}})));
  CHECK(equal(stack({a, b}).cross(b, 1)[0], tensor({-3, 6, -3})));
  CHECK_THROWS_WITH_TEXT(a.cross(tensor({1}), 5), "Dimension out of range");
  check_gradients([](const Inputs& in) { return in[0].cross(in[1]); }, {a, b});
}

TEST_CASE("products with an addend: addmv, baddbmm, addmm_") {
  const Tensor m = tensor({{1., 2.}, {3., 4.}}), v = tensor({1., -1.});
  CHECK(equal(v.addmv(m, v, 2, 3), tensor({-1., -5.})));
  CHECK(equal(baddbmm(ones({1, 1, 1}), m.unsqueeze(0), m.unsqueeze(0), 1, 2),
              tensor({{{15., 21.}, {31., 45.}}})));
  const Tensor sum = ones({2, 2});
  sum.addmm_(m, m);
  CHECK(equal(sum, tensor({{8., 11.}, {16., 23.}})));
  check_gradients([](const Inputs& in) { return in[1].addmv(in[0], in[1], 2, 3); }, {m, v});
  check_gradients([](const Inputs& in) { return in[0].baddbmm(in[1], in[2], 2, 3); },
                  {ones({2, 1, 2}), counted({2, 2, 3}), counted({2, 3, 2})});
  CHECK_THROWS_WITH_TEXT(ones({3, 3}).addmm(m, m, 0), "must match the existing size");
}

TEST_CASE("products of batches with an inner dimension of 0") {
  CHECK(equal(matmul(zeros({2, 3, 0}), zeros({0})), zeros({2, 3})));
  CHECK(equal(linear(zeros({2, 3, 0}), zeros({4, 0}), ones({4})), ones({2, 3, 4})));
}

TEST_CASE("diag and trace") {
  const Tensor x = counted({2, 3});
  CHECK(equal(x.diag(), tensor({0, 4})));
  CHECK(equal(x.diag(1), tensor({1, 5})));
  CHECK(equal(diag(tensor({1, 2}), -1), tensor({{0, 0, 0}, {1, 0, 0}, {0, 2, 0}})));
  CHECK(x.trace().item<int64_t>() == 4);
  check_gradients([](const Inputs& in) { return in[0].diag() * in[0].trace(); }, {x});
  check_gradients([](const Inputs& in) { return in[0].diag(1); }, {tensor({1, 2})});
}

TEST_CASE("median is the lower of the two in the middle, and NaN where there is one") {
  CHECK(median(tensor({3, 1, 4, 2})).item<int64_t>() == 2);
  const auto [values, indices] = tensor({{3, 1, 2}, {9, 7, 8}}).median(1);
  CHECK(equal(values, tensor({2, 8})));
  CHECK(equal(indices, tensor({2, 2})));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(std::get<1>(tensor({1., nan, 2.}).median(0)).item<int64_t>() == 1);
  CHECK(std::isnan(tensor({1., nan, 2.}).median().item<double>()));
  CHECK(std::isnan(zeros({0}).median().item<double>()));
  check_gradients([](const Inputs& in) { return std::get<0>(in[0].median(1)); },
                  {tensor({{3, 1, 2}, {9, 7, 8}})});
}

TEST_CASE("meshgrid and where give coordinates") {
  const std::vector<Tensor> grid = meshgrid({tensor({0, 1}), tensor({5, 6, 7})});
  CHECK(equal(grid[0], tensor({{0, 0, 0}, {1, 1, 1}})));
  CHECK(equal(grid[1], tensor({{5, 6, 7}, {5, 6, 7}})));
  CHECK(meshgrid({tensor({0, 1}), tensor({5, 6, 7})}, "xy")[0].sizes() == IntArrayRef({3, 2}));
  const std::vector<Tensor> places = where(tensor({{0, 1}, {1, 1}}));
  CHECK(equal(places[0], tensor({0, 1, 1})));
  CHECK(equal(places[1], tensor({1, 0, 1})));
  CHECK(where(tensor(1)).size() == 1);
}

TEST_CASE("logspace and tensors like another one") {
  testing::assert_close(logspace(0, 3, 4), tensor({1., 10., 100., 1000.}));
  testing::assert_close(logspace(0, 3, 4, 2, kDouble), tensor({1., 2., 4., 8.}, kDouble));
  const Tensor x = ones({2}, kDouble);
  CHECK(equal(x.new_zeros({2, 2}), zeros({2, 2}, kDouble)));
  CHECK(equal(x.new_ones(3, kInt), ones(3, kInt)));
  CHECK(equal(x.new_full({2}, 7), full({2}, 7, kDouble)));
  CHECK(x.new_empty({4}).dtype() == kDouble);
}

TEST_CASE("shapes are changed in place, unless gradients are wanted") {
  const Tensor x = counted({1, 2, 1});
  CHECK(x.squeeze_().sizes() == IntArrayRef({2}));
  CHECK(x.unsqueeze_(0).sizes() == IntArrayRef({1, 2}));
  CHECK(x.t_().sizes() == IntArrayRef({2, 1}));
  CHECK(x.squeeze_(1).sizes() == IntArrayRef({2}));
  CHECK_THROWS_WITH_TEXT(ones({1, 2}).requires_grad_().squeeze_(), "without _");
  CHECK(counted({6}).view({2, 3}).resize_({2, 2}).sizes() == IntArrayRef({2, 2}));
}

TEST_CASE("indexed writes to a copy") {
  const Tensor x = zeros({3}), index = tensor({0, 2});
  CHECK(equal(x.index_put({index}, tensor({1., 2.})), tensor({1., 0., 2.})));
  CHECK(equal(x.index_fill(0, index, 4), tensor({4., 0., 4.})));
  CHECK(equal(x.index_copy(0, index, tensor({5., 6.})), tensor({5., 0., 6.})));
  CHECK(equal(x, zeros({3})));
  CHECK(tensor({{true, true}, {true, true}}).tril().dtype() == kBool);
}

}  // namespace
}  // namespace tarn
