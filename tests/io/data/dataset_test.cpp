#include "tarn/io/data/data.h"

#include <cstring>
#include <filesystem>
#include <numeric>

#include "tarn/tests/io/data/idx_files.h"
#include "tarn/tests/io/scratch.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/tensors.h"

using namespace tarn;
using namespace tarn::testing;
using namespace tarn::data;

namespace {

bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.sizes() == b.sizes() && a.dtype() == b.dtype() &&
         std::memcmp(a.contiguous().data_ptr(), b.contiguous().data_ptr(), a.nbytes()) == 0;
}

// Numbers 0, 1, ...; get_batch and size are all a dataset needs.
struct Counting : datasets::Dataset<Counting, int> {
  int get(size_t index) override { return static_cast<int>(index); }
  std::optional<size_t> size() const override { return 100; }
};

// A dataset as an application writes it: the example in dataset.h.
struct Squares : datasets::Dataset<Squares> {
  Example<> get(size_t index) override {
    const double x = static_cast<double>(index);
    return {tensor(x), tensor(x * x)};
  }
  std::optional<size_t> size() const override { return 1000; }
};

// Like a RowDataset, without its short cut for stacked batches.
struct Rows : datasets::Dataset<Rows> {
  Rows(Tensor x_, Tensor y_) : x(std::move(x_)), y(std::move(y_)) {}
  Example<> get(size_t i) override {
    return {x[static_cast<int64_t>(i)], y[static_cast<int64_t>(i)]};
  }
  std::optional<size_t> size() const override { return static_cast<size_t>(x.size(0)); }
  Tensor x, y;
};

const std::vector<size_t> kSome{4, 0, 4, 2};

}  // namespace

TEST_CASE("a dataset makes batches of its examples in the order asked for") {
  Counting dataset;
  CHECK(dataset.get_batch(kSome) == std::vector<int>{4, 0, 4, 2});
  CHECK(dataset.size() == 100u);
}

TEST_CASE("a dataset of one tensor has its rows as examples") {
  datasets::TensorDataset dataset(eye(5));
  CHECK(dataset.size() == 5u);
  CHECK(equal(dataset.get(2).data, eye(5)[2]));
  const Tensor row = dataset.get(3);  // converts to its data
  CHECK(equal(row, eye(5)[3]));
  CHECK(dataset.get_batch(kSome).size() == 4);
  CHECK(dataset.data().sizes() == IntArrayRef({5, 5}));
}

TEST_CASE("a dataset of a list of tensors has them as examples") {
  const std::vector<Tensor> rows = eye(5).chunk(5);
  datasets::TensorDataset dataset(rows);
  CHECK(equal(dataset.get(2).data, rows[2]));
}

TEST_CASE("a dataset of two tensors has pairs of their rows as examples") {
  const Tensor x = arange(6).reshape({3, 2}), y = arange(3);
  datasets::TensorDataset dataset(x, y);
  CHECK(equal(dataset.get(1).data, tensor({2, 3})));
  CHECK(dataset.get(1).target.item<int64_t>() == 1);
  CHECK(dataset.get(1).target.dim() == 0);
  CHECK(dataset.target().is_same(y));
  CHECK_THROWS_AS(datasets::TensorDataset(x, arange(4)), ShapeError);
  CHECK_THROWS_WITH_TEXT(datasets::TensorDataset(x, arange(4)),
                         "data and targets differ in length: [3, 2] and [4]");
  CHECK_THROWS_WITH_TEXT(datasets::TensorDataset(x, tensor(1)), "differ in length: [3, 2] and []");
  CHECK_THROWS_AS(datasets::TensorDataset(tensor(1.0)), ShapeError);
}

TEST_CASE("an index past the end of a dataset is an IndexError") {
  datasets::TensorDataset dataset(arange(3), arange(3));
  const std::vector<size_t> beyond{0, 3};
  CHECK_THROWS_AS(dataset.get(3), IndexError);
  CHECK_THROWS_AS(dataset.get_batch(beyond), IndexError);
  auto stacked = dataset.map(transforms::Stack<>());
  CHECK_THROWS_AS(stacked.get_batch(beyond), IndexError);
}

TEST_CASE("map applies transforms to every example, one after the other") {
  auto dataset = Counting()
                     .map(transforms::Lambda<int>([](int x) { return x + 1; }))
                     .map(transforms::Lambda<int, std::string>([](int x) { return str(x); }));
  CHECK(dataset.get_batch(kSome) == std::vector<std::string>{"5", "1", "5", "3"});
  CHECK(dataset.size() == 100u);
}

TEST_CASE("map of a named dataset leaves it as it was") {
  Counting dataset;
  auto mapped = dataset.map(transforms::Lambda<int>([](int x) { return -x; }));
  CHECK(mapped.get_batch(kSome)[0] == -4);
  CHECK(dataset.get_batch(kSome)[0] == 4);
  CHECK(mapped.dataset().size() == 100u);
}

