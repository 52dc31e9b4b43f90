// The C++ half of gpu_check.py. usage:
//   gpu_tool parity DEVICE FOLDER    for each FOLDER/CASE.in computes the case and saves CASE.out
//   gpu_tool speed DEVICE SCALE      prints "case <tab> seconds" a line, or "case, graph" for the
//                                    case as a CUDA graph; sizes are divided by SCALE
#include <tarn/tarn.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>

namespace {

using namespace tarn;
using Tensors = std::vector<Tensor>;
namespace F = nn::functional;

Tensors pointwise_ops(const Tensors& in) {
  const Tensor &x = in[0], &y = in[1];
  return {exp(x), tanh(x),           sigmoid(x),        erf(x), gelu(x), silu(x), x + y,
          x * y,  x / (y.abs() + 1), where(x > y, x, y)};
}

Tensors reductions(const Tensors& in) {
  const Tensor& x = in[0];
  return {x.sum(),  x.sum(0),  x.sum(1),    x.sum(2),    x.mean({0, 2}),
          x.var(1), x.amax(2), x.argmin(0), x.cumsum(2), x.norm()};
}

Tensors softmaxes(const Tensors& in) {
  return {in[0].softmax(1), in[0].log_softmax(1), in[0].softmax(0)};
}

Tensors products(const Tensors& in) {
  const Tensor &a = in[0], &b = in[1];
  return {matmul(a, b), matmul(a.t(), a), matmul(b.t(), a.t()), matmul(a, in[2])};
}

Tensors training_loss(const Tensors& in) {
  Tensors leaves;
  for (size_t i = 0; i < 3; ++i) leaves.push_back(in[i].detach().clone().requires_grad_());
  const Tensor loss = F::cross_entropy(F::linear(leaves[0], leaves[1], leaves[2]), in[3]);
  Tensors out{loss.detach()};
  for (const Tensor& g : autograd::grad({loss}, leaves)) out.push_back(g);
  return out;
}

Tensors sort_and_index(const Tensors& in) {
  const Tensor &x = in[0], &index = in[1];
  const auto [values, order] = x.sort(1);
  return {values,
          order,
          x.index({index}),
          x.t().index({indexing::Slice(), index.narrow(0, 0, 20)}),
          zeros_like(x).index_add(0, index, in[2]),
          x.nonzero()};
}

std::unique_ptr<optim::Optimizer> make_optimizer(const std::string& name, const Tensors& leaves) {
  if (name == "sgd")
    return std::make_unique<optim::SGD>(leaves,
                                        optim::SGDOptions(0.1).momentum(0.9).weight_decay(1e-3));
  if (name == "adam") return std::make_unique<optim::Adam>(leaves, optim::AdamOptions(1e-2));
  TARN_CHECK(name == "adamw", "[gpu_tool] there is no case '", name, "'");
  return std::make_unique<optim::AdamW>(leaves, optim::AdamWOptions(1e-2).weight_decay(1e-2));
}

Tensors train(const std::string& name, const Tensors& in) {
  Tensors leaves;
  for (size_t i = 2; i < 6; ++i) leaves.push_back(in[i].detach().clone().requires_grad_());
  const auto optimizer = make_optimizer(name, leaves);
  Tensors losses;
  for (int step = 0; step < 20; ++step) {
    const Tensor hidden = relu(F::linear(in[0], leaves[0], leaves[1]));
    const Tensor loss = F::cross_entropy(F::linear(hidden, leaves[2], leaves[3]), in[1]);
    optimizer->zero_grad();
    loss.backward();
    optimizer->step();
    losses.push_back(loss.detach());
  }
  Tensors out{stack(losses)};
  for (const Tensor& p : leaves) out.push_back(p.detach());
  return out;
}

Tensors compute(const std::string& name, const Tensors& in) {
  static const std::map<std::string, Tensors (*)(const Tensors&)> kCases = {
      {"pointwise", pointwise_ops},
      {"reductions", reductions},
      {"softmax", softmaxes},
      {"matmul float32", products},
      {"matmul float64", products},
      {"matmul bfloat16", products},
      {"matmul float16", products},
      {"linear and cross entropy", training_loss},
      {"sort and index", sort_and_index},
  };
  const auto found = kCases.find(name);
  return found == kCases.end() ? train(name, in) : found->second(in);
}

void parity(Device device, const std::filesystem::path& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".in") continue;
    Tensors in = load(entry.path().string(), device).to_tensors();
    Tensors out = compute(entry.path().stem().string(), in);
    for (Tensor& t : out) t = t.cpu();
    save(out, std::filesystem::path(entry.path()).replace_extension(".out").string());
  }
}

