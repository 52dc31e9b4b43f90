#include "tarn/nn/module_list.h"

#include "tarn/nn/nn.h"
#include "tarn/tests/support/catch.h"

using namespace tarn;

namespace {

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a ModuleList numbers its modules") {
  nn::Linear first(1, 2);
  nn::ModuleList list(first, nn::ReLUImpl(), std::make_shared<nn::TanhImpl>());
  list->push_back(nn::Identity());
  list->append(nn::Linear(3, 4));
  CHECK(list->size() == 5);
  CHECK(list->named_children().keys() == Names{"0", "1", "2", "3", "4"});
  CHECK(list->ptr(0).get() == first.get());
  CHECK(list->ptr<nn::Linear>(0) == first.ptr());
  CHECK(list[1]->as<nn::ReLU>() != nullptr);
  CHECK(list->at<nn::Linear>(4).options.out_features() == 4);
  CHECK_THROWS_WITH_TEXT(
      list->at<nn::Linear>(1),
      "Unable to cast module '1' of type tarn::nn::ReLUImpl to tarn::nn::LinearImpl");
  CHECK_THROWS_WITH_TEXT(list->ptr(5), "Index out of range");
  CHECK(list->named_parameters().keys() == Names{"0.weight", "0.bias", "4.weight", "4.bias"});
  int count = 0;
  for (const auto& module : *list) count += module->is_training();
  CHECK(count == 5);
}

TEST_CASE("insert moves later modules up") {
  nn::ModuleList list(nn::Linear(1, 1), nn::Linear(2, 2));
  list->insert(1, nn::Linear(9, 9));
  list->insert(3, nn::Linear(4, 4));
  list->insert(0, nn::Linear(5, 5));
  std::vector<int64_t> sizes;
  for (const auto& module : *list) sizes.push_back(module->as<nn::Linear>()->options.in_features());
  CHECK(sizes == std::vector<int64_t>{5, 1, 9, 2, 4});
  CHECK_THROWS_WITH_TEXT(list->insert(6, nn::ReLU()), "Index out of range");
  CHECK(list->size() == 5);
}

TEST_CASE("a ModuleList can be extended, by itself as well, and printed") {
  nn::ModuleList list(nn::Linear(1, 1));
  list->extend(*nn::ModuleList(nn::ReLU()));
  list->extend(*list);
  CHECK(list->size() == 4);
  CHECK(list->ptr(0) == list->ptr(2));
  nn::ModuleList same(list);
  CHECK(same.get() == list.get());
  CHECK(str(nn::ModuleList(nn::ReLU())) == "tarn::nn::ModuleList(\n  (0): tarn::nn::ReLU()\n)");
  CHECK(nn::ModuleList()->is_empty());
}

TEST_CASE("a ModuleDict names its modules") {
  nn::ModuleDict dict({{"fc", nn::Linear(1, 2)}, {"act", nn::ReLU()}});
  CHECK(dict->keys() == Names{"fc", "act"});
  CHECK(dict->at<nn::Linear>("fc").options.out_features() == 2);
  CHECK(dict->ptr<nn::Linear>("fc") == (*dict)["fc"]);
  CHECK(dict->contains("act"));
  CHECK_FALSE(dict->contains("nothing"));
  CHECK_THROWS_WITH_TEXT((*dict)["nothing"], " 'nothing' is not defined");
  CHECK_THROWS_WITH_TEXT(dict->at<nn::Linear>("act"),
                         "Unable to cast module 'act' of type tarn::nn::ReLUImpl");
  const auto popped = dict->pop("fc");
  CHECK(popped->as<nn::Linear>() != nullptr);
  CHECK(dict->size() == 1);
  CHECK_THROWS_WITH_TEXT(dict->pop("fc"), " 'fc' is not defined");
  nn::Tanh tanh;
  dict->update({{"act", tanh}, {"new", nn::ReLU()}});
  CHECK(dict->keys() == Names{"act", "new"});
  CHECK((*dict)["act"].get() == tanh.get());
  CHECK(str(dict) ==
        "tarn::nn::ModuleDict(\n  (act): tarn::nn::Tanh()\n  (new): tarn::nn::ReLU()\n)");
  CHECK(dict->items()[1].first == "new");
  dict->clear();
  CHECK(dict->empty());
}

TEST_CASE("a ParameterList numbers its parameters") {
  nn::ParameterList list(ones({1, 2}, requires_grad()), zeros({3}));
  list->append(ones({2}));
  CHECK(list->size() == 3);
  CHECK(list->at(0).requires_grad());
  CHECK_FALSE(list[1].requires_grad());
  CHECK_THROWS_WITH_TEXT(list->at(3), "Index out of range");
  CHECK_THROWS_AS(list->at(3), IndexError);
  *list += *nn::ParameterList(full({4}, 1.0));
  list->extend(std::vector<Tensor>{ones({5})});
  CHECK(list->named_parameters().keys() == Names{"0", "1", "2", "3", "4"});
  CHECK(list[4].numel() == 5);
  CHECK(str(nn::ParameterList(ones({1, 2}))) ==
        "tarn::nn::ParameterList(\n(0): Parameter containing: [Float of size [1, 2]]\n)");
}

TEST_CASE("a ParameterDict names its parameters") {
  nn::ParameterDict dict;
  dict->insert("A", ones({2}, requires_grad()));
  dict->update(
      *nn::ParameterDict(OrderedDict<std::string, Tensor>{{"B", zeros({3})}, {"A", zeros({4})}}));
  CHECK(dict->keys() == Names{"A", "B"});
  CHECK(dict->get("A").numel() == 4);
  CHECK((*dict)["B"].numel() == 3);
  CHECK_THROWS_WITH_TEXT(dict->insert("A", ones({1})), "Parameter 'A' already defined");
  CHECK(dict->pop("B").numel() == 3);
  CHECK_THROWS_WITH_TEXT(dict->get("B"), "Parameter 'B' is not defined");
  CHECK(str(dict) == "tarn::nn::ParameterDict(\n(A): Parameter containing: [Float of size [4]]\n)");
  CHECK(dict->values().size() == 1);
  dict->clear();
  CHECK(dict->empty());
}