TEST_CASE("a batch transform sees the whole batch, and a collation makes one value of it") {
  auto total = Counting().map(transforms::BatchLambda<std::vector<int>, int>(
      [](std::vector<int> batch) { return std::accumulate(batch.begin(), batch.end(), 0); }));
  CHECK(total.get_batch(kSome) == 10);
  auto count = Counting().map(transforms::Collate<size_t, std::vector<int>>(
      [](std::vector<int> batch) { return batch.size(); }));
  CHECK(count.get_batch(kSome) == 4);
}

TEST_CASE("a transform of one's own is one function") {
  struct Double : transforms::Transform<int, double> {
    double apply(int x) override { return 2.0 * x; }
  };
  CHECK(Counting().map(Double()).get_batch(kSome) == std::vector<double>{8, 0, 8, 4});
}

TEST_CASE("TensorLambda changes the data and keeps the target") {
  auto dataset =
      datasets::TensorDataset(arange(3), arange(3)).map(transforms::TensorLambda<>([](Tensor x) {
        return x * 10;
      }));
  const auto batch = dataset.get_batch(std::vector<size_t>{2});
  CHECK(batch[0].data.item<int64_t>() == 20);
  CHECK(batch[0].target.item<int64_t>() == 2);
}

TEST_CASE("Normalize subtracts the mean and divides by the deviation, by channel") {
  transforms::Normalize<> one(2.0, 4.0);
  CHECK(equal(one(full({1, 2, 2}, 10.0)), full({1, 2, 2}, 2.0)));
  transforms::Normalize<> three({1.0, 2.0, 3.0}, {1.0, 2.0, 4.0});
  const Tensor x = full({3, 2, 2}, 5.0);
  const Tensor y = three(x);
  CHECK(elements<float>(y.select(1, 0).select(1, 0)) == std::vector<float>{4, 1.5f, 0.5f});
  CHECK(equal(x, full({3, 2, 2}, 5.0)));
}

TEST_CASE("Stack joins data and targets along a new first dimension") {
  auto squares = Squares().map(transforms::Stack<>());
  const Example<> batch = squares.get_batch(kSome);
  CHECK(elements<float>(batch.data) == std::vector<float>{4, 0, 4, 2});
  CHECK(elements<float>(batch.target) == std::vector<float>{16, 0, 16, 4});
  auto rows = datasets::TensorDataset(eye(5)).map(transforms::Stack<TensorExample>());
  CHECK(rows.get_batch(kSome).data.sizes() == IntArrayRef({4, 5}));
}

TEST_CASE("Stack of examples of different shapes is an error") {
  std::vector<TensorExample> examples{ones({2}), ones({3})};
  CHECK_THROWS_AS(transforms::Stack<TensorExample>().apply_batch(examples), Error);
}

TEST_CASE("a batch gathered at once equals the stacked examples bit by bit") {
  manual_seed(1);
  for (const std::vector<int64_t>& sizes :
       {std::vector<int64_t>{9, 3, 4, 5}, {9, 1, 5, 3}, {9, 3, 7}, {9, 4}, {9}}) {
    CAPTURE(sizes);
    const Tensor x = randn(sizes), y = arange(9);
    const datasets::TensorDataset fast(x, y);
    const Rows slow(x, y);
    {
      const Example<> a = datasets::TensorDataset(fast).map(transforms::Stack<>()).get_batch(kSome);
      const Example<> b = Rows(slow).map(transforms::Stack<>()).get_batch(kSome);
      CHECK(same_bytes(a.data, b.data));
      CHECK(same_bytes(a.target, b.target));
    }
    for (const bool channels : {false, true}) {
      const auto normalize = channels ? transforms::Normalize<>({0.1, 0.2, 0.3}, {1.1, 1.2, 1.3})
                                      : transforms::Normalize<>(0.3, 0.7);
      // Two channels cannot be made three.
      if (channels && sizes.size() == 4 && sizes[1] != 3 && sizes[1] != 1) continue;
      auto a = datasets::TensorDataset(fast).map(normalize).map(transforms::Stack<>());
      auto b = Rows(slow).map(normalize).map(transforms::Stack<>());
      CHECK(same_bytes(a.get_batch(kSome).data, b.get_batch(kSome).data));
    }
  }
}

TEST_CASE("a dataset of a transposed tensor gives its rows") {
  const Tensor x = arange(12).reshape({3, 4}).t();
  const Example<> batch = datasets::TensorDataset(x, arange(4))
                              .map(transforms::Stack<>())
                              .get_batch(std::vector<size_t>{1, 3});
  CHECK(equal(batch.data, tensor({{1, 5, 9}, {3, 7, 11}})));
}

