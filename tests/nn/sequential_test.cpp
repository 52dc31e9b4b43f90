#include "tarn/nn/sequential.h"

#include "tarn/core/autograd.h"
#include "tarn/core/random.h"
#include "tarn/nn/nn.h"
#include "tarn/tests/support/catch.h"

using namespace tarn;

namespace {

struct CountedImpl : nn::Module {
  explicit CountedImpl(int v) : value(v) {}
  CountedImpl(const CountedImpl& other) : nn::Module(other), value(other.value) { ++copies; }
  CountedImpl(CountedImpl&& other) = default;
  int value;
  int forward(int x) { return x + value; }
  static int copies;
};
int CountedImpl::copies = 0;
TARN_MODULE(Counted);

struct ToFloat : nn::Module {
  float forward(int x, int y = 1) { return static_cast<float>(x) / static_cast<float>(y); }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a Sequential takes handles, pointers, values and other Sequentials") {
  manual_seed(5);
  auto pointer = std::make_shared<nn::LinearImpl>(4, 3);
  nn::Linear handle(2, 4);
  nn::Sequential inner(nn::Tanh(), nn::Linear(3, 2));
  nn::Sequential net(handle, nn::ReLUImpl(), pointer, inner);
  REQUIRE(net->size() == 4);
  const Tensor x = randn({5, 2});
  CHECK(net(x).equal(inner(pointer->forward(relu(handle(x))))));
  CHECK(net->forward(x).equal(net(x)));
  CHECK(net->named_children().keys() == Names{"0", "1", "2", "3"});
  CHECK(net->named_parameters().keys() ==
        Names{"0.weight", "0.bias", "2.weight", "2.bias", "3.1.weight", "3.1.bias"});
  nn::Sequential same(net);
  CHECK(same.get() == net.get());
}

TEST_CASE("a Linear and a ReLU are computed as one, whatever derives from them is not") {
  struct Doubled : nn::LinearImpl {
    Doubled() : LinearImpl(3, 3) {}
    Tensor forward(const Tensor& x) { return 2 * LinearImpl::forward(x); }
  };
  manual_seed(6);
  nn::Linear first(4, 3), last(3, 2);
  const auto middle = std::make_shared<Doubled>();
  nn::ReLU act(nn::ReLUOptions().inplace(true));
  nn::Sequential net(act, first, act, middle, nn::ReLU(), last);
  const Tensor x = randn({5, 4});
  const auto apart = [&](const Tensor& in) {
    return last(relu(middle->forward(relu(first(relu(in))))));
  };
  const Tensor y = net(x.clone());
  CHECK(y.equal(apart(x)));
  const auto parameters = net->parameters();
  const auto got = autograd::grad({y.sum()}, parameters);
  const auto wanted = autograd::grad({apart(x).sum()}, parameters);
  for (size_t i = 0; i < got.size(); ++i) CHECK(got[i].equal(wanted[i]));
  first->weight.detach().zero_();
  first->bias.detach().fill_(-1);
  CHECK(nn::Sequential(first, act)(x).equal(zeros({5, 3})));
}

TEST_CASE("elements can be named") {
  nn::Sequential net({{"fc", nn::Linear(2, 3)}, {"act", nn::ReLU()}});
  CHECK(net->named_children().keys() == Names{"fc", "act"});
  net->push_back("last", nn::Linear(3, 1));
  net->push_back(nn::Identity());
  CHECK(net->named_children().keys() == Names{"fc", "act", "last", "3"});
  CHECK_THROWS_WITH_TEXT(net->push_back("fc", nn::Linear(1, 1)), "Submodule 'fc' already defined");
  CHECK_THROWS_WITH_TEXT(net->push_back("name.with.dot", nn::Linear(1, 1)),
                         "Submodule name must not contain a dot (got 'name.with.dot')");
  CHECK_THROWS_WITH_TEXT(net->push_back("", nn::Linear(1, 1)), "Submodule name must not be empty");
  CHECK(net->size() == 4);
  OrderedDict<std::string, nn::AnyModule> dict;
  dict.insert("one", nn::AnyModule(nn::Linear(2, 2)));
  CHECK(nn::Sequential(dict)->named_children().keys() == Names{"one"});
}

TEST_CASE("values are copied once, temporaries not at all") {
  const CountedImpl one(1);
  CountedImpl::copies = 0;
  nn::Sequential copied(one, one);
  CHECK(CountedImpl::copies == 2);
  nn::Sequential moved(CountedImpl(1), CountedImpl(2), CountedImpl(3));
  CHECK(CountedImpl::copies == 2);
  CHECK(moved->forward<int>(10) == 16);
}

TEST_CASE("elements may pass on values of any type") {
  nn::Sequential net(Counted(1), Counted(2), ToFloat());
  CHECK(net->forward<float>(3) == 6.f);
  CHECK_THROWS_WITH_TEXT(net->forward<int>(3),
                         "The type of the return value is float, but you asked for type int");
  CHECK_THROWS_WITH_TEXT(
      net->forward<float>(3.0),
      "Expected argument #0 to be of type int, but received value of type double");
  CHECK(nn::Sequential(ToFloat())->forward<float>(3, 2) == 1.5f);
  CHECK(nn::Sequential(nn::Sequential(Counted(1)), ToFloat())->forward<float>(3) == 4.f);
}

TEST_CASE("an empty Sequential cannot forward") {
  nn::Sequential net;
  CHECK(net->is_empty());
  CHECK_THROWS_WITH_TEXT(net->forward<int>(5), "Cannot call forward() on an empty Sequential");
  CHECK_THROWS_WITH_TEXT(net(ones({1})), "Cannot call forward() on an empty Sequential");
}

TEST_CASE("elements are reached by position and type") {
  Counted first(1);
  nn::Sequential net(first, nn::ReLU());
  CHECK(net->at<Counted>(0).value == 1);
  CHECK(net->ptr<CountedImpl>(0) == first.ptr());
  CHECK(net->ptr(1) == (*net)[1]);
  CHECK(net[0].get() == first.get());
  CHECK_THROWS_WITH_TEXT(net->at<Counted>(2), "Index out of range");
  CHECK_THROWS_WITH_TEXT(net->ptr(2), "Index out of range");
  CHECK_THROWS_WITH_TEXT(net->at<Counted>(1), "Attempted to cast module");
  int count = 0;
  for (const nn::AnyModule& module : *net) count += !module.is_empty();
  CHECK(count == 2);
}

TEST_CASE("extend appends the elements of containers, itself included") {
  nn::Sequential a(Counted(1)), b(Counted(2));
  a->extend(*b);
  a->extend(std::vector<Counted>{Counted(3)});
  a->extend(*a);
  CHECK(a->size() == 6);
  CHECK(a->forward<int>(0) == 12);
}

TEST_CASE("replacing an element changes what forward does") {
  nn::Sequential net(Counted(1), Counted(2));
  net->replace_module("1", Counted(10));
  CHECK(net->forward<int>(0) == 11);
  net->unregister_module("0");
  CHECK(net->forward<int>(0) == 10);
  CHECK(net->named_children().keys() == Names{"1"});
  CHECK_THROWS_WITH_TEXT(net->replace_module("0", Counted(1)), "Submodule '0' is not defined");
  // What would leave forward() behind is refused.
  nn::Module& base = *net;
  CHECK_THROWS_WITH_TEXT(base.replace_module("1", Counted(3)),
                         "HINT: call as<nn::Sequential>()->replace_module()");
  CHECK_THROWS_WITH_TEXT(base.register_module("2", Counted(3)), "HINT: use push_back()");
  base.unregister_module("1");
  CHECK(net->is_empty());
}

TEST_CASE("a Functional is a function as a layer") {
  const Tensor x = tensor({-1.0, 2.0});
  nn::Sequential net(nn::Functional(tarn::relu),
                     nn::Functional([](const Tensor& t) { return t * 3; }),
                     nn::Functional(tarn::elu, 1, 0, 1));
  CHECK(net(x).equal(zeros({2})));
  CHECK(nn::Functional(tarn::relu)(x).equal(tensor({0.0, 2.0})));
  CHECK(str(nn::Functional(tarn::relu)) == "tarn::nn::Functional()");
}
