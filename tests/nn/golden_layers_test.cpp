// Layers, activations and losses against PyTorch's results and gradients (tests/golden/layers.py).
#include <optional>
#include <string>
#include <vector>

#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/golden.h"

namespace {

using namespace tarn;
namespace F = tarn::nn::functional;
using tarn::testing::Golden;
using tarn::testing::operation;
using tarn::testing::Operations;
using Tensors = std::vector<Tensor>;

// What a Linear layer gives with the operands as its parameters.
Tensor linear_layer(const Tensors& x) {
  nn::Linear layer(nn::LinearOptions(x[1].size(1), x[1].size(0)).bias(x.size() == 3));
  layer->weight = x[1];
  if (x.size() == 3) layer->bias = x[2];
  return layer(x[0]);
}

// What a LayerNorm or, with a weight and no bias, the function gives.
Tensor layer_norm_of(const Tensors& x, const std::vector<int64_t>& shape) {
  if (x.size() == 2) return F::layer_norm(x[0], F::LayerNormFuncOptions(shape).weight(x[1]));
  nn::LayerNorm layer(nn::LayerNormOptions(shape).elementwise_affine(x.size() == 3));
  if (x.size() == 3) layer->weight = x[1], layer->bias = x[2];
  return layer(x[0]);
}

void add_layers(Operations& ops) {
  const auto add = [&](const char* name, auto f) { ops[name] = operation(f); };
  ops["linear"] = ops["linear_no_bias"] = [](const Tensors& x) { return Tensors{linear_layer(x)}; };
  ops["mlp"] = [](const Tensors& x) {
    return Tensors{linear_layer({relu(linear_layer({x[0], x[1], x[2]})), x[3], x[4]})};
  };
  ops["layer_norm.1d.plain"] = [](const Tensors& x) { return Tensors{layer_norm_of(x, {5})}; };
  ops["layer_norm.2d.plain"] = [](const Tensors& x) { return Tensors{layer_norm_of(x, {4, 5})}; };
  ops["layer_norm"] = [](const Tensors& x) {
    return Tensors{layer_norm_of(x, x[1].sizes().vec())};
  };
  add("relu", [](const Tensor& x) { return nn::ReLU()(x); });
  add("sigmoid", [](const Tensor& x) { return nn::Sigmoid()(x); });
  add("tanh", [](const Tensor& x) { return nn::Tanh()(x); });
  add("gelu", [](const Tensor& x) { return nn::GELU()(x); });
  add("gelu.tanh",
      [](const Tensor& x) { return nn::GELU(nn::GELUOptions().approximate("tanh"))(x); });
  add("softmax", [](const Tensor& x) { return nn::Softmax(1)(x); });
  add("log_softmax", [](const Tensor& x) { return F::log_softmax(x, -1); });
  add("flatten", [](const Tensor& x) { return nn::Flatten()(x); });
  add("flatten.0_1",
      [](const Tensor& x) { return nn::Flatten(nn::FlattenOptions().start_dim(0).end_dim(1))(x); });
  add("identity", [](const Tensor& x) { return nn::Identity()(x); });
  add("dropout", [](const Tensor& x) {
    nn::Dropout layer(0.4);
    layer->eval();
    return layer(x);
  });
}

// Sets the reduction of a loss's options.
template <typename Options>
Options reduced(Options options, const std::string& how) {
  if (how == "mean") return options.reduction(kMean);
  if (how == "sum") return options.reduction(kSum);
  return options.reduction(kNone);
}

void add_losses(Operations& ops, const std::string& how) {
  const auto add = [&](const std::string& name, auto f) {
    ops[name + "." + how] = [f](const Tensors& x) { return Tensors{f(x)}; };
  };
  add("mse", [=](const Tensors& x) {
    return nn::MSELoss(reduced(nn::MSELossOptions(), how))(x[0], x[1]);
  });
  for (const char* name : {"bce", "bce.weight"}) {
    add(name, [=](const Tensors& x) {
      auto options = reduced(F::BinaryCrossEntropyFuncOptions(), how);
      if (x.size() == 3) options.weight(x[2]);
      return F::binary_cross_entropy(x[0], x[1], options);
    });
  }
  for (const char* name : {"bce_logits", "bce_logits.weight"}) {
    add(name, [=](const Tensors& x) {
      auto options = reduced(nn::BCEWithLogitsLossOptions(), how);
      if (x.size() == 4) options.weight(x[2]).pos_weight(x[3]);
      return nn::BCEWithLogitsLoss(options)(x[0], x[1]);
    });
  }
}

void add_classification(Operations& ops, const std::string& how) {
  struct Variant {
    const char* name;
    int64_t ignore;
    double smoothing;
  };
  constexpr int64_t kNobody = -100;
  const Variant variants[] = {
      {"", kNobody, 0},          {".ignore", 2, 0},
      {".weight", kNobody, 0},   {".weight_ignore", 2, 0},
      {".smooth", kNobody, 0.1}, {".weight_smooth_ignore", 2, 0.2},
      {".pixels", kNobody, 0},   {".one", kNobody, 0},
      {".shares", kNobody, 0},   {".shares_smooth", kNobody, 0.1},
  };
  for (const Variant& variant : variants) {
    const std::string name = variant.name;
    ops["cross_entropy" + name + "." + how] = [=](const Tensors& x) {
      auto options = reduced(nn::CrossEntropyLossOptions(), how);
      options.ignore_index(variant.ignore).label_smoothing(variant.smoothing);
      if (x.size() == 3) options.weight(x[2]);
      return Tensors{nn::CrossEntropyLoss(options)(x[0], x[1])};
    };
    if (variant.smoothing > 0 || name == ".one" || name == ".shares") continue;
    ops["nll" + name + "." + how] = [=](const Tensors& x) {
      auto options = reduced(nn::NLLLossOptions(), how).ignore_index(variant.ignore);
      if (x.size() == 3) options.weight(x[2]);
      return Tensors{nn::NLLLoss(options)(x[0], x[1])};
    };
  }
}

}  // namespace

TEST_CASE("layers and losses give PyTorch's values and gradients") {
  Operations ops;
  add_layers(ops);
  for (const char* how : {"mean", "sum", "none"}) {
    add_losses(ops, how);
    add_classification(ops, how);
  }
  ops["bce_logits.far"] = operation(
      [](const Tensor& x, const Tensor& y) { return F::binary_cross_entropy_with_logits(x, y); });
  const Golden golden("layers.safetensors");
  for (const auto& failure : tarn::testing::compare_all(golden, ops)) FAIL_CHECK(failure);
}
