// Runs the sample programs as a newcomer does and reads what they print.

#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>

#include "tarn/io/data/mnist.h"
#include "tarn/io/serialize.h"
#include "tarn/tests/io/data/idx_files.h"
#include "tarn/tests/io/scratch.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/devices.h"
#include "tarn/tests/support/sanitizers.h"

using namespace tarn;
using namespace tarn::testing;

namespace {

struct Result {
  int status = -1;
  std::string out, err;
};

// Runs a sample inside `folder`; `environment` is in shell syntax. On one thread: several that
// share few processors with other programs spend their time waiting for each other.
Result run(const Scratch& folder, const std::string& command, const std::string& environment = "") {
  const std::string line = "cd '" + (folder / "") + "' && OMP_NUM_THREADS=1 " + environment +
                           " '" TARN_SAMPLES_DIR "'/" + command + " >out.txt 2>err.txt";
  const int status = std::system(line.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128, folder.text("out.txt"),
          folder.text("err.txt")};
}

// The last `count` lines of a text.
std::string last_lines(const std::string& text, int count) {
  size_t at = text.size();
  for (int i = 0; i <= count && at != std::string::npos && at > 0; ++i)
    at = text.rfind('\n', at - 1);
  return at == std::string::npos || at == 0 ? text : text.substr(at + 1);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A small stand-in for Fashion-MNIST: image i of class i % 10 has one bright row of its own.
void put_small_images(const Scratch& folder) {
  for (const char* set : {"train", "t10k"}) {
    const uint32_t count = set[1] == 'r' ? 600 : 70;
    std::string images = idx_header(0x08, {count, 28, 28});
    for (uint32_t i = 0; i < count; ++i) {
      for (uint32_t pixel = 0; pixel < 784; ++pixel) {
        const bool bright = pixel / 56 == i % 10;
        images += static_cast<char>(bright ? 200 + (i * 7 + pixel) % 50 : (i * 31 + pixel) % 40);
      }
    }
    folder.put(std::string(set) + "-images-idx3-ubyte.gz", gzipped(images));
    folder.put(std::string(set) + "-labels-idx1-ubyte.gz", gzipped(idx_labels(count)));
  }
}

// What stands below "$ TARN_EMULATED_DEVICES=<devices> ..." in docs/devices.md.
std::string documented_transcript(const std::string& devices) {
  std::ifstream file(TARN_DOCS_DIR "/devices.md");
  const std::string start = "$ TARN_EMULATED_DEVICES=" + devices + " ";
  std::string line, text;
  while (std::getline(file, line) && line.rfind(start, 0) != 0) continue;
  while (std::getline(file, line) && line != "```") text += line + '\n';
  return text;
}

// The same words; numbers may differ in their last printed digit, as sums do between processors.
void check_same_text(const std::string& actual, const std::string& wanted) {
  const auto words = [](const std::string& text) {
    std::istringstream stream(text);
    using Words = std::istream_iterator<std::string>;
    return std::vector<std::string>(Words(stream), Words());
  };
  const auto got = words(actual), expected = words(wanted);
  INFO(actual << "instead of\n" << wanted);
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    char *behind, *expected_behind;
    const double x = std::strtod(got[i].c_str(), &behind);
    const double y = std::strtod(expected[i].c_str(), &expected_behind);
    if (behind == got[i].c_str())
      CHECK(got[i] == expected[i]);
    else
      CHECK((x == Approx(y).epsilon(1e-4).margin(1e-4) && std::string(behind) == expected_behind));
  }
}

}  // namespace

TEST_CASE("mlp_checkpoint learns, saves and restores, and says so in its last lines") {
  const Scratch folder;
  put_small_images(folder);
  const Result result =
      run(folder, "mlp_checkpoint --data . --epochs 8 --batch-size 32 --out net.params");
  INFO(result.out << result.err);
  CHECK(result.status == 0);
  CHECK(last_lines(result.out, 2) == "test accuracy 1.0000\nrestored: 70/70 outputs identical\n");
  CHECK(contains(result.err, "epoch 1/8: 600/600"));
  CHECK(contains(result.err, "epoch 8/8: 600/600"));

  const auto saved = load(folder / "net.params").to_tensor_dict();
  CHECK(saved.keys() ==
        std::vector<std::string>{"hidden.weight", "hidden.bias", "output.weight", "output.bias"});
  CHECK(saved["hidden.weight"].sizes() == IntArrayRef({256, 784}));
}

TEST_CASE("mlp_checkpoint trains on a CUDA device, and its file is read on any") {
  const Scratch folder;
  put_small_images(folder);
  for (const Device device : tarn::testing::cuda_devices()) {
    const Result result =
        run(folder, "mlp_checkpoint --data . --epochs 2 --device " + device.str());
    INFO(result.out << result.err);
    CHECK(result.status == 0);
    CHECK(last_lines(result.out, 1) == "restored: 70/70 outputs identical\n");
    CHECK(load(folder / "mlp.params").to_tensor_dict()["hidden.weight"].is_cpu());
  }
}

