#include "tarn/core/state_dict.h"

#include "tarn/core/autograd.h"
#include "tarn/core/random.h"
#include "tarn/core/value.h"
#include "tarn/nn/nn.h"
#include "tarn/tests/support/catch.h"

using namespace tarn;

namespace {

using Names = std::vector<std::string>;

struct NormImpl : nn::Module {
  Tensor scale, mean, scratch;
  NormImpl() {
    mean = register_buffer("mean", zeros({2}));
    scale = register_parameter("scale", ones({2}));
    scratch = register_buffer("scratch", zeros({9}), /*persistent=*/false);
    register_parameter("absent", Tensor(), false);
  }
  int64_t state_version() const override { return 2; }
};
TARN_MODULE(Norm);

struct NetImpl : nn::Module {
  nn::Linear hidden{nullptr};
  Norm norm;
  Tensor gain;
  NetImpl() {
    hidden = register_module("hidden", nn::Linear(3, 2));
    register_module("norm", norm);
    gain = register_parameter("gain", full({1}, 4.0));
  }
};
TARN_MODULE(Net);

// All values of a module, to see that a failed load changed none.
std::vector<Tensor> snapshot(const nn::Module& module) {
  std::vector<Tensor> values;
  for (const auto& item : module.state_dict()) values.push_back(item.value().clone());
  return values;
}
bool unchanged(const nn::Module& module, const std::vector<Tensor>& values) {
  const StateDict state = module.state_dict();
  for (size_t i = 0; i < values.size(); ++i) {
    if (!values[i].equal(state[i].value())) return false;
  }
  return state.size() == values.size();
}

StateDict renamed(const StateDict& state, const std::string& from, const std::string& to) {
  StateDict result;
  for (const auto& item : state) result.insert(item.key() == from ? to : item.key(), item.value());
  return result;
}

}  // namespace

TEST_CASE("state_dict lists parameters, then persistent buffers, then submodules") {
  Net net;
  const StateDict state = net->state_dict();
  CHECK(state.keys() == Names{"gain", "hidden.weight", "hidden.bias", "norm.scale", "norm.mean"});
  CHECK(state.metadata.keys() == Names{"", "hidden", "norm"});
  CHECK(state.metadata["hidden"] == 1);
  CHECK(state.metadata["norm"] == 2);
}

TEST_CASE("tensors of a state_dict share the module's bytes but not its history") {
  Net net;
  const StateDict state = net->state_dict();
  CHECK_FALSE(state["gain"].requires_grad());
  CHECK(state["gain"].data_ptr() == net->gain.data_ptr());
  NoGradGuard no_grad;
  net->gain.fill_(9);
  CHECK(state["gain"].item<float>() == 9);
}

TEST_CASE("a shared tensor or submodule appears under all its names") {
  Net net;
  net->register_parameter("tied", net->gain);
  net->register_module("again", net->norm);
  CHECK(net->state_dict().keys() == Names{"gain", "tied", "hidden.weight", "hidden.bias",
                                          "norm.scale", "norm.mean", "again.scale", "again.mean"});
}

TEST_CASE("load_state_dict copies values into the module's own tensors") {
  manual_seed(3);
  Net from, to;
  {
    NoGradGuard no_grad;
    from->norm->mean.fill_(5);
  }
  const Tensor weight = to->hidden->weight;
  const nn::LoadReport report = to->load_state_dict(from->state_dict());
  CHECK(report.loaded == from->state_dict().keys());
  CHECK(report.missing.empty());
  CHECK(unchanged(*to, snapshot(*from)));
  CHECK(weight.is_same(to->hidden->weight));
  CHECK(weight.requires_grad());
  CHECK(weight.is_leaf());
  CHECK(to->norm->mean.equal(full({2}, 5.0)));
  {
    NoGradGuard no_grad;
    from->hidden->weight.fill_(0);
  }
  CHECK_FALSE(weight.equal(from->hidden->weight));
}

TEST_CASE("values are converted to the module's dtype") {
  Net from, to;
  from->to(kDouble);
  to->to(kHalf);
  to->load_state_dict(from->state_dict());
  CHECK(to->hidden->weight.dtype() == kHalf);
  CHECK(to->hidden->weight.equal(from->hidden->weight.to(kHalf)));
}

