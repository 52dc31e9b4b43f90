#include "tarn/core/indexing.h"
#include "tarn/core/autograd.h"
#include "tarn/core/factories.h"
#include "tarn/core/functions.h"
#include "tarn/core/print.h"
#include "tarn/core/testing.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/tensors.h"

using namespace tarn;
using namespace tarn::indexing;
using tarn::testing::elements;

namespace {

using Longs = std::vector<int64_t>;

// Elements as int64, whatever the dtype.
Longs longs(const Tensor& x) { return elements<int64_t>(x.to(kLong)); }

// Collects warnings while it lives.
struct Warnings : WarningHandler {
  Warnings() { set_warning_handler(this); }
  ~Warnings() override { set_warning_handler(nullptr); }
  void process(const std::string& message) override { texts.push_back(message); }
  std::vector<std::string> texts;
};

}  // namespace

TEST_CASE("indices print as libtorch prints them") {
  CHECK(str(std::vector<TensorIndex>{None, "...", Ellipsis, 0, true, Slice(1, None, 2)}) ==
        "(None, ..., ..., 0, true, 1:4611686018427387903:2)");
  CHECK(str(TensorIndex(tensor({1, 2}))) == " 1\n 2\n[ CPULongType{2} ]");
  CHECK(str(Slice(None, 5)) == "0:5:1");
  CHECK(str(TensorIndex(false)) == "false");
  CHECK_THROWS_WITH_TEXT(TensorIndex(".."),
                         "Expected \"...\" to represent an ellipsis index, but got \"..\"");
  CHECK_THROWS_WITH_TEXT(Slice(0, 1, 0), "slice step cannot be zero");
  CHECK_THROWS_WITH_TEXT(Slice(0, 1, -1), "step must be greater than zero");
}

TEST_CASE("numbers, slices, None and the ellipsis make views") {
  const Tensor x = arange(24).reshape({2, 3, 4});
  CHECK(longs(x.index({1, 2, 3})) == Longs{23});
  CHECK(longs(x.index({-1, 0})) == Longs{12, 13, 14, 15});
  CHECK(x.index({Slice(), 1}).sizes().vec() == Longs{2, 4});
  CHECK(longs(x.index({"...", 0})) == Longs{0, 4, 8, 12, 16, 20});
  CHECK(longs(x.index({0, Ellipsis, 3})) == Longs{3, 7, 11});
  CHECK(longs(x.index({1, Slice(1, None), Slice(None, None, 2)})) == Longs{16, 18, 20, 22});
  CHECK(longs(x.index({0, 0, Slice(-2, 100)})) == Longs{2, 3});
  CHECK(x.index({Slice(2, 1)}).sizes().vec() == Longs{0, 3, 4});
  CHECK(x.index({None, 0, None, "...", None}).sizes().vec() == Longs{1, 1, 3, 4, 1});
  CHECK(x.index({tensor(1)}).data_ptr() == x.select(0, 1).data_ptr());
  CHECK(longs(x[1][2][3]) == Longs{23});
  CHECK(longs(x[tensor(1)][tensor(0)]) == Longs{12, 13, 14, 15});

  const Tensor same = x.index({"..."});
  CHECK_FALSE(same.is_same(x));
  CHECK(same.data_ptr() == x.data_ptr());
}

TEST_CASE("writes through views of basic indexing reach the tensor") {
  const Tensor x = zeros({2, 3});
  x[0] = 1;
  x[1][2] = 5;
  x.index({1, Slice(0, 2)}) = tensor({7.0, 8.0});
  CHECK(longs(x) == Longs{1, 1, 1, 7, 8, 5});
  x.index_put_({Slice(), 1}, 9);
  x.index_put_({0, "..."}, tensor({{2, 3, 4}}));  // converts, and drops the leading 1
  CHECK(longs(x) == Longs{2, 3, 4, 7, 9, 5});
  x.index_put_({1}, ones({3}), /*accumulate=*/true);
  CHECK(longs(x) == Longs{2, 3, 4, 8, 10, 6});
  x.index_put_({"..."}, -1);
  CHECK(longs(x) == Longs(6, -1));
}

