#include <functional>
#include <map>

#include "tarn/core/autograd.h"
#include "tarn/core/random.h"
#include "tarn/nn/nn.h"
#include "tarn/tests/support/catch.h"

using namespace tarn;

namespace {

struct MlpImpl : nn::Module {
  nn::Linear hidden{nullptr}, output{nullptr};
  MlpImpl() {
    hidden = register_module("hidden", nn::Linear(3, 4));
    output = register_module("output", nn::Linear(4, 2));
  }
  Tensor forward(const Tensor& x) { return output(relu(hidden(x))); }
};
TARN_MODULE(Mlp);

// Every way to hold what is registered, beside members that are not.
struct EverythingImpl : nn::Module {
  Tensor weight, absent;
  std::optional<Tensor> maybe;
  nn::Parameter typed;
  std::vector<nn::Parameter> many;
  std::vector<nn::Linear> layers;
  std::map<std::string, nn::Linear> by_name;
  std::shared_ptr<nn::LinearImpl> pointer;
  nn::Sequential body;
  std::function<Tensor(const Tensor&)> closure;
  int calls = 0;
  Tensor unregistered = ones({3});

  EverythingImpl() {
    weight = register_parameter("weight", randn({3}));
    absent = register_parameter("absent", Tensor(), false);
    maybe = register_buffer("maybe", randn({3}));
    typed = register_parameter("typed", randn({3}));
    for (int i = 0; i < 3; ++i)
      many.emplace_back() = register_parameter("many" + std::to_string(i), randn({3}));
    for (int i = 0; i < 3; ++i)
      layers.push_back(register_module("layer" + std::to_string(i), nn::Linear(3, 3)));
    by_name.emplace("a", register_module("named", nn::Linear(3, 3)));
    pointer = register_module("pointer", std::make_shared<nn::LinearImpl>(3, 3));
    body = register_module(
        "body", nn::Sequential(nn::Linear(3, 3), nn::Tanh(), nn::Sequential(nn::Linear(3, 3))));
    nn::Linear captured = register_module("captured", nn::Linear(3, 3));
    closure = [captured](const Tensor& x) { return captured(x); };
  }
  Tensor forward(Tensor x) {
    ++calls;
    x = x * weight + *maybe + typed;
    for (const Tensor& t : many) x = x + t;
    for (nn::Linear& layer : layers) x = layer(x);
    return closure(body(pointer->forward(by_name.at("a")(x)))) + unregistered;
  }
};
TARN_MODULE(Everything);

template <class M>
std::shared_ptr<M> clone_as(const nn::ModuleHolder<M>& module) {
  return std::dynamic_pointer_cast<M>(module->clone());
}

void overwrite(const nn::Module& module, double value) {
  NoGradGuard no_grad;
  for (const Tensor& t : module.parameters()) t.fill_(value);
  for (const Tensor& t : module.buffers()) t.fill_(value);
}

}  // namespace

TEST_CASE("a clone computes with its own parameters, the original with its own") {
  manual_seed(1);
  const Tensor x = randn({5, 3});
  Mlp net;
  const auto copy = clone_as(net);
  const Tensor before = net(x).detach().clone();
  CHECK(copy->forward(x).equal(before));
  CHECK_FALSE(copy->hidden.get() == net->hidden.get());
  CHECK(copy->hidden.ptr() == copy->children()[0]);

  overwrite(*net, 0.5);
  CHECK(copy->forward(x).equal(before));
  CHECK_FALSE(net(x).equal(before));
  const Tensor changed = net(x).detach().clone();
  overwrite(*copy, 0.25);
  CHECK(net(x).equal(changed));
  CHECK_FALSE(copy->forward(x).equal(before));
}

TEST_CASE("members of every kind lead to what the clone has registered") {
  manual_seed(2);
  const Tensor x = randn({3});
  Everything net;
  net->calls = 7;
  const auto copy = clone_as(net);
  CHECK(copy->calls == 7);
  CHECK(copy->weight.is_same(copy->named_parameters()["weight"]));
  CHECK_FALSE(copy->weight.is_same(net->weight));
  CHECK(copy->typed.is_same(copy->named_parameters()["typed"]));
  CHECK(copy->many[2].is_same(copy->named_parameters()["many2"]));
  CHECK(copy->maybe->is_same(copy->named_buffers()["maybe"]));
  CHECK(copy->pointer == copy->named_children()["pointer"]);
  CHECK(copy->unregistered.is_same(net->unregistered));
  CHECK_FALSE(copy->absent.defined());

  const Tensor before = net(x).detach().clone();
  CHECK(copy->forward(x).equal(before));
  overwrite(*net, 0.125);
  CHECK(copy->forward(x).equal(before));
  overwrite(*copy, 0);
  CHECK(copy->forward(x).equal(ones({3})));
  // The clone trains as a module of its own.
  copy->forward(x).sum().backward();
  CHECK(copy->named_parameters()["captured.bias"].grad().equal(ones({3})));
  CHECK_FALSE(net->named_parameters()["captured.bias"].grad().defined());
}

