#include "tarn/nn/module.h"

#include <sstream>

#include "tarn/core/autograd.h"
#include "tarn/nn/nn.h"
#include "tarn/tests/support/catch.h"

using namespace tarn;

namespace {

struct BlockImpl : nn::Module {
  Tensor weight, count;
  explicit BlockImpl(int64_t n = 2) {
    weight = register_parameter("weight", ones({n}));
    count = register_buffer("count", zeros({1}, kLong));
  }
  Tensor forward(const Tensor& x) { return x * weight; }
};
TARN_MODULE(Block);

struct NetImpl : nn::Module {
  Block first{nullptr}, second{nullptr};
  Tensor scale;
  NetImpl() {
    first = register_module("first", Block(2));
    second = register_module("second", Block(3));
    scale = register_parameter("scale", full({1}, 2.0));
  }
  Tensor forward(const Tensor& x) { return first(x) * scale; }
};
TARN_MODULE(Net);

std::vector<std::string> apply_names(const nn::Module& module, const std::string& prefix) {
  std::vector<std::string> names;
  module.apply([&](const std::string& name, const nn::Module&) { names.push_back(name); }, prefix);
  return names;
}

using Names = std::vector<std::string>;

struct Collector : WarningHandler {
  Names texts;
  Collector() { set_warning_handler(this); }
  ~Collector() override { set_warning_handler(nullptr); }
  void process(const std::string& message) override { texts.push_back(message); }
};

}  // namespace

TEST_CASE("names of parameters, buffers and submodules are checked") {
  Net net;
  CHECK_THROWS_WITH_TEXT(net->register_module("a.b", Block()),
                         "Submodule name must not contain a dot (got 'a.b')");
  CHECK_THROWS_WITH_TEXT(net->register_module("", Block()), "Submodule name must not be empty");
  CHECK_THROWS_WITH_TEXT(net->register_module("first", Block()),
                         "Submodule 'first' already defined");
  CHECK_THROWS_WITH_TEXT(net->register_module("third", Block(nullptr)),
                         "'third' is an empty handle");
  CHECK_THROWS_WITH_TEXT(net->register_parameter("a.b", zeros({1})),
                         "Parameter name must not contain a dot (got 'a.b')");
  CHECK_THROWS_WITH_TEXT(net->register_parameter("", zeros({1})),
                         "Parameter name must not be empty");
  CHECK_THROWS_WITH_TEXT(net->register_parameter("scale", zeros({1})),
                         "Parameter 'scale' already defined");
  CHECK_THROWS_WITH_TEXT(net->register_buffer("a.b", zeros({1})),
                         "Buffer name must not contain a dot (got 'a.b')");
  CHECK_THROWS_WITH_TEXT(net->register_buffer("", zeros({1})), "Buffer name must not be empty");
  CHECK_THROWS_WITH_TEXT(net->first->register_buffer("count", zeros({1})),
                         "Buffer 'count' already defined");
  CHECK_THROWS_WITH_TEXT(net->register_buffer("scale", zeros({1})),
                         "Buffer 'scale' already defined");
  CHECK_THROWS_WITH_TEXT(net->first->register_parameter("count", zeros({1})),
                         "Parameter 'count' already defined");
  const Tensor result = net->scale * 2;
  CHECK_THROWS_WITH_TEXT(net->register_parameter("late", result),
                         "'late' is the result of an operation");
  CHECK(net->named_parameters().size() == 3);
  CHECK(net->children().size() == 2);
}

TEST_CASE("registering a parameter makes it require gradients, or not, as asked") {
  Net net;
  CHECK(net->register_parameter("trained", zeros({1})).requires_grad());
  CHECK_FALSE(net->register_parameter("frozen", zeros({1}), false).requires_grad());
  Collector warnings;
  net->register_parameter("absent", Tensor(), false);
  CHECK(warnings.texts.empty());
  net->register_parameter("absent too", Tensor());
  REQUIRE(warnings.texts.size() == 1);
  CHECK(warnings.texts[0].find("Ignoring the `requires_grad=true` function parameter") !=
        std::string::npos);
  CHECK_FALSE(net->named_parameters().contains("absent"));
}

TEST_CASE("modules can be replaced and unregistered") {
  Net net;
  net->first = net->replace_module("first", Block(7));
  CHECK(net->named_parameters()["first.weight"].numel() == 7);
  CHECK_THROWS_WITH_TEXT(net->replace_module("third", Block()), "Submodule 'third' is not defined");
  net->unregister_module("second");
  CHECK(net->named_parameters().keys() == Names{"scale", "first.weight"});
  CHECK_THROWS_WITH_TEXT(net->unregister_module("second"),
                         "No Module with name `second` is registered");
}

TEST_CASE("listings follow the order of registration, own tensors first") {
  Net net;
  CHECK(net->named_parameters().keys() == Names{"scale", "first.weight", "second.weight"});
  CHECK(net->named_parameters(false).keys() == Names{"scale"});
  CHECK(net->named_buffers().keys() == Names{"first.count", "second.count"});
  CHECK(net->named_buffers(false).is_empty());
  CHECK(net->named_children().keys() == Names{"first", "second"});
  CHECK(net->named_modules().keys() == Names{"", "first", "second"});
  CHECK(net->named_modules("net", false).keys() == Names{"net.first", "net.second"});
  CHECK(net->modules().front().get() == net.get());
  CHECK(net->parameters()[1].is_same(net->first->weight));
  CHECK(net->buffers()[0].is_same(net->first->count));
  CHECK(apply_names(*net, "") == Names{"", "first", "second"});
  CHECK(apply_names(*net, "p") == Names{"p", "p.first", "p.second"});
}