TEST_CASE("a Value, as files give it, is a state dict") {
  Net from, to;
  const Value value = from->state_dict();
  CHECK(to->load_state_dict(value).loaded.size() == 5);
  CHECK(unchanged(*to, snapshot(*from)));
  CHECK_THROWS_AS(to->load_state_dict(Value(3)), TypeError);
}

TEST_CASE("names that differ are one error that lists them all and loads nothing") {
  Net net;
  StateDict state = renamed(net->state_dict(), "hidden.weight", "hiden.weight");
  state = renamed(state, "norm.mean", "completely_different");
  state["gain"] = full({1}, 77.0);
  state["hidden.bias"] = zeros({3});
  const auto before = snapshot(*net);
  CHECK_THROWS_AS(net->load_state_dict(state), ValueError);
  const char* texts[] = {
      "[load_state_dict] Error(s) in loading state_dict for",
      "NetImpl, nothing was loaded:",
      ("Missing key(s) in state_dict: \"hidden.weight\" (did you mean \"hiden.weight\"?), "
       "\"norm.mean\"."),
      "Unexpected key(s) in state_dict: \"hiden.weight\", \"completely_different\".",
      "size mismatch for hidden.bias: the state_dict has [3], the module has [2].",
  };
  for (const char* text : texts) CHECK_THROWS_WITH_TEXT(net->load_state_dict(state), text);
  CHECK(unchanged(*net, before));
}

TEST_CASE("without strict whatever fits is loaded and the rest reported") {
  Net net;
  StateDict state = renamed(net->state_dict(), "hidden.weight", "other");
  state["gain"] = full({1}, 77.0);
  state["hidden.bias"] = zeros({3});
  const nn::LoadReport report = net->load_state_dict(state, {.strict = false});
  CHECK(report.loaded == Names{"gain", "norm.scale", "norm.mean"});
  CHECK(report.missing == Names{"hidden.weight"});
  CHECK(report.unexpected == Names{"other"});
  CHECK(report.mismatched == Names{"hidden.bias"});
  CHECK(net->gain.item<float>() == 77);
}

TEST_CASE("names can be stripped of a prefix and renamed") {
  Net from, to;
  StateDict state;
  for (const auto& item : from->state_dict()) state.insert("module." + item.key(), item.value());
  CHECK_THROWS_WITH_TEXT(to->load_state_dict(state),
                         "HINT: names of the state_dict begin with \"module.\": load with "
                         "{.strip_prefix = \"module.\"}");
  to->load_state_dict(state, {.strip_prefix = "module."});
  CHECK(unchanged(*to, snapshot(*from)));

  const StateDict old = renamed(from->state_dict(), "gain", "gamma");
  const auto rename = [](const std::string& name) {
    return name == "gamma" ? std::string("gain") : name;
  };
  CHECK(to->load_state_dict(old, {.rename = rename}).loaded.size() == 5);
  const auto collide = [](const std::string&) { return std::string("gain"); };
  CHECK_THROWS_WITH_TEXT(to->load_state_dict(old, {.rename = collide}),
                         "two names of the state dict become 'gain'");
}

TEST_CASE("an undefined tensor in a state dict is a mismatch") {
  Net net;
  StateDict state = net->state_dict();
  state["gain"] = Tensor();
  CHECK_THROWS_WITH_TEXT(net->load_state_dict(state),
                         "size mismatch for gain: the state_dict has an undefined tensor");
}

TEST_CASE("a state dict may hold the module's own tensors, even under exchanged names") {
  Norm norm;
  {
    NoGradGuard no_grad;
    norm->mean.fill_(3);
  }
  StateDict state;
  state.insert("scale", norm->state_dict()["mean"]);
  state.insert("mean", norm->state_dict()["scale"]);
  norm->load_state_dict(state);
  CHECK(norm->scale.equal(full({2}, 3.0)));
  CHECK(norm->mean.equal(ones({2})));
}

TEST_CASE("loading counts as a write, so a graph from before is not silently wrong") {
  nn::Linear layer(2, 2);
  const Tensor x = ones({1, 2}, requires_grad());
  const Tensor loss = layer(x).sum();
  layer->load_state_dict(layer->state_dict());
  CHECK_THROWS_AS(loss.backward(), Error);
}
