// A training program in libtorch's own words, which must compile against Tarn::torch and print what
// libtorch 2.13 prints, libtorch_program.txt. It draws one batch order and one dropout mask after
// another from one seed, so a random number too many anywhere shows.
#include <torch/torch.h>

#include <cstdio>
#include <iostream>
#include <sstream>

namespace F = torch::nn::functional;

// The program's own corner of a library namespace.
namespace torch {
namespace program {
inline Tensor accuracy(const Tensor& scores, const Tensor& target) {
  return scores.argmax(1).eq(target).to(kFloat).mean();
}
}  // namespace program
}  // namespace torch

class Blobs : public torch::data::Dataset<Blobs> {
 public:
  explicit Blobs(int64_t count) {
    images_ = torch::randn({count, 1, 4, 4});
    labels_ = (images_.sum({1, 2, 3}) > 0).to(torch::kLong);
  }
  torch::data::Example<> get(size_t index) override {
    const auto i = static_cast<int64_t>(index);
    return {images_[i], labels_[i]};
  }
  torch::optional<size_t> size() const override { return static_cast<size_t>(images_.size(0)); }

 private:
  torch::Tensor images_, labels_;
};

struct BlockOptions {
  BlockOptions(int64_t in, int64_t out) : in_(in), out_(out) {}
  TORCH_ARG(int64_t, in);
  TORCH_ARG(int64_t, out);
  TORCH_ARG(double, p) = 0.1;
};

struct TORCH_API BlockImpl : torch::nn::Cloneable<BlockImpl> {
  explicit BlockImpl(const BlockOptions& options_) : options(options_) { reset(); }
  void reset() override {
    TORCH_CHECK(options.in() > 0, "in must be positive, got ", options.in());
    fc = register_module("fc", torch::nn::Linear(options.in(), options.out()));
    drop = register_module("drop", torch::nn::Dropout(options.p()));
    gain = register_parameter("gain", torch::ones({options.out()}));
    calls = register_buffer("calls", torch::zeros({}, torch::kLong));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    if (is_training()) calls += 1;
    return drop(torch::relu(fc->forward(x)) * gain);
  }
  void pretty_print(std::ostream& stream) const override {
    stream << "Block(" << options.in() << ", " << options.out() << ")";
  }

  BlockOptions options;
  torch::nn::Linear fc{nullptr};
  torch::nn::Dropout drop{nullptr};
  torch::Tensor gain, calls;
};
TORCH_MODULE(Block);

struct NetImpl : torch::nn::Module {
  NetImpl() {
    body = register_module(
        "body", torch::nn::Sequential({{"flat", torch::nn::Flatten()},
                                       {"block", Block(BlockOptions(16, 12).p(0.2))},
                                       {"act", torch::nn::GELU()}}));
    heads = register_module("heads", torch::nn::ModuleList(torch::nn::Linear(12, 2)));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    return heads[0]->as<torch::nn::Linear>()->forward(body->forward(x));
  }
  torch::nn::Sequential body{nullptr};
  torch::nn::ModuleList heads{nullptr};
};
TORCH_MODULE(Net);

struct Scale : torch::autograd::Function<Scale> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context, torch::Tensor x,
                               double factor) {
    context->saved_data["factor"] = factor;
    return x * factor;
  }
  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list grads) {
    return {grads[0] * context->saved_data["factor"].toDouble(), torch::Tensor()};
  }
};

template <typename Loader>
void train(Net& net, Loader& loader, torch::optim::Optimizer& optimizer) {
  net->train();
  double total = 0;
  for (auto& batch : loader) {
    optimizer.zero_grad();
    auto loss = F::cross_entropy(net(batch.data), batch.target,
                                 F::CrossEntropyFuncOptions().label_smoothing(0.1));
    loss.backward();
    torch::nn::utils::clip_grad_norm_(net->parameters(), 1.0);
    optimizer.step();
    total += loss.template item<double>();
  }
  std::printf("loss %.4f\n", total);
}

int main() {
  torch::manual_seed(1);
  auto images = Blobs(96)
                    .map(torch::data::transforms::Normalize<>(0.1, 0.9))
                    .map(torch::data::transforms::Stack<>());
  auto loader = torch::data::make_data_loader<torch::data::samplers::RandomSampler>(
      images, torch::data::DataLoaderOptions().batch_size(32).drop_last(true));

  Net net;
  net->apply([](torch::nn::Module& module) {
    torch::NoGradGuard no_grad;
    if (auto* linear = module.as<torch::nn::Linear>()) {
      torch::nn::init::kaiming_normal_(linear->weight, 0.0, torch::kFanIn, torch::kReLU);
      torch::nn::init::zeros_(linear->bias);
    }
  });
  std::cout << net << "\n";
  for (const auto& item : net->named_parameters()) {
    std::cout << item.key() << " " << item.value().sizes() << "\n";
  }

  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(net->body->parameters());
  groups.emplace_back(net->heads->parameters(), std::make_unique<torch::optim::AdamWOptions>(
                                                    torch::optim::AdamWOptions(1e-2)));
  torch::optim::AdamW optimizer(groups, torch::optim::AdamWOptions(5e-3).weight_decay(0.1));
  for (int epoch = 0; epoch < 3; ++epoch) train(net, *loader, optimizer);
  for (auto& group : optimizer.param_groups()) {
    auto& options = static_cast<torch::optim::AdamWOptions&>(group.options());
    std::printf("lr %g, weight decay %g\n", options.lr(), options.weight_decay());
  }
  for (const auto& item : net->named_buffers()) {
    std::cout << item.key() << " " << item.value().item<int64_t>() << "\n";
  }

  net->eval();
  auto batch = *loader->begin();
  std::printf("accuracy %.4f\n",
              torch::program::accuracy(net(batch.data), batch.target).item<float>());

  std::stringstream file;
  torch::save(net, file);
  Net restored;
  torch::load(restored, file);
  restored->eval();
  std::cout << (torch::equal(restored(batch.data), net(batch.data)) ? "same" : "differs") << "\n";

  auto x = torch::arange(4, torch::requires_grad().dtype(torch::kFloat));
  torch::mse_loss(Scale::apply(x, 3.0), torch::ones({4}), torch::Reduction::Sum).backward();
  std::cout << x.grad() << "\n";
  auto grad = x.grad().view({2, 2});
  auto rows = grad.accessor<float, 2>();
  std::cout << rows[1][0] << " " << grad.var(1) << "\n";
  try {
    Block bad(BlockOptions(0, 1));
  } catch (const c10::Error& error) {
    std::cout << error.what_without_backtrace() << "\n";
  }
}