TEST_CASE("what is shared is listed once") {
  Net net;
  net->register_module("again", net->first);
  net->register_parameter("tied", net->second->weight);
  CHECK(net->named_parameters().keys() == Names{"scale", "tied", "first.weight"});
  CHECK(net->named_modules().size() == 3);
}

TEST_CASE("apply calls its function with the module, its name or its pointer") {
  Net net;
  int modules = 0, pointers = 0, named_pointers = 0;
  net->apply([&](nn::Module& m) { modules += m.as<Block>() != nullptr; });
  net->apply(
      [&](const std::shared_ptr<nn::Module>& m) { pointers += m->as<BlockImpl>() != nullptr; });
  net->apply([&](const std::string& name, const std::shared_ptr<nn::Module>& m) {
    named_pointers += !name.empty() && m;
  });
  CHECK(modules == 2);
  CHECK(pointers == 2);
  CHECK(named_pointers == 2);
  NetImpl on_stack;
  CHECK_THROWS_WITH_TEXT(
      on_stack.modules(),
      "It looks like you attempted to retrieve your top-level module as a shared_ptr");
  CHECK(on_stack.modules(false).size() == 2);
}

TEST_CASE("train and eval reach every submodule") {
  Net net;
  CHECK(net->is_training());
  net->eval();
  CHECK_FALSE(net->is_training());
  CHECK_FALSE(net->second->is_training());
  net->train();
  CHECK(net->second->is_training());
}

TEST_CASE("to() converts floating-point tensors in place and keeps integers") {
  Net net;
  const Tensor weight = net->first->weight;
  net(ones({2})).sum().backward();
  net->to(kDouble);
  CHECK(weight.dtype() == kDouble);
  CHECK(weight.grad().dtype() == kDouble);
  CHECK(weight.grad().equal(full({2}, 2.0, kDouble)));
  CHECK(weight.requires_grad());
  CHECK(net->first->count.dtype() == kLong);
  CHECK_THROWS_AS(net->to(kInt), TypeError);
  CHECK(net->scale.dtype() == kDouble);
  for (const Tensor& p : net->parameters()) p.requires_grad_(false);
  net->to(kInt);
  CHECK(net->scale.dtype() == kInt);
  net->to("cpu");
  net->to(kCPU, kFloat);
  CHECK(net->scale.dtype() == kInt);
}

TEST_CASE("to() a device this machine lacks changes nothing") {
  Net net;
  CHECK_THROWS_AS(net->to(Device("cuda:100")), DeviceError);
  CHECK(net->scale.device() == Device(kCPU));
  CHECK(net(ones({2})).device() == Device(kCPU));
}

TEST_CASE("zero_grad drops gradients or fills them with zeros") {
  Net net;
  net(ones({2})).sum().backward();
  CHECK(net->scale.grad().item<float>() == 2);
  const Tensor kept = net->scale.grad();
  net->zero_grad(false);
  CHECK(kept.item<float>() == 0);
  CHECK(net->scale.grad().is_same(kept));
  net->zero_grad();
  CHECK_FALSE(net->scale.grad().defined());
  CHECK_FALSE(net->first->weight.grad().defined());
}

TEST_CASE("modules print as a tree under their types' names") {
  struct Named : nn::Module {
    Named() : nn::Module("TheNet") {}
  };
  CHECK(str(Named()) == "TheNet");
  nn::Sequential inner(nn::Linear(2, 3), nn::Dropout(0.25));
  auto net = std::make_shared<Named>();
  net->register_module("body", inner);
  net->register_module("head", nn::Linear(nn::LinearOptions(3, 1).bias(false)));
  CHECK(str(*net) ==
        "TheNet(\n"
        "  (body): tarn::nn::Sequential(\n"
        "    (0): tarn::nn::Linear(in_features=2, out_features=3, bias=true)\n"
        "    (1): tarn::nn::Dropout(p=0.25, inplace=false)\n"
        "  )\n"
        "  (head): tarn::nn::Linear(in_features=3, out_features=1, bias=false)\n"
        ")");
  CHECK(nn::Linear(1, 1)->name() == "tarn::nn::LinearImpl");
  CHECK(Net()->name().find("NetImpl") != std::string::npos);
}

TEST_CASE("as() finds the type behind a Module, by handle or Impl") {
  Block block;
  nn::Module& module = *block;
  CHECK(module.as<Block>() == block.get());
  CHECK(module.as<BlockImpl>() == block.get());
  CHECK(module.as<Net>() == nullptr);
  CHECK(std::as_const(module).as<Block>() == block.get());
}

TEST_CASE("handles share their module, convert to pointers and may be empty") {
  Block block(3);
  Block same = block;
  CHECK(same.get() == block.get());
  const std::shared_ptr<nn::Module> base = block;
  std::shared_ptr<BlockImpl> exact(block);
  CHECK(base.get() == block.get());
  CHECK(Block(exact).get() == block.get());
  Block empty{nullptr};
  CHECK(empty.is_empty());
  CHECK_FALSE(static_cast<bool>(empty));
  CHECK_THROWS_WITH_TEXT(empty->weight, "Accessing empty ModuleHolder");
  CHECK_THROWS_WITH_TEXT(empty(ones({3})), "Accessing empty ModuleHolder");
  CHECK_THROWS_WITH_TEXT(empty.ptr(), "Accessing empty ModuleHolder");
  empty = block;
  CHECK(empty(ones({3})).equal(ones({3})));
}
