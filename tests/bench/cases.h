// The cases of the comparison, written once: `lib` is torch or tarn, and the library's header and
// that alias come before this file. What is measured is what a user writes: fresh outputs, the
// module API, no tricks.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tarn/tests/bench/harness.h"

namespace bench {

inline lib::Tensor tensor(std::vector<int64_t> shape, float low, float high, uint64_t seed) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  std::vector<float> values = numbers(count, low, high, seed);
  return lib::from_blob(values.data(), shape).clone();
}

// The sum and two elements of a tensor, as its result.
inline std::vector<double> describe(const lib::Tensor& t) {
  const lib::NoGradGuard guard;
  const lib::Tensor flat = t.detach().reshape({-1}).to(lib::kDouble);
  return {flat.sum().item<double>(), flat[0].item<double>(), flat[flat.numel() - 1].item<double>()};
}

// A case without gradients whose call makes one tensor.
inline Case forward_case(std::string name, std::function<std::function<lib::Tensor()>()> setup) {
  return {std::move(name), false, [setup] {
            const std::function<lib::Tensor()> f = setup();
            return Run{[f] { f(); }, [f] { return describe(f()); }};
          }};
}

struct MlpImpl : lib::nn::Module {
  lib::nn::Linear hidden{nullptr}, output{nullptr};
  MlpImpl(int64_t in, int64_t width, int64_t out) {
    hidden = register_module("hidden", lib::nn::Linear(in, width));
    output = register_module("output", lib::nn::Linear(width, out));
    const lib::NoGradGuard guard;
    uint64_t seed = 100;
    for (lib::Tensor p : parameters()) p.copy_(tensor(p.sizes().vec(), -0.05f, 0.05f, seed++));
  }
  lib::Tensor forward(const lib::Tensor& x) { return output(lib::relu(hidden(x))); }
};

inline Case mlp_forward(std::string name, bool gradients, int64_t batch) {
  return {std::move(name), gradients, [batch] {
            const auto net = std::make_shared<MlpImpl>(20, 256, 10);
            const lib::Tensor x = tensor({batch, 20}, -1, 1, 1);
            return Run{[=] { net->forward(x); }, [=] { return describe(net->forward(x)); }};
          }};
}

inline Case mlp_train(std::string name, int64_t in, int64_t batch, double lr) {
  return {std::move(name), true, [=] {
            const auto net = std::make_shared<MlpImpl>(in, 256, 10);
            const auto sgd =
                std::make_shared<lib::optim::SGD>(net->parameters(), lib::optim::SGDOptions(lr));
            const lib::Tensor x = tensor({batch, in}, 0, 1, 1);
            const lib::Tensor y = (lib::arange(batch) * 7).remainder(10).to(lib::kLong);
            const auto loss = [=] {
              return lib::nn::functional::cross_entropy(net->forward(x), y);
            };
            return Run{[=] {
                         const lib::Tensor l = loss();
                         sgd->zero_grad();
                         l.backward();
                         sgd->step();
                       },
                       [=] {
                         std::vector<double> r = describe(loss());
                         for (const lib::Tensor& p : net->parameters())
                           for (double value : describe(p)) r.push_back(value);
                         return r;
                       }};
          }};
}

inline Case cross_entropy_case(std::string name, int64_t samples, int64_t classes) {
  return {std::move(name), true, [=] {
            lib::Tensor x = tensor({samples, classes}, -4, 4, 1);
            x.requires_grad_();
            const lib::Tensor y = (lib::arange(samples) * 7).remainder(classes).to(lib::kLong);
            const auto step = [x, y]() mutable {
              x.mutable_grad() = lib::Tensor();
              lib::nn::functional::cross_entropy(x, y).backward();
            };
            // The gradients of the sum: those of the mean are too small to compare.
            return Run{step, [=] { return describe(x.grad() * static_cast<double>(samples)); }};
          }};
}

inline Case adam_case() {
  return {"Adam step, 100 tensors of 100,000", false, [] {
            std::vector<lib::Tensor> parameters;
            for (uint64_t i = 0; i < 100; ++i) {
              lib::Tensor p = tensor({100'000}, -1, 1, i);
              p.requires_grad_();
              p.mutable_grad() = tensor({100'000}, -1, 1, 1000 + i);
              parameters.push_back(p);
            }
            const auto adam =
                std::make_shared<lib::optim::Adam>(parameters, lib::optim::AdamOptions(1e-3));
            return Run{[=] { adam->step(); }, [=] { return describe(parameters[7]); }};
          }};
}

inline std::vector<Case> cases() {
  std::vector<Case> all;
  all.push_back(forward_case("add, 8 floats", [] {
    const lib::Tensor a = tensor({8}, -1, 1, 1), b = tensor({8}, -1, 1, 2);
    return [=] { return a + b; };
  }));
  all.push_back({"(a * b).sum() forward and backward, 8 floats", true, [] {
                   lib::Tensor a = tensor({8}, -1, 1, 1), b = tensor({8}, -1, 1, 2);
                   a.requires_grad_();
                   b.requires_grad_();
                   const auto step = [a, b]() mutable {
                     a.mutable_grad() = lib::Tensor();
                     b.mutable_grad() = lib::Tensor();
                     (a * b).sum().backward();
                   };
                   return Run{step, [=] { return describe(a.grad() + b.grad() * 2); }};
                 }});
  all.push_back(mlp_forward("MLP 20-256-10, batch 2, forward, no grad", false, 2));
  all.push_back(mlp_forward("MLP 20-256-10, batch 2, forward", true, 2));
  all.push_back(mlp_train("MLP 20-256-10, batch 2, train step", 20, 2, 0.01));
  all.push_back(mlp_train("MLP 784-256-10, batch 256, train step", 784, 256, 0.1));
  for (int64_t n : {16, 64, 128, 256, 512, 1024, 2048}) {
    all.push_back(forward_case("matmul " + std::to_string(n), [n] {
      const lib::Tensor a = tensor({n, n}, -1, 1, 1), b = tensor({n, n}, -1, 1, 2);
      return [=] { return lib::matmul(a, b); };
    }));
  }
  all.push_back(forward_case("softmax, 4096 x 1024", [] {
    const lib::Tensor x = tensor({4096, 1024}, -5, 5, 1);
    return [=] { return lib::softmax(x, 1); };
  }));
  all.push_back(cross_entropy_case("cross entropy, 256 x 10, forward and backward", 256, 10));
  all.push_back(cross_entropy_case("cross entropy, 8192 x 1000, forward and backward", 8192, 1000));
  const auto million = [&all](std::string name,
                              lib::Tensor (*f)(const lib::Tensor&, const lib::Tensor&)) {
    all.push_back(forward_case(name + ", 16M floats", [f] {
      const lib::Tensor a = tensor({4096, 4096}, -4, 4, 1), b = tensor({4096, 4096}, -4, 4, 2);
      return [=] { return f(a, b); };
    }));
  };
  million("add", [](const lib::Tensor& a, const lib::Tensor& b) { return a + b; });
  million("relu", [](const lib::Tensor& a, const lib::Tensor&) { return lib::relu(a); });
  million("gelu", [](const lib::Tensor& a, const lib::Tensor&) { return lib::gelu(a); });
  million("exp", [](const lib::Tensor& a, const lib::Tensor&) { return lib::exp(a); });
  million("sum", [](const lib::Tensor& a, const lib::Tensor&) { return a.sum(); });
  all.push_back(adam_case());
  return all;
}

}  // namespace bench