TEST_CASE("a clone can be cloned, keeps flags, and starts without gradients") {
  Everything net;
  net->eval();
  net->weight.requires_grad_(false);
  net(ones({3})).sum().backward();
  const auto second = std::dynamic_pointer_cast<EverythingImpl>(clone_as(net)->clone());
  CHECK_FALSE(second->is_training());
  CHECK_FALSE(second->layers[1]->is_training());
  CHECK_FALSE(second->weight.requires_grad());
  CHECK(second->typed.requires_grad());
  CHECK_FALSE(second->typed.grad().defined());
  CHECK(net->typed.grad().defined());
  CHECK(second->forward(ones({3})).equal(net(ones({3}))));
}

TEST_CASE("what is shared inside a module is shared inside its clone") {
  struct TiedImpl : nn::Module {
    nn::Linear in{nullptr}, again{nullptr};
    Tensor tied;
    TiedImpl() {
      in = register_module("in", nn::Linear(3, 3));
      again = register_module("again", in);
      tied = register_parameter("tied", in->weight);
    }
  };
  nn::ModuleHolder<TiedImpl> net;
  const auto copy = clone_as(net);
  CHECK(copy->tied.is_same(copy->in->weight));
  CHECK(copy->again.get() == copy->in.get());
  CHECK_FALSE(copy->tied.is_same(net->tied));
  CHECK(copy->parameters().size() == 2);
}

TEST_CASE("containers clone their elements") {
  nn::Sequential sequential(nn::Linear(2, 2), nn::ReLU());
  nn::ModuleList list(nn::Linear(2, 2), sequential);
  const auto copy = clone_as(list);
  REQUIRE(copy->size() == 2);
  CHECK_FALSE(copy->ptr(0) == list->ptr(0));
  const Tensor x = ones({1, 2}), before = sequential(x).detach().clone();
  auto& inner = copy->at<nn::Sequential>(1);
  overwrite(*list, 0);
  CHECK(inner.forward(x).equal(before));
  CHECK(inner.at<nn::Linear>(0).weight.is_same(copy->named_parameters()["1.0.weight"]));

  nn::AnyModule any(nn::Linear(2, 2));
  nn::AnyModule other = any.clone();
  CHECK_FALSE(any.ptr() == other.ptr());
  CHECK(other.forward(x).equal(any.forward(x)));
}

TEST_CASE("clone() to a device asks for that device") {
  Mlp net;
  CHECK(clone_as(net)->hidden->weight.device() == Device(kCPU));
  CHECK(net->clone(Device(kCPU)) != nullptr);
  CHECK_THROWS_AS(net->clone(Device("cuda:100")), DeviceError);
  // The failed attempt left nothing behind: handles are copied as before.
  Mlp same = net;
  CHECK(same.get() == net.get());
}

TEST_CASE("clone() refuses what it cannot do soundly") {
  struct VectorImpl : nn::Module {
    std::vector<Tensor> weights;
    VectorImpl() { weights.push_back(register_parameter("w", ones({2}))); }
  };
  nn::ModuleHolder<VectorImpl> held_in_vector;
  CHECK_THROWS_WITH_TEXT(held_in_vector->clone(),
                         "holds 'w' where its copy cannot be told of the clone");
  CHECK_THROWS_WITH_TEXT(held_in_vector->clone(), "HINT: hold it as nn::Parameter");

  struct PointersImpl : nn::Module {
    std::vector<std::shared_ptr<nn::LinearImpl>> layers;
    PointersImpl() {
      layers.push_back(register_module("fc", std::make_shared<nn::LinearImpl>(2, 2)));
    }
  };
  nn::ModuleHolder<PointersImpl> pointers;
  CHECK_THROWS_WITH_TEXT(pointers->clone(), "HINT: hold it by a handle, nn::ModuleHolder");

  struct FixedImpl : nn::Module {
    FixedImpl() = default;
    FixedImpl(const FixedImpl&) = delete;
  };
  CHECK_THROWS_WITH_TEXT(nn::ModuleHolder<FixedImpl>()->clone(),
                         "clone() has not been implemented for");

  MlpImpl unknown;
  CHECK_THROWS_WITH_TEXT(unknown.clone(), "whose type no handle has noted");
  // A subclass that only its base's handle knows of would be sliced.
  struct WiderImpl : MlpImpl {
    int more = 3;
  };
  Mlp sliced(std::static_pointer_cast<MlpImpl>(std::make_shared<WiderImpl>()));
  CHECK_THROWS_WITH_TEXT(sliced->clone(), "whose type no handle has noted");
}

TEST_CASE("a module may clone itself in its own way, also as a submodule") {
  struct OwnImpl : nn::Module {
    int generation = 0;
    std::shared_ptr<nn::Module> clone(const std::optional<Device>&) const override {
      auto copy = std::make_shared<OwnImpl>();
      copy->generation = generation + 1;
      return copy;
    }
  };
  struct ParentImpl : nn::Module {
    nn::ModuleHolder<OwnImpl> own;
    ParentImpl() { register_module("own", own); }
  };
  nn::ModuleHolder<ParentImpl> parent;
  const auto copy = clone_as(parent);
  CHECK(copy->own->generation == 1);
  CHECK(copy->own.ptr() == copy->children()[0]);
}

TEST_CASE("Cloneable needs no handle") {
  struct Layer : nn::Cloneable<Layer> {
    Tensor weight;
    Layer() { reset(); }
    void reset() override { weight = register_parameter("weight", ones({2})); }
  };
  const auto layer = std::make_shared<Layer>();
  const auto copy = std::dynamic_pointer_cast<Layer>(layer->clone());
  overwrite(*layer, 5);
  CHECK(copy->weight.equal(ones({2})));
}