TEST_CASE("index tensors gather along their dimension and broadcast") {
  const Tensor x = arange(24).reshape({2, 3, 4});
  CHECK(longs(x.index({0, tensor({2, 0})})) == Longs{8, 9, 10, 11, 0, 1, 2, 3});
  CHECK(longs(x.index({tensor({0, 1}), tensor({-1, 1}), tensor({0, 2})})) == Longs{8, 18});
  CHECK(longs(x.index({tensor({{0}, {1}}), tensor({{0, 2}}), 1})) == Longs{1, 9, 13, 21});
  CHECK(longs(x.index({tensor({1, 1}, kInt), 0, 0})) == Longs{12, 12});
  CHECK(x.index({tensor({{0, 1}, {1, 0}})}).sizes().vec() == Longs{2, 2, 3, 4});
  CHECK(x.index({"...", tensor(std::vector<int64_t>{})}).sizes().vec() == Longs{2, 3, 0});
  CHECK(longs(x[tensor({1, 0})].index({Slice(), 0, 0})) == Longs{12, 0});
}

TEST_CASE("indexed dimensions stay in place if adjacent and move to the front if not") {
  const Tensor x = zeros({2, 3, 4, 5});
  const Tensor i = tensor({0, 1, 1, 0, 1, 1, 0}), j = zeros({7}, kLong);
  CHECK(x.index({Slice(), i, j}).sizes().vec() == Longs{2, 7, 5});
  CHECK(x.index({Slice(), i}).sizes().vec() == Longs{2, 7, 4, 5});
  CHECK(x.index({i, Slice(), j}).sizes().vec() == Longs{7, 3, 5});
  CHECK(x.index({Slice(), i, Slice(), j}).sizes().vec() == Longs{7, 2, 4});
  CHECK(x.index({Slice(), i, 0, j}).sizes().vec() == Longs{2, 7});  // the number is applied first
  CHECK(x.index({Slice(), i, None, j}).sizes().vec() == Longs{7, 2, 1, 5});
  const Tensor y = arange(8).reshape({2, 2, 2});
  CHECK(longs(y.index({tensor({0, 1}), Slice(), tensor({1, 0})})) == Longs{1, 3, 4, 6});
}

TEST_CASE("boolean masks select where they are true") {
  const Tensor x = arange(6).reshape({2, 3});
  CHECK(longs(x.index({x.gt(2)})) == Longs{3, 4, 5});
  CHECK(longs(x.index({tensor({false, true})})) == Longs{3, 4, 5});
  CHECK(longs(x.index({Slice(), tensor({true, false, true})})) == Longs{0, 2, 3, 5});
  CHECK(longs(x.index({tensor({true, true}), tensor({true, false, true})})) == Longs{0, 5});
  CHECK(x.index({zeros({2, 3}, kBool)}).sizes().vec() == Longs{0});
  const Tensor cube = arange(12).reshape({2, 3, 2});
  const Tensor mask = tensor({{true, false, false}, {false, true, true}});
  CHECK(longs(cube.index({mask})) == Longs{0, 1, 8, 9, 10, 11});
  CHECK(longs(cube.index({mask, 1})) == Longs{1, 9, 11});
  CHECK(longs(cube.index({mask, Slice(0, 1)})) == Longs{0, 8, 10});
  CHECK(longs(cube.index({mask, tensor({0, 1, 1})})) == Longs{0, 9, 11});
}

TEST_CASE("single truth values add a dimension of size one or none") {
  const Tensor x = arange(3);
  CHECK(x.index({true}).sizes().vec() == Longs{1, 3});
  CHECK(x.index({false}).sizes().vec() == Longs{0, 3});
  CHECK(x.index({tensor(true)}).sizes().vec() == Longs{1, 3});
  CHECK(tensor(5).index({true}).sizes().vec() == Longs{1});
  x.index_put_({false}, 9);
  CHECK(longs(x) == Longs{0, 1, 2});
  x.index_put_({true}, 9);
  CHECK(longs(x) == Longs{9, 9, 9});
}

TEST_CASE("a uint8 mask works with a warning") {
  const Warnings warnings;
  const Tensor x = arange(3);
  CHECK(longs(x.index({tensor({1, 0, 2}, kByte)})) == Longs{0, 2});
  REQUIRE(warnings.texts.size() == 1);
  CHECK(warnings.texts[0].find("indexing with dtype torch.uint8 is now deprecated") !=
        std::string::npos);
  x.index_put_({tensor({1, 0, 0}, kByte)}, 7);
  CHECK(warnings.texts.size() == 2);
}

