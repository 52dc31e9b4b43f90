// What is printed in the printing golden data. The namespace alias `api` stands for torch where the
// golden text is made and for tarn where it is compared, so that both print the same expressions.
#pragma once

#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

using PrintCases = std::vector<std::pair<std::string, std::string>>;

template <typename T>
std::string printed(const T& value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

inline void add_tensors(PrintCases& cases) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  auto add = [&](const char* name, const api::Tensor& x) { cases.emplace_back(name, printed(x)); };
  const auto floats = api::kFloat;
  add("float 1-d", api::tensor({1.5, -2.25, 3.0}));
  add("whole floats", api::arange(4, floats));
  add("ones", api::ones({2, 3}));
  add("zeros", api::zeros({4}));
  add("fractions", api::arange(6, floats).div(7).reshape({2, 3}));
  add("negative fractions", api::arange(-3, 3, floats).div(7).reshape({3, 2}));
  add("tens", api::tensor({0.5, 10.25, 99.0}));
  add("hundreds", api::tensor({0.5, 10.25, 999.0}));
  add("thousands", api::tensor({1000.5, 2.0}));
  add("scaled up", api::tensor({12345.678, 1.0}));
  add("whole and large", api::tensor({100000.0, 1.0}));
  add("whole and huge", api::tensor({1e10, 1.0}));
  add("small", api::tensor({1e-3, 2e-3}));
  add("tiny", api::tensor({1e-6, 2.5e-6}));
  add("very mixed", api::tensor({1e-8, 1e8}));
  add("subnormal", api::tensor({1e-40f, 1e-39f}));
  add("largest", api::tensor({3.4e38f, -3.4e38f}));
  add("nan", api::tensor({nan, 1.0f}));
  add("infinities", api::tensor({inf, -inf, 1.5f}));
  add("only nan", api::tensor({nan, nan}));
  add("only inf", api::tensor({inf, -inf}));
  add("negative zero", api::tensor({-0.0f, 0.0f}));
  add("float64", api::tensor({1.5, 2.5}, api::kDouble));
  add("float64 fractions", api::arange(3, api::kDouble).div(3));
  add("float16", api::tensor({1.5, 0.1}).to(api::kHalf));
  add("bfloat16", api::tensor({1.5, 0.1}).to(api::kBFloat16));
  add("int64 1-d", api::arange(4));
  add("int64 2-d", api::arange(6).reshape({2, 3}));
  add("int64 negative", api::tensor({-1, 20, 300}));
  add("int64 large", api::tensor({int64_t{1} << 40, int64_t{-1}}));
  add("int32", api::tensor({1, 2}, api::kInt));
  add("int16", api::tensor({1, 2}, api::kShort));
  add("int8", api::tensor({-128, 127}, api::kChar));
  add("uint8", api::tensor({0, 255}, api::kByte));
  add("bool", api::tensor({true, false}));
  add("bool 2-d", api::arange(4).reshape({2, 2}).gt(1));
  add("0-dim float", api::tensor(1.5));
  add("0-dim third", api::ones({}).div(3));
  add("0-dim whole", api::tensor(3.0));
  add("0-dim large", api::tensor(1.5e10));
  add("0-dim nan", api::tensor(nan));
  add("0-dim int", api::tensor(7));
  add("0-dim bool", api::tensor(true));
  add("one element", api::tensor({2.5}));
  add("empty 1-d", api::empty({0}));
  add("empty 2-d", api::empty({0, 3}));
  add("empty inner", api::empty({3, 0}));
  add("empty 3-d", api::empty({2, 0, 3}));
  add("empty int", api::empty({0}, api::kLong));
  add("3-d", api::arange(12, floats).reshape({2, 3, 2}));
  add("3-d fractions", api::arange(12, floats).div(7).reshape({2, 2, 3}));
  add("4-d", api::arange(16).reshape({2, 2, 2, 2}));
  add("transposed", api::arange(6).reshape({2, 3}).t());
  add("wide ints", api::arange(80).reshape({2, 40}));
  add("wide floats", api::arange(60, floats).div(7).reshape({3, 20}));
  add("wide scaled", api::arange(30, floats).mul(12345.678).reshape({2, 15}));
  add("2-d scaled", api::tensor({1e5, 2.5, 3.25, 4e-3}).reshape({2, 2}));
  add("2-d with nan", api::tensor({nan, 2.5f, inf, -1.0f}).reshape({2, 2}));
  add("requires grad", api::ones({2}, api::requires_grad()));
  add("undefined", api::Tensor());
}

inline void add_values(PrintCases& cases) {
  auto add = [&](const char* name, const auto& value) { cases.emplace_back(name, printed(value)); };
  add("sizes", api::zeros({2, 3}).sizes());
  add("no sizes", api::zeros({}).sizes());
  add("device", api::Device("cuda:1"));
  add("device without index", api::Device("cuda"));
  add("cpu", api::Device(api::kCPU));
  add("dtype float", api::kFloat);
  add("dtype bfloat16", api::kBFloat16);
  add("slice", api::indexing::Slice(1, api::indexing::None, 2));
  add("index none", api::indexing::TensorIndex(api::indexing::None));
  add("index ellipsis", api::indexing::TensorIndex("..."));
  add("index int", api::indexing::TensorIndex(3));
  add("index bool", api::indexing::TensorIndex(true));
}

inline void add_modules(PrintCases& cases) {
  namespace nn = api::nn;
  auto add = [&](const char* name, const auto& module) {
    cases.emplace_back(name, printed(module));
  };
  add("Linear", nn::Linear(3, 4));
  add("Linear no bias", nn::Linear(nn::LinearOptions(3, 4).bias(false)));
  add("ReLU", nn::ReLU());
  add("ReLU inplace", nn::ReLU(nn::ReLUOptions().inplace(true)));
  add("Sigmoid", nn::Sigmoid());
  add("Tanh", nn::Tanh());
  add("GELU", nn::GELU());
  add("GELU tanh", nn::GELU(nn::GELUOptions().approximate("tanh")));
  add("Softmax", nn::Softmax(1));
  add("Flatten", nn::Flatten());
  add("Dropout", nn::Dropout());
  add("Dropout p", nn::Dropout(0.25));
  add("LayerNorm", nn::LayerNorm(nn::LayerNormOptions({3, 4})));
  add("LayerNorm options",
      nn::LayerNorm(nn::LayerNormOptions({5}).eps(0.25).elementwise_affine(false)));
  add("Identity", nn::Identity());
  add("MSELoss", nn::MSELoss());
  add("CrossEntropyLoss", nn::CrossEntropyLoss());
  add("NLLLoss", nn::NLLLoss());
  add("BCEWithLogitsLoss", nn::BCEWithLogitsLoss());
  add("Sequential", nn::Sequential(nn::Linear(3, 4), nn::ReLU(), nn::Linear(4, 2)));
  add("Sequential named", nn::Sequential({{"first", nn::Linear(3, 4)}, {"second", nn::ReLU()}}));
  add("ModuleList", nn::ModuleList(nn::Linear(3, 4), nn::ReLU()));
}

inline PrintCases print_cases() {
  PrintCases cases;
  add_tensors(cases);
  add_values(cases);
  add_modules(cases);
  return cases;
}
