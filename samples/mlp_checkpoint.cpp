// Trains a small network on Fashion-MNIST, saves it, builds a second one in code, restores it from
// the file, and checks that both compute the same bits on every test image.
//
// The last lines say how well it learned and whether the restored network is the same; the exit
// status is 0 if it is. `python3 -c "import torch; torch.load('mlp.params')"` opens the file, too.
#include <tarn/tarn.h>

#include <cstring>
#include <iostream>

using namespace tarn;
using data::datasets::FashionMNIST;

// 784 pixels -> 256 hidden units -> 10 classes of clothing.
struct MlpImpl : nn::Module {
  nn::Linear hidden{nullptr}, output{nullptr};
  MlpImpl() {
    hidden = register_module("hidden", nn::Linear(784, 256));
    output = register_module("output", nn::Linear(256, 10));
  }
  Tensor forward(const Tensor& images) { return output(relu(hidden(images.flatten(1)))); }
};
TARN_MODULE(Mlp);

struct Options {
  std::string data = FashionMNIST::kDebianFolder;
  std::string out = "mlp.params";
  Device device = kCPU;
  int64_t epochs = 5;
  size_t batch_size = 128;
  double lr = 2e-3;
  uint64_t seed = 0;
};

constexpr const char* kHelp = R"(usage: mlp_checkpoint [options]

  --data FOLDER    where the four files of Fashion-MNIST are (default: where Debian's
                   package dataset-fashion-mnist puts them)
  --out FILE       where to save the parameters (default: mlp.params)
  --device DEVICE  cpu, cuda, cuda:1, ... (default: cpu)
  --epochs N       times to go through the training images (default: 5)
  --batch-size N   images per step (default: 128)
  --lr RATE        learning rate (default: 0.002)
  --seed N         of all random numbers (default: 0)

Exit status: 0 if the restored network computes the same, 1 if not, 2 on an error.
)";

void train(Mlp& net, FashionMNIST images, const Options& options) {
  const auto count = static_cast<int64_t>(*images.size());
  // Stack makes one tensor of a batch of images. The loader shuffles them, anew for every epoch.
  auto loader = data::make_data_loader(std::move(images).map(data::transforms::Stack<>()),
                                       options.batch_size);
  optim::Adam optimizer(net->parameters(), optim::AdamOptions(options.lr));

  net->train();
  for (int64_t epoch = 1; epoch <= options.epochs; ++epoch) {
    Progress progress(str("epoch ", epoch, "/", options.epochs), count);
    double loss_sum = 0;
    for (auto& batch : *loader) {
      const Tensor x = batch.data.to(options.device), y = batch.target.to(options.device);
      optimizer.zero_grad();
      const Tensor loss = nn::functional::cross_entropy(net(x), y);
      loss.backward();
      optimizer.step();

      loss_sum += loss.item<double>() * static_cast<double>(x.size(0));
      progress.update(x.size(0));
      progress.set_text(str("loss ", loss_sum / static_cast<double>(progress.count())));
    }
    progress.finish();
  }
}

// The network's scores for all images, on the CPU: (images, 10).
Tensor scores(Mlp& net, const FashionMNIST& images, Device device) {
  const NoGradGuard no_grad;
  net->eval();
  return net(images.images().to(device)).cpu();
}

// In how many rows two tensors agree in every bit.
int64_t identical_rows(const Tensor& a, const Tensor& b) {
  const size_t row_bytes = a[0].nbytes();
  int64_t identical = 0;
  for (int64_t i = 0; i < a.size(0); ++i) {
    identical += std::memcmp(a[i].data_ptr(), b[i].data_ptr(), row_bytes) == 0;
  }
  return identical;
}

int run(const Options& options) {
  manual_seed(options.seed);
  Mlp net;
  net->to(options.device);
  train(net, FashionMNIST(options.data, FashionMNIST::Mode::kTrain), options);

  const FashionMNIST test(options.data, FashionMNIST::Mode::kTest);
  const Tensor trained = scores(net, test, options.device);
  const double accuracy = trained.argmax(1).eq(test.targets()).to(kDouble).mean().item<double>();

  save(net->state_dict(), options.out);

  // A new network starts from random parameters; load_state_dict() overwrites all of them.
  Mlp restored;
  restored->to(options.device);
  restored->load_state_dict(load(options.out));
  const int64_t identical = identical_rows(trained, scores(restored, test, options.device));

  std::printf("saved %s\n", options.out.c_str());
  std::printf("test accuracy %.4f\n", accuracy);
  std::printf("restored: %lld/%lld outputs identical\n", static_cast<long long>(identical),
              static_cast<long long>(trained.size(0)));
  return identical == trained.size(0) ? 0 : 1;
}

// Reads "--name value" pairs; throws for what it does not know.
Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    TARN_CHECK(i + 1 < argc, name, " needs a value, or is no option: see --help");
    const std::string value = argv[i + 1];
    size_t used = value.size();
    try {
      if (name == "--data")
        options.data = value;
      else if (name == "--out")
        options.out = value;
      else if (name == "--device")
        options.device = Device(value);
      else if (name == "--epochs")
        options.epochs = std::stoll(value, &used);
      else if (name == "--batch-size")
        options.batch_size = std::stoull(value, &used);
      else if (name == "--lr")
        options.lr = std::stod(value, &used);
      else if (name == "--seed")
        options.seed = std::stoull(value, &used);
      else
        throw Error(str("unknown option ", name, ": see --help"));
    } catch (const std::logic_error&) {  // of std::stoll and its like
      used = 0;
    }
    const bool valid = used == value.size() && !value.empty();
    TARN_CHECK(valid, name, ": '", value, "' is not a valid value");
  }
  return options;
}

int main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "--help") {
    std::cout << kHelp;
    return 0;
  }
  try {
    return run(parse(argc, argv));
  } catch (const std::exception& error) {
    std::cerr << "mlp_checkpoint: " << error.what() << '\n';
    return 2;
  }
}