TEST_CASE("mlp_checkpoint gives the same parameters for the same seed, others for another") {
  const Scratch folder;
  put_small_images(folder);
  const auto parameters = [&](const std::string& seed) {
    CHECK(run(folder, "mlp_checkpoint --data . --epochs 1 --seed " + seed).status == 0);
    return load(folder / "mlp.params").to_tensor_dict()["hidden.weight"];
  };
  const Tensor first = parameters("3");
  CHECK(first.equal(parameters("3")));
  CHECK_FALSE(first.equal(parameters("4")));
}

TEST_CASE("mlp_checkpoint explains itself and refuses what it does not know") {
  const Scratch folder;
  const Result help = run(folder, "mlp_checkpoint --help");
  CHECK(help.status == 0);
  for (const char* option : {"--data", "--out", "--device", "--epochs", "--batch-size", "--lr"}) {
    CHECK(contains(help.out, option));
  }
  const auto refused = [&](const std::string& options, const std::string& text) {
    const Result result = run(folder, "mlp_checkpoint " + options);
    INFO(options << '\n' << result.err);
    CHECK(result.status == 2);
    CHECK(result.out.empty());
    CHECK(contains(result.err, "mlp_checkpoint: "));
    CHECK(contains(result.err, text));
  };
  refused("--color red", "unknown option --color");
  refused("--epochs", "--epochs needs a value");
  refused("--epochs five", "--epochs: 'five' is not a valid value");
  refused("--epochs 5x", "--epochs: '5x' is not a valid value");
  refused("--lr ''", "--lr: '' is not a valid value");
  refused("--device gpu", "gpu");
  refused("--data nowhere", "apt-get install dataset-fashion-mnist");
  CHECK(folder.files() == std::vector<std::string>{"err.txt", "out.txt"});
}

TEST_CASE("mlp_checkpoint reports that it cannot write its file") {
  const Scratch folder;
  put_small_images(folder);
  const Result result = run(folder, "mlp_checkpoint --data . --epochs 1 --out absent/net.params");
  CHECK(result.status == 2);
  CHECK(contains(result.err, "absent/net.params"));
}

TEST_CASE("mlp_checkpoint learns Fashion-MNIST") {
  if (kAddressSanitizer || kThreadSanitizer) return;  // too slow; the small images run there
  if (!std::filesystem::exists(data::datasets::FashionMNIST::kDebianFolder)) {
    WARN("dataset-fashion-mnist is not installed");
    return;
  }
  const Scratch folder;
  const Result result = run(folder, "mlp_checkpoint --epochs 2");
  INFO(result.out << result.err);
  CHECK(result.status == 0);
  std::smatch match;
  REQUIRE(std::regex_search(
      result.out, match,
      std::regex("test accuracy (0\\.[0-9]{4})\nrestored: 10000/10000 outputs identical\n$")));
  CHECK(std::stod(match[1]) > 0.85);
}

TEST_CASE("d2l_file_io gets everything back as it was") {
  const Scratch folder;
  const Result result = run(folder, "d2l_file_io");
  INFO(result.out << result.err);
  CHECK(result.status == 0);
  CHECK(result.err.empty());
  CHECK(last_lines(result.out, 1) == "everything came back as it was\n");
  for (const char* line : {"x and what load gave: equal", "x, y and what load gave: equal",
                           "the dictionary and what load gave: equal", "hidden.weight [256, 20]",
                           "Y_clone and Y: equal"}) {
    CAPTURE(line);
    CHECK(contains(result.out, line));
  }
  CHECK(folder.files() == std::vector<std::string>{"err.txt", "mlp.params", "mydict", "out.txt",
                                                   "x-file", "x-files"});
  CHECK(load(folder / "x-file").to_tensor().equal(arange(4)));
}

TEST_CASE("d2l_gpu prints what docs/devices.md shows, on none, one and two devices") {
  const Scratch folder;
  const char* const visible[] = {"", "0", "0,1"};
  for (int64_t devices = 0; devices <= std::min<int64_t>(cuda::device_count(), 2); ++devices) {
    const std::string number = std::to_string(devices);
    CAPTURE(number);
    const Result result =
        run(folder, "d2l_gpu",
            "TARN_EMULATED_DEVICES=" + number + " CUDA_VISIBLE_DEVICES=" + visible[devices]);
    CHECK(result.status == 0);
    CHECK(result.err.empty());
    CHECK(contains(result.out, "9. This machine has " + number + " GPUs\n"));
    check_same_text(result.out, documented_transcript(number));
    CHECK(load(folder / "checkpoint.pt").at("step").to_int() == 30);
  }
}