TEST_CASE("MNIST reads images in [0, 1] and classes, plain, gzip and as torchvision stores them") {
  const Scratch folder;
  std::filesystem::create_directories(folder / "MNIST/raw");
  const bool gzip = GENERATE(false, true);
  const std::string where = GENERATE("", "MNIST/raw/");
  const std::string ending = gzip ? ".gz" : "";
  const auto put = [&](const std::string& name, const std::string& bytes) {
    folder.put(where + name + ending, gzip ? gzipped(bytes) : bytes);
  };
  put("train-images-idx3-ubyte", idx_images(12, 28, 28, 3));
  put("train-labels-idx1-ubyte", idx_labels(12));
  put("t10k-images-idx3-ubyte", idx_images(2, 28, 28, 5));
  put("t10k-labels-idx1-ubyte", idx_labels(2));

  datasets::MNIST train(folder / "");
  CHECK(train.is_train());
  CHECK(train.size() == 12u);
  CHECK(train.images().sizes() == IntArrayRef({12, 1, 28, 28}));
  CHECK(train.images().dtype() == kFloat32);
  CHECK(train.targets().dtype() == kInt64);
  CHECK(elements<int64_t>(train.targets()) ==
        std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1});
  const auto pixels = elements<float>(train.images());
  CHECK(pixels[0] == 3.0f / 255.0f);
  CHECK(pixels[247] == 250.0f / 255.0f);
  CHECK(train.get(11).data.sizes() == IntArrayRef({1, 28, 28}));
  CHECK(train.get(11).target.item<int64_t>() == 1);

  datasets::MNIST test(folder / "", datasets::MNIST::Mode::kTest);
  CHECK_FALSE(test.is_train());
  CHECK(test.size() == 2u);
  CHECK(elements<float>(test.images())[0] == 5.0f / 255.0f);
}

TEST_CASE("MNIST says which file is absent and what to do") {
  const Scratch folder;
  CHECK_THROWS_AS(datasets::MNIST(folder / "nowhere"), IOError);
  CHECK_THROWS_WITH_TEXT(
      datasets::MNIST(folder / "nowhere"),
      "[MNIST] Error opening images file at " + (folder / "nowhere") + "/train-images-idx3-ubyte");
  CHECK_THROWS_WITH_TEXT(datasets::MNIST(folder / "nowhere"), "HINT: download the four files");
  CHECK_THROWS_WITH_TEXT(datasets::FashionMNIST(folder / "nowhere"),
                         "HINT: apt-get install dataset-fashion-mnist");
  folder.put("t10k-images-idx3-ubyte", idx_images(2, 28, 28));
  CHECK_THROWS_WITH_TEXT(datasets::FashionMNIST(folder / "", datasets::FashionMNIST::Mode::kTest),
                         "[FashionMNIST] Error opening targets file at");
}

TEST_CASE("MNIST refuses files that are not images and labels of one count") {
  const Scratch folder;
  const auto read = [&] { return datasets::MNIST(folder / ""); };
  folder.put("train-images-idx3-ubyte", idx_images(4, 28, 28));
  folder.put("train-labels-idx1-ubyte", idx_labels(3));
  CHECK_THROWS_AS(read(), IOError);
  CHECK_THROWS_WITH_TEXT(read(), "targets are uint8, one for each of 4 images, got Byte [3]");
  folder.put("train-labels-idx1-ubyte", idx_images(4, 1, 1));
  CHECK_THROWS_WITH_TEXT(read(), "targets are uint8, one for each of 4 images, got Byte [4, 1, 1]");
  folder.put("train-images-idx3-ubyte", idx_labels(4));
  CHECK_THROWS_WITH_TEXT(read(), "images are uint8 (count, height, width), got Byte [4]");
  folder.put("train-images-idx3-ubyte", idx_header(0x0D, {1, 1, 1}) + be32(0));
  CHECK_THROWS_WITH_TEXT(read(), "images are uint8 (count, height, width), got Float [1, 1, 1]");
}

TEST_CASE("FashionMNIST finds Debian's files") {
  if (!std::filesystem::exists(datasets::FashionMNIST::kDebianFolder)) {
    WARN("dataset-fashion-mnist is not installed");
    return;
  }
  const datasets::FashionMNIST test(datasets::FashionMNIST::Mode::kTest);
  CHECK(test.images().sizes() == IntArrayRef({10000, 1, 28, 28}));
  CHECK(test.images().max().item<float>() == 1.0f);
  CHECK(test.images().min().item<float>() == 0.0f);
  // A thousand of each class.
  for (int label = 0; label < 10; ++label) {
    CHECK(test.targets().eq(label).sum().item<int64_t>() == 1000);
  }
  // Sums of the published files.
  CHECK(test.images().mul(255).round().to(kInt64).sum().item<int64_t>() == 573469082);
  CHECK(test.targets().slice(0, 0, 5).equal(tensor({9, 2, 1, 1, 6})));
}
