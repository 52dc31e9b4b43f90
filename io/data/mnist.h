#pragma once
// MNIST (http://yann.lecun.com/exdb/mnist/) and Fashion-MNIST
// (https://github.com/zalandoresearch/fashion-mnist): 70,000 grey images of 28 x 28 in 10 classes.

#include <string>
#include <utility>

#include "tarn/io/data/tensor_dataset.h"

namespace tarn::data::datasets {

enum class MnistMode { kTrain, kTest };

namespace detail {

template <typename Self>
class MnistFiles : public RowDataset<Self, Tensor> {
 public:
  using Mode = MnistMode;

  // float32 (n, 1, 28, 28) in [0, 1].
  const Tensor& images() const { return this->rows_.data; }
  // int64 (n), the classes.
  const Tensor& targets() const { return this->rows_.target; }
  bool is_train() const noexcept { return mode_ == Mode::kTrain; }

 protected:
  MnistFiles(Example<> rows, Mode mode) : RowDataset<Self, Tensor>(std::move(rows)), mode_(mode) {}

 private:
  Mode mode_;
};

}  // namespace detail

// Reads train-images-idx3-ubyte and train-labels-idx1-ubyte, or the t10k-... pair for the test
// images, as they are or with .gz, from `root` or, as torchvision stores them, root/MNIST/raw.
// Example i is {image (1, 28, 28), class ()}. Throws IOError where the files are absent or damaged.
class MNIST : public detail::MnistFiles<MNIST> {
 public:
  explicit MNIST(const std::string& root, Mode mode = Mode::kTrain);
};

// The same for Fashion-MNIST (root/FashionMNIST/raw). By default from where Debian's package
// dataset-fashion-mnist puts the files.
class FashionMNIST : public detail::MnistFiles<FashionMNIST> {
 public:
  static constexpr const char* kDebianFolder = "/usr/share/datasets/fashion-mnist";

  explicit FashionMNIST(const std::string& root = kDebianFolder, Mode mode = Mode::kTrain);
  explicit FashionMNIST(Mode mode) : FashionMNIST(kDebianFolder, mode) {}
};

}  // namespace tarn::data::datasets
