#include "tarn/io/data/mnist.h"

#include <filesystem>

#include "tarn/io/data/idx.h"

namespace tarn::data::datasets {
namespace {

// The path of `file` or file.gz under root; throws if there is none.
std::string find_file(const char* dataset, const std::string& root, const std::string& file,
                      const char* what, const char* hint) {
  const std::string folders[] = {root, root + "/" + dataset + "/raw"};
  for (const std::string& folder : folders) {
    for (const char* ending : {"", ".gz"}) {
      const std::string path = folder + "/" + file + ending;
      std::error_code ignored;
      if (std::filesystem::exists(path, ignored)) return path;
    }
  }
  throw IOError(str("[", dataset, "] Error opening ", what, " file at ", root, "/", file,
                    ": neither it nor ", file, ".gz is there. HINT: ", hint));
}

Example<> read_files(const char* dataset, const std::string& root, MnistMode mode,
                     const char* hint) {
  const std::string prefix = mode == MnistMode::kTrain ? "train" : "t10k";
  const std::string image_path =
      find_file(dataset, root, prefix + "-images-idx3-ubyte", "images", hint);
  const std::string label_path =
      find_file(dataset, root, prefix + "-labels-idx1-ubyte", "targets", hint);

  const Tensor pixels = read_idx(image_path);
  if (pixels.dtype() != kUInt8 || pixels.dim() != 3) {
    throw IOError(str("[", dataset, "] ", image_path, ": images are uint8 (count, height, width), ",
                      "got ", pixels.dtype(), " ", pixels.sizes()));
  }
  const Tensor labels = read_idx(label_path);
  if (labels.dtype() != kUInt8 || labels.dim() != 1 || labels.size(0) != pixels.size(0)) {
    throw IOError(str("[", dataset, "] ", label_path, ": targets are uint8, one for each of ",
                      pixels.size(0), " images, got ", labels.dtype(), " ", labels.sizes()));
  }
  return {pixels.to(kFloat32).div_(255).unsqueeze(1), labels.to(kInt64)};
}

}  // namespace

MNIST::MNIST(const std::string& root, Mode mode)
    : MnistFiles(read_files("MNIST", root, mode,
                            "download the four files of MNIST (train-images, train-labels, "
                            "t10k-images, t10k-labels) into that folder"),
                 mode) {}

FashionMNIST::FashionMNIST(const std::string& root, Mode mode)
    : MnistFiles(read_files("FashionMNIST", root, mode,
                            "apt-get install dataset-fashion-mnist, which puts them into "
                            "/usr/share/datasets/fashion-mnist"),
                 mode) {}

}  // namespace tarn::data::datasets