TEST_CASE("wrong indices are refused with libtorch's words") {
  const Tensor x = arange(6).reshape({2, 3});
  CHECK_THROWS_WITH_TEXT(x.index({5}), "index 5 is out of bounds for dimension 0 with size 2");
  CHECK_THROWS_WITH_TEXT(x.index({0, -4}), "index -4 is out of bounds for dimension 1 with size 3");
  CHECK_THROWS_WITH_TEXT(x.index({tensor({0}), tensor({3})}),
                         "index 3 is out of bounds for dimension 1 with size 3");
  CHECK_THROWS_WITH_TEXT(x.index({0, 0, 0}), "too many indices for tensor of dimension 2");
  CHECK_THROWS_WITH_TEXT(x.index({zeros({2, 3, 1}, kBool)}),
                         "too many indices for tensor of dimension 2");
  CHECK_THROWS_WITH_TEXT(x.index({"...", "..."}), "single ellipsis");
  CHECK_THROWS_WITH_TEXT(x.index({tensor({1.5})}),
                         "tensors used as indices must be long, int, byte or bool tensors");
  CHECK_THROWS_WITH_TEXT(x.index({tensor(1.5)}), "tensors used as indices must be");
  CHECK_THROWS_WITH_TEXT(x.index({zeros({2, 2}, kBool)}),
                         "The shape of the mask [2, 2] at index 1 does not match the shape of the "
                         "indexed tensor [2, 3] at index 1");
  CHECK_THROWS_WITH_TEXT(
      x.index({tensor({0, 1}), tensor({0, 1, 2})}),
      "shape mismatch: indexing tensors could not be broadcast together with shapes [2], [3]");
  CHECK_THROWS_WITH_TEXT(zeros({2, 0}).index({Slice(), tensor({0})}),
                         "out of bounds for dimension with size 0");
  CHECK_THROWS_WITH_TEXT(zeros({0, 2}).index({tensor({1}), Slice(0, 0)}),
                         "out of bounds for dimension with size 0");
  CHECK_THROWS_WITH_TEXT(tensor(1).index({0}), "invalid index of a 0-dim tensor");
  CHECK_THROWS_WITH_TEXT(x.index({}),
                         "Passing an empty index list to Tensor::index() is not valid syntax");
  CHECK_THROWS_WITH_TEXT(x.index_put_({}, 1),
                         "Passing an empty index list to Tensor::index_put_() is not valid syntax");
  CHECK_THROWS_WITH_TEXT(x[Tensor()], "Can only index with tensors that are defined");
  CHECK_THROWS_WITH_TEXT(x.index({Tensor()}), "undefined");
}