// Seconds per call of `step`, everything it enqueued done.
double time_of(Device device, const std::function<void()>& step) {
  using Clock = std::chrono::steady_clock;
  const auto run = [&](int calls) {
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < calls; ++i) step();
    if (device.is_cuda()) cuda::synchronize(device.ordinal());
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  run(3);
  const double once = run(1);
  const int calls = std::max(1, std::min(1000, static_cast<int>(0.05 / once)));
  std::vector<double> times;
  for (int i = 0; i < 7; ++i) times.push_back(run(calls) / calls);
  std::sort(times.begin(), times.end());
  return times[3];
}

void report(const std::string& name, double seconds) {
  std::printf("%s\t%.9g\n", name.c_str(), seconds);
  std::fflush(stdout);
}

// The step as it is and, on a GPU, as a CUDA graph.
void report_step(const std::string& name, Device device, const std::function<void()>& step) {
  report(name, time_of(device, step));
  if (!device.is_cuda()) return;
  auto graph = cuda::graph_step(step, {.device = device.ordinal()});
  report(name + ", graph", time_of(device, [&] { graph(); }));
}

// One training step of an MLP, and what it keeps alive.
template <class Opt, class Options>
std::function<void()> train_step(Device device, int64_t batch, const Options& options) {
  nn::Sequential net(nn::Linear(784, 256), nn::ReLU(), nn::Linear(256, 10));
  net->to(device);
  const auto optimizer = std::make_shared<Opt>(net->parameters(), options);
  const Tensor x = rand({batch, 784}, device), y = (arange(batch) % 10).to(device);
  return [=]() mutable {
    const Tensor loss = F::cross_entropy(net->forward(x), y);
    optimizer->zero_grad();
    loss.backward();
    optimizer->step();
  };
}

void speed(Device device, int64_t scale) {
  {
    const NoGradGuard no_grad;
    const int64_t n = (int64_t{64} << 20) / scale;
    const Tensor a = rand(n, device), b = rand(n, device), rows = rand({n / 1024, 1024}, device);
    const Tensor row = rand(1024, device), c = a.to(kBFloat16), d = b.to(kBFloat16);
    report("add", time_of(device, [&] { a + b; }));
    report("add bfloat16", time_of(device, [&] { c + d; }));
    report("add a row", time_of(device, [&] { rows + row; }));
    report("exp", time_of(device, [&] { a.exp(); }));
    report("gelu", time_of(device, [&] { gelu(a); }));
    report("sum", time_of(device, [&] { a.sum(); }));
    report("sum of rows", time_of(device, [&] { rows.sum(1); }));
    report("sum of columns", time_of(device, [&] { rows.sum(0); }));
    report("variance of rows", time_of(device, [&] { rows.var(1); }));
    report("argmax of rows", time_of(device, [&] { rows.argmax(1); }));
    report("softmax", time_of(device, [&] { rows.softmax(1); }));
    report("layer norm", time_of(device, [&] { layer_norm(rows, {1024}, row, row); }));
    report("transpose", time_of(device, [&] { rows.t().contiguous(); }));
    report("rand", time_of(device, [&] { rand(n, device); }));
    const int64_t m = std::max<int64_t>(64, 4096 / scale);
    const Tensor p = rand({m, m}, device), q = rand({m, m}, device);
    report("matmul", time_of(device, [&] { matmul(p, q); }));
  }
  {
    Tensors parameters;
    for (int i = 0; i < 100; ++i) {
      parameters.push_back(rand(1'000'000 / scale, device).requires_grad_());
      parameters.back().mutable_grad() = rand(1'000'000 / scale, device);
    }
    optim::Adam adam(parameters, optim::AdamOptions(1e-3));
    report_step("Adam", device, [&] { adam.step(); });
  }
  report_step("train step", device, train_step<optim::SGD>(device, 256, optim::SGDOptions(0.1)));
  report_step("train step Adam", device,
              train_step<optim::Adam>(device, 256, optim::AdamOptions(1e-3)));
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string command = argc > 1 ? argv[1] : "";
  if (argc == 4 && command == "parity") {
    parity(Device(argv[2]), argv[3]);
  } else if (argc == 4 && command == "speed") {
    speed(Device(argv[2]), std::max(1, std::atoi(argv[3])));
  } else {
    std::cerr << "usage: gpu_tool parity DEVICE FOLDER | gpu_tool speed DEVICE SCALE\n";
    return 2;
  }
  return 0;
} catch (const Error& error) {
  std::cerr << "gpu_tool: " << error.what() << '\n';
  return 1;
}
