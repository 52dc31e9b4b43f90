#include "tarn/core/random.h"
#include "tarn/core/tensor.h"
#include "tarn/core/testing.h"
#include "tarn/tests/support/catch.h"

namespace tarn {
namespace {

Tensor counted(IntArrayRef sizes) {
  int64_t n = 1;
  for (int64_t s : sizes) n *= s;
  return arange(n, kDouble).reshape(sizes);
}

void check_gradients(const testing::TensorFunction& f, IntArrayRef sizes) {
  const Tensor x = counted(sizes).clone().requires_grad_();
  // Squared, so that second derivatives are not all zero.
  const testing::TensorFunction squared = [&](const std::vector<Tensor>& in) {
    return f({in[0] * in[0]});
  };
  CHECK(testing::gradcheck(squared, {x}));
  CHECK(testing::gradgradcheck(squared, {x}));
}

TEST_CASE("views share bytes and have the strides PyTorch gives them") {
  const Tensor x = counted({2, 3, 4});
  CHECK(x.permute({2, 0, 1}).strides() == IntArrayRef({1, 12, 4}));
  CHECK(x.transpose(0, -1).sizes() == IntArrayRef({4, 3, 2}));
  CHECK(x.select(1, -1).storage_offset() == 8);
  CHECK(x.slice(2, 1, 4, 2).strides() == IntArrayRef({12, 4, 2}));
  CHECK(x.unsqueeze(1).sizes() == IntArrayRef({2, 1, 3, 4}));
  CHECK(x.unsqueeze(-1).squeeze(-1).sizes() == x.sizes());
  CHECK(x.narrow(0, 1, 1).squeeze().sizes() == IntArrayRef({3, 4}));
  CHECK(x.expand({5, 2, 3, 4}).strides() == IntArrayRef({0, 12, 4, 1}));
  CHECK(x.flatten(1).sizes() == IntArrayRef({2, 12}));
  CHECK(x.unflatten(2, {2, -1}).sizes() == IntArrayRef({2, 3, 2, 2}));
  CHECK(x.movedim(0, 2).sizes() == IntArrayRef({3, 4, 2}));
  CHECK(x.diagonal(1, 1, 2).sizes() == IntArrayRef({2, 3}));
  CHECK(x.unfold(2, 2, 1).sizes() == IntArrayRef({2, 3, 3, 2}));
  CHECK(x.view({6, -1}).sizes() == IntArrayRef({6, 4}));
  for (const Tensor& v :
       {x.permute({2, 0, 1}), x[1], x.view({-1}), x.expand({2, 2, 3, 4}), x.diagonal()}) {
    CHECK(v.is_view());
    CHECK(v.storage().is_same(x.storage()));
  }
  x[1][2][3] = 100;
  CHECK(x.transpose(0, 2)[3][2][1].item<double>() == 100);
}

TEST_CASE("reshape copies only where no strides fit, and view says so") {
  const Tensor x = counted({2, 3}), turned = x.t();
  CHECK(x.reshape({3, 2}).storage().is_same(x.storage()));
  CHECK_FALSE(turned.reshape({6}).storage().is_same(x.storage()));
  CHECK(equal(turned.reshape({6}), tensor({0., 3., 1., 4., 2., 5.}, kDouble)));
  CHECK_THROWS_WITH_TEXT(turned.view({6}), "view size");
  CHECK_THROWS_WITH_TEXT(x.view({4}), "shape '[4]' is invalid for input of size 6");
  CHECK_THROWS_WITH_TEXT(x.view({-1, -1}), "only one dimension can be inferred");
  CHECK_THROWS_WITH_TEXT(empty({0}).view({-1, 0}), "ambiguous");
  CHECK(counted({4, 1, 6}).transpose(0, 1).view({2, 2, 6}).sizes() == IntArrayRef({2, 2, 6}));
}

TEST_CASE("joining and splitting undo each other") {
  const Tensor x = counted({4, 3});
  CHECK(equal(cat(x.split(1)), x));
  CHECK(equal(cat(x.split({1, 3})), x));
  CHECK(equal(cat(x.chunk(3)), x));
  CHECK(x.chunk(3).size() == 2);
  CHECK(equal(stack(x.unbind()), x));
  CHECK(equal(stack(x.unbind(1), 1), x));
  CHECK(equal(vstack({x[0], x[1]}), x.narrow(0, 0, 2)));
  CHECK(hstack({x, x}).sizes() == IntArrayRef({4, 6}));
  CHECK(cat({ones({2}, kInt), ones({1}, kFloat)}).dtype() == kFloat);
  CHECK(cat({empty({0}), x}).sizes() == x.sizes());
  CHECK_THROWS_WITH_TEXT(cat({x, ones({4, 3, 1}, kDouble)}),
                         "Tensors must have same number of dimensions: got 2 and 3");
  CHECK_THROWS_WITH_TEXT(
      cat({x, ones({4, 2}, kDouble)}),
      "Sizes of tensors must match except in dimension 0. Expected size 3 but got size 2");
  CHECK_THROWS_WITH_TEXT(
      stack({x, x[0]}),
      "stack expects each tensor to be equal size, but got [4, 3] at entry 0 and [3] at entry 1");
  CHECK_THROWS_WITH_TEXT(x.split({1, 1}), "sum exactly to 4");
}

TEST_CASE("repeat, flip, tril and triu place elements as PyTorch does") {
  const Tensor x = counted({2, 2});
  CHECK(equal(x.repeat({1, 2}), tensor({{0., 1., 0., 1.}, {2., 3., 2., 3.}}, kDouble)));
  CHECK(x.repeat({3, 1, 1}).sizes() == IntArrayRef({3, 2, 2}));
  CHECK(equal(x.flip({0, 1}), tensor({{3., 2.}, {1., 0.}}, kDouble)));
  CHECK(equal(ones({3, 3}).tril(-1).sum(), tensor(3.0)));
  CHECK(equal(ones({3, 3}).triu(1), ones({3, 3}) - ones({3, 3}).tril()));
}

TEST_CASE("shape operations have right first and second derivatives") {
  check_gradients([](auto in) { return in[0].reshape({4, 3}).t().flatten(); }, {2, 6});
  check_gradients(
      [](auto in) {
        return in[0].permute({1, 2, 0}).slice(0, 1, 3, 2).select(1, 1);
      },
      {2, 3, 4});
  check_gradients([](auto in) { return in[0].expand({3, 2, 4}).narrow(2, 1, 2); }, {2, 4});
  check_gradients([](auto in) { return in[0].as_strided({3, 2}, {1, 2}, 1); }, {2, 3});
  check_gradients([](auto in) { return in[0].t().as_strided({2, 2}, {1, 1}); }, {2, 3});
  check_gradients([](auto in) { return in[0].diagonal(1).unsqueeze(0).squeeze(); }, {3, 3});
  check_gradients([](auto in) { return in[0].unfold(0, 3, 1); }, {5});
  check_gradients([](auto in) { return in[0].transpose(0, 1).unfold(1, 2, 2); }, {5, 2});
  check_gradients([](auto in) { return in[0].repeat({2, 3}).flip({1}); }, {2, 2});
  check_gradients([](auto in) { return cat({in[0], in[0] * 2}, 1).tril(); }, {2, 2});
  check_gradients([](auto in) { return stack(in[0].unbind(1)).triu(); }, {2, 2});
  check_gradients([](auto in) { return in[0].sum_to_size({1, 3}) * in[0]; }, {2, 3});
  check_gradients([](auto in) { return in[0].clone().to(kDouble).contiguous(); }, {2});
}

TEST_CASE("copies convert, broadcast and refuse what does not fit") {
  const Tensor x = zeros({2, 3});
  x.copy_(tensor({1, 2, 3}));
  CHECK(equal(x, tensor({{1., 2., 3.}, {1., 2., 3.}})));
  CHECK(x.to(kLong).dtype() == kLong);
  CHECK(x.to(kFloat).is_same(x));
  CHECK(x.to(Device("cpu")).is_same(x));
  CHECK_FALSE(x.to(kFloat, false, true).is_same(x));
  CHECK(x.clone().storage().is_same(x.storage()) == false);
  CHECK(x.t().contiguous().is_contiguous());
  CHECK(x.detach().storage().is_same(x.storage()));
  CHECK_THROWS_WITH_TEXT(x.copy_(ones({4})), "must match the existing size");
  CHECK_THROWS_AS(x.to(Device("cuda:100")), DeviceError);
  CHECK_THROWS_WITH_TEXT(x.to(requires_grad(true)), "requires_grad");
  CHECK(tensor({1.9, -1.9}).to(kInt)[1].item<int>() == -1);
  const Tensor grown = arange(4, kFloat);
  grown.resize_({2, 3});
  CHECK(grown.sizes() == IntArrayRef({2, 3}));
  CHECK(grown[1][0].item<float>() == 3);
}

TEST_CASE("the gradient of a conversion comes back in the original dtype") {
  const Tensor x = ones({2}).requires_grad_();
  (x.to(kDouble) * 2).sum().backward();
  CHECK(x.grad().dtype() == kFloat);
  CHECK(equal(x.grad(), full({2}, 2.0)));
}

TEST_CASE("data() shares bytes but neither history nor versions") {
  const Tensor x = ones({2}).requires_grad_();
  const Tensor y = x * x;
  x.data().mul_(5);
  y.sum().backward();  // not noticed, as in PyTorch
  CHECK(equal(x.grad(), full({2}, 10.0)));
  x.set_data(zeros({3}));
  CHECK(x.sizes() == IntArrayRef({3}));
}

TEST_CASE("a tensor over a storage must lie inside it") {
  const Storage storage = Storage::allocate(6 * sizeof(float), kCPU);
  CHECK(Tensor::from_storage(storage, kFloat, {2, 3}, {3, 1}).numel() == 6);
  CHECK_THROWS_WITH_TEXT(Tensor::from_storage(storage, kFloat, {2, 3}, {3, 1}, 1), "out of bounds");
  CHECK_THROWS_WITH_TEXT(Tensor::from_storage(storage, kFloat, {2}, {-1}), "Negative strides");
  CHECK_THROWS_WITH_TEXT(
      Tensor::from_storage(storage, kFloat, {int64_t{1} << 62, 4}, {int64_t{1} << 62, 1}),
      "overflow");
  CHECK_THROWS_WITH_TEXT(arange(4).as_strided({5}, {1}), "out of bounds");
}

TEST_CASE("indexing errors name dimension and size") {
  const Tensor x = counted({2, 5});
  CHECK_THROWS_WITH_TEXT(x.select(1, 5), "index 5 is out of bounds for dimension 1 with size 5");
  CHECK_THROWS_WITH_TEXT(tensor(1.0)[0], "invalid index of a 0-dim tensor");
  CHECK_THROWS_WITH_TEXT(x.narrow(0, 1, 2), "exceeds dimension size (2)");
  CHECK_THROWS_WITH_TEXT(x.transpose(0, 2),
                         "Dimension out of range (expected to be in range of [-2, 1], but got 2)");
  CHECK_THROWS_WITH_TEXT(x.permute({0, 0}), "duplicate dims are not allowed");
  CHECK_THROWS_WITH_TEXT(x.expand({3, 5}), "must match the existing size");
}

}  // namespace
}  // namespace tarn