TEST_CASE("index_put_ writes where index tensors and masks say, also through views") {
  const Tensor x = zeros({3, 4});
  x.index_put_({tensor({0, 2}), tensor({1, -1})}, tensor({5.0, 6.0}));
  CHECK(longs(x) == Longs{0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6});
  x.index_put_({x.gt(0)}, 1);
  CHECK(longs(x) == Longs{0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  x.t().index_put_({tensor({0}), tensor({1})}, 3);
  x.index_put_({Slice(None, None, 2), tensor({2, 3})}, tensor({{7.0}, {8.0}}));
  CHECK(longs(x) == Longs{0, 1, 7, 7, 3, 0, 0, 0, 0, 0, 8, 8});
  const Tensor counts = zeros({3}, kLong);
  counts.index_put_({tensor({0, 2, 0})}, ones({3}, kLong), /*accumulate=*/true);
  CHECK(longs(counts) == Longs{2, 0, 1});
  const auto version = x._version();
  x.index_put_({tensor({0})}, 1);
  CHECK(x._version() > version);
}

TEST_CASE("index_put_ may read from what it writes to") {
  const Tensor x = arange(4);
  x.index_put_({tensor({1, 2, 3})}, x.index({Slice(0, 3)}));
  CHECK(longs(x) == Longs{0, 0, 1, 2});
  const Tensor order = tensor({2, 0, 1});
  order.index_put_({order}, tensor({7, 8, 9}));  // the indices are those before the write
  CHECK(longs(order) == Longs{8, 9, 7});
}

TEST_CASE("index_put_ that fails changes nothing") {
  const Tensor x = zeros({4}, kLong);
  CHECK_THROWS_WITH_TEXT(x.index_put_({tensor({0, 1})}, tensor({1, 2, 3})),
                         "shape mismatch: value tensor of shape [3] cannot be broadcast to "
                         "indexing result of shape [2]");
  CHECK_THROWS_WITH_TEXT(x.index_put_({Slice(0, 2)}, tensor({1, 2, 3})), "shape mismatch");
  CHECK_THROWS_WITH_TEXT(x.index_put_({tensor({0, 1})}, tensor({1.5})),
                         "Index put requires the source and destination dtypes match, got Long for "
                         "the destination and Float for the source.");
  CHECK_THROWS_WITH_TEXT(x.index_put_({tensor({0, 9})}, 1),
                         "index 9 is out of bounds for dimension 0 with size 4");
  CHECK_THROWS_AS(zeros({1}).expand({4}).index_put_({tensor({0, 1})}, 1), Error);
  CHECK(longs(x) == Longs(4, 0));
  CHECK(x._version() == 0);
}

TEST_CASE("gather and scatter address positions along one dimension") {
  const Tensor x = arange(6).reshape({2, 3});
  const Tensor index = tensor({{2, 0}, {1, 1}});
  CHECK(longs(x.gather(1, index)) == Longs{2, 0, 4, 4});
  CHECK(longs(x.t().gather(0, index.t())) == Longs{2, 4, 0, 4});
  CHECK(longs(tensor(5).gather(0, tensor(0))) == Longs{5});
  CHECK(longs(zeros({2, 3}, kLong).scatter(1, index, tensor({{1, 2}, {3, 4}}))) ==
        Longs{2, 0, 1, 0, 4, 0});
  CHECK(longs(zeros({2, 3}, kLong).scatter_add(1, index, tensor({{1, 2}, {3, 4}}))) ==
        Longs{2, 0, 1, 0, 7, 0});
  CHECK(longs(zeros({2, 3}, kLong).scatter(1, tensor({{1}}), tensor({{4, 5, 6}, {7, 8, 9}}))) ==
        Longs{0, 4, 0, 0, 0, 0});
  CHECK(longs(zeros({2, 3}, kLong).scatter(-1, index, 9)) == Longs{9, 0, 9, 0, 9, 0});
  CHECK(x.gather(1, empty({0}, kLong)).sizes().vec() == Longs{0});
}

TEST_CASE("gather and scatter refuse shapes, dtypes and positions that do not fit") {
  const Tensor x = arange(6).reshape({2, 3});
  CHECK_THROWS_WITH_TEXT(x.gather(0, tensor({{5, 0, 0}})),
                         "index 5 is out of bounds for dimension 0 with size 2");
  CHECK_THROWS_WITH_TEXT(x.gather(0, tensor({{-1, 0, 0}})),
                         "index -1 is out of bounds for dimension 0 with size 2");
  CHECK_THROWS_WITH_TEXT(x.scatter(0, tensor({{0, -1}}), 1), "index -1 is out of bounds");
  CHECK_THROWS_WITH_TEXT(x.gather(0, tensor({0})),
                         "Index tensor must have the same number of dimensions as input tensor");
  CHECK_THROWS_WITH_TEXT(x.gather(1, zeros({3, 1}, kLong)),
                         "Size does not match at dimension 0 expected index [3, 1]");
  CHECK_THROWS_WITH_TEXT(x.gather(0, zeros({1, 1})), "Expected dtype int64 for index");
  CHECK_THROWS_WITH_TEXT(x.gather(2, tensor({{0}})), "Dimension out of range");
  CHECK_THROWS_WITH_TEXT(x.scatter(0, zeros({1, 3}, kLong), ones({1, 3})),
                         "Expected self.dtype to be equal to src.dtype");
  CHECK_THROWS_WITH_TEXT(x.scatter(0, zeros({2, 3}, kLong), ones({1, 3}, kLong)),
                         "to be no larger than src [1, 3]");
  CHECK_THROWS_AS(x.scatter_(0, zeros({2, 4}, kLong), 1), ShapeError);
}

TEST_CASE("index_select, index_add, index_copy and index_fill work on whole slices") {
  const Tensor x = arange(6).reshape({2, 3});
  CHECK(longs(x.index_select(1, tensor({2, 0}))) == Longs{2, 0, 5, 3});
  CHECK(longs(x.t().index_select(0, tensor({1}, kInt))) == Longs{1, 4});
  CHECK(x.index_select(0, tensor(1)).sizes().vec() == Longs{1, 3});
  CHECK(x.index_select(0, empty({0}, kLong)).sizes().vec() == Longs{0, 3});
  const Tensor rows = tensor({{1, 1, 1}, {2, 2, 2}, {3, 3, 3}});
  CHECK(longs(x.index_add(0, tensor({1, 0, 1}), rows)) == Longs{2, 3, 4, 7, 8, 9});
  CHECK(longs(x.index_add(0, tensor({0}), ones({1, 3}, kLong), 10)) == Longs{10, 11, 12, 3, 4, 5});
  const Tensor y = x.clone();
  y.index_copy_(1, tensor({2, 0}), tensor({{7, 8}, {9, 6}}));
  CHECK(longs(y) == Longs{8, 1, 7, 6, 4, 9});
  y.index_fill_(0, tensor({1}), 5);
  CHECK(longs(y) == Longs{8, 1, 7, 5, 5, 5});
  CHECK_THROWS_WITH_TEXT(x.index_select(0, tensor({7})),
                         "index 7 is out of bounds for dimension 0 with size 2");
  CHECK_THROWS_WITH_TEXT(x.index_select(0, tensor({-1})),
                         "index -1 is out of bounds for dimension 0 with size 2");
  CHECK_THROWS_WITH_TEXT(x.index_select(0, zeros({1, 1}, kLong)),
                         "Index is supposed to be a vector");
  CHECK_THROWS_WITH_TEXT(x.index_add(0, tensor({0}), rows),
                         "Number of indices (1) should be equal to source.size(0)");
  CHECK_THROWS_AS(x.index_add(0, tensor({0}), ones({1, 3})), TypeError);
}

TEST_CASE("nonzero lists positions in row-major order") {
  CHECK(longs(tensor({{0, 1}, {2, 0}}).nonzero()) == Longs{0, 1, 1, 0});
  CHECK(longs(tensor({{0, 1}, {2, 0}}).t().nonzero()) == Longs{0, 1, 1, 0});
  CHECK(longs(tensor({{0, 1, 2}}).t().nonzero()) == Longs{1, 0, 2, 0});
  CHECK(zeros({3, 2}).nonzero().sizes().vec() == Longs{0, 2});
  CHECK(tensor(3).nonzero().sizes().vec() == Longs{1, 0});
  CHECK(tensor(0).nonzero().sizes().vec() == Longs{0, 0});
  CHECK(empty({0, 4}).nonzero().sizes().vec() == Longs{0, 2});
}

TEST_CASE("masked_select and masked_fill broadcast their mask") {
  const Tensor x = arange(6).reshape({2, 3});
  const Tensor columns = tensor({true, false, true});
  CHECK(longs(x.masked_select(columns)) == Longs{0, 2, 3, 5});
  CHECK(longs(tensor({4}).masked_select(columns)) == Longs{4, 4});
  CHECK(longs(x.masked_fill(columns, -1)) == Longs{-1, 1, -1, -1, 4, -1});
  CHECK(x.masked_fill(columns, 1.7).dtype() == kLong);
  CHECK(longs(x.masked_fill(columns, 1.7)) == Longs{1, 1, 1, 1, 4, 1});
  CHECK(longs(x.masked_fill(columns, tensor(8.5))) == Longs{8, 1, 8, 8, 4, 8});
  const Tensor y = x.clone();
  y.masked_fill_(y.gt(3), 0);
  CHECK(longs(y) == Longs{0, 1, 2, 3, 0, 0});
  y.t().masked_fill_(tensor({true, false}), tensor(9));
  CHECK(longs(y) == Longs{9, 9, 9, 3, 0, 0});
  CHECK_THROWS_WITH_TEXT(x.masked_fill(ones({2, 3}), 1), "only supports boolean masks");
  CHECK_THROWS_WITH_TEXT(x.masked_fill(columns, tensor({1})),
                         "only supports a 0-dimensional value tensor");
  CHECK_THROWS_AS(y.masked_fill_(ones({2, 2, 3}, kBool), 1), ShapeError);
  CHECK_THROWS_AS(x.masked_select(ones({2, 2}, kBool)), ShapeError);
  CHECK_THROWS_AS(x.masked_select(ones({3})), TypeError);
}

TEST_CASE("an accessor reads and writes the elements of a view") {
  const Tensor x = arange(6).reshape({2, 3}), transposed = x.t();
  const auto columns = transposed.accessor<int64_t, 2>();
  CHECK(columns.sizes() == IntArrayRef({3, 2}));
  CHECK(columns[2][1] == 5);
  CHECK(columns[1].size(0) == 2);
  columns[0][1] = 9;
  CHECK(longs(x) == Longs{0, 1, 2, 9, 4, 5});
  CHECK_THROWS_WITH_TEXT((x.accessor<int64_t, 1>()),
                         "TensorAccessor expected 1 dims but tensor has 2");
  CHECK_THROWS_AS((x.accessor<float, 2>()), TypeError);
}
