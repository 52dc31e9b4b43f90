#include "tarn/core/value.h"

#include <cmath>
#include <limits>
#include <sstream>

#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/tensors.h"

namespace {

using tarn::OrderedDict;
using tarn::StateDict;
using tarn::Tensor;
using tarn::Value;
using tarn::testing::make_tensor;

TEST_CASE("a Value is made from plain data and gives it back") {
  CHECK(Value().is_none());
  CHECK(Value(std::nullopt).is_none());
  CHECK(Value(true).to_bool());
  CHECK(Value(-3).to_int() == -3);
  CHECK(Value(uint8_t{200}).to_int() == 200);
  CHECK(Value(0.5F).to_double() == 0.5);
  CHECK(Value(7).to_double() == 7.0);
  CHECK(Value("text").to_string() == "text");
  CHECK(Value::bytes(std::string("\0\xFF", 2)).to_bytes().size() == 2);
  const Tensor x = make_tensor<float>({1, 2}, {2});
  CHECK(Value(x).to_tensor().is_same(x));
  CHECK(Value(true).is_bool());
  CHECK_FALSE(Value(1).is_bool());
  CHECK_THROWS_WITH_TEXT(Value(std::numeric_limits<uint64_t>::max()), "does not fit");
}

TEST_CASE("lists, maps and ordered dicts become containers in their order") {
  const Tensor x = make_tensor<float>({1}, {1}), y = make_tensor<float>({2}, {1});
  const Value list = std::vector<Tensor>{x, y};
  CHECK(list.is_list());
  CHECK(list.to_tensors()[1].is_same(y));
  CHECK(Value::tuple({x, y}).to_tensors().size() == 2);
  const Value map = std::map<std::string, Tensor>{{"b", x}, {"a", y}};
  CHECK(map.is_dict());
  CHECK_FALSE(map.is_ordered_dict());
  CHECK(map.to_tensor_dict().keys() == std::vector<std::string>{"a", "b"});
  const Value ordered = OrderedDict<std::string, Tensor>{{"b", x}, {"a", y}};
  CHECK(ordered.is_ordered_dict());
  CHECK(ordered.to_tensor_dict().keys() == std::vector<std::string>{"b", "a"});
  CHECK(ordered.at("a").to_tensor().is_same(y));
  CHECK(Value(std::vector<double>{0.5, 1}).at(1).to_double() == 1.0);
  CHECK(Value(std::vector<std::string>{"p"}).at(0).to_string() == "p");
}

TEST_CASE("a state dict survives the way through a Value with its module versions") {
  StateDict state;
  const Tensor w = make_tensor<float>({1}, {1});
  state.insert("fc.weight", w);
  state.metadata.insert("", 1);
  state.metadata.insert("fc", 2);
  const Value value = state;
  CHECK(value.is_ordered_dict());
  CHECK(value.metadata().at("fc").at("version").to_int() == 2);
  const StateDict back = value;
  CHECK(back["fc.weight"].is_same(w));
  CHECK(back.metadata == state.metadata);
  CHECK(Value(StateDict()).metadata().is_none());
}

TEST_CASE("dict keys follow Python's rules of equality") {
  Value dict = Value::dict({{0, "int"}, {"0", "str"}, {std::nullopt, "none"}, {0.5, "half"}});
  CHECK(dict.size() == 4);
  CHECK(dict.at(0).to_string() == "int");
  CHECK(dict.at("0").to_string() == "str");
  CHECK(dict.at(false).to_string() == "int");
  CHECK(dict.at(0.0).to_string() == "int");
  CHECK(dict.at(Value()).to_string() == "none");
  CHECK(dict.contains(0.5));
  dict.set(0, "new");
  CHECK(dict.size() == 4);
  CHECK(dict.entries()[0].second.to_string() == "new");
  CHECK_THROWS_WITH_TEXT(Value::dict({{"a", 1}, {"a", 2}}), "duplicate key 'a'");
  CHECK_THROWS_WITH_TEXT(dict.set(Value::list(), 1), "a list cannot be a key");
  CHECK_THROWS_WITH_TEXT(dict.contains(Value::dict()), "a dict cannot be a key");
}

TEST_CASE("the wrong kind is an error that names both kinds and the place") {
  const Tensor x = make_tensor<float>({1}, {1});
  CHECK_THROWS_WITH_TEXT(Value(1).to_bool(), "[to_bool] the value is an int (1), expected a bool");
  CHECK_THROWS_WITH_TEXT(Value("s").to_int(), "[to_int] the value is a str ('s'), expected an int");
  CHECK_THROWS_WITH_TEXT(Value(2.5).to_int(), "a float (2.5), expected an int");
  CHECK_THROWS_WITH_TEXT(Value().to_double(), "the value is None, expected a float or int");
  CHECK_THROWS_WITH_TEXT(Value(x).to_string(), "the value is a Tensor, expected a str");
  CHECK_THROWS_WITH_TEXT(Value::list({x}).to_tensor(), "a list of size 1, expected a Tensor");
  CHECK_THROWS_WITH_TEXT(Value(x).to_tensors(), "a Tensor, expected a list or tuple of Tensors");
  CHECK_THROWS_WITH_TEXT(Value::list({x, 3}).to_tensors(),
                         "element 1 is an int (3), expected a Tensor");
  CHECK_THROWS_WITH_TEXT(Value::list({x}).to_tensor_dict(), "expected a dict of Tensors");
  CHECK_THROWS_WITH_TEXT(Value::dict({{"n", 3}}).to_tensor_dict(),
                         "key 'n' holds an int (3), expected a Tensor");
  CHECK_THROWS_WITH_TEXT(Value::dict({{7, x}}).to_tensor_dict(), "the key 7 is an int");
  CHECK_THROWS_WITH_TEXT(Value::dict({{"model", Value::dict()}}).to_state_dict(),
                         "HINT: take the dict you want with .at('model')");
  CHECK_THROWS_WITH_TEXT(Value(3).size(), "expected a list, tuple or dict");
  CHECK_THROWS_WITH_TEXT(Value(3).at("k"), "expected a list, tuple or dict");
  CHECK_THROWS_WITH_TEXT(Value(3).entries(), "expected a dict");
  CHECK_THROWS_WITH_TEXT(Value::dict().push_back(1), "expected a list or tuple");
  CHECK_THROWS_WITH_TEXT(Value::list().set("k", 1), "expected a dict");
}

TEST_CASE("an absent key or position is an error that shows what there is") {
  const Value dict = Value::dict({{"model", 1}, {"epoch", 2}});
  CHECK_THROWS_WITH_TEXT(dict.at("modle"),
                         "key 'modle' is not in the dict of size 2, which has 'model' 'epoch'");
  const Value list = Value::list({1, 2});
  CHECK_THROWS_WITH_TEXT(list.at(2), "position 2 is out of range of a list of size 2");
  CHECK_THROWS_WITH_TEXT(list.at(-1), "position -1");
  CHECK_THROWS_WITH_TEXT(list.at("a"), "a list takes an int as position, got a str ('a')");
  CHECK(list.find(5) == nullptr);
}

TEST_CASE("copies of a Value do not see each other's changes") {
  Value list = Value::list({1});
  const Value outer = Value::dict({{"list", list}});
  Value copy = list;
  copy.push_back(2);
  CHECK(list.size() == 1);
  CHECK(outer.at("list").size() == 1);
  CHECK(copy.size() == 2);
  list.push_back(list);
  CHECK(list.size() == 2);
  CHECK(list.at(1).size() == 1);
}

TEST_CASE("nesting stops at a fixed depth, so that no Value can exhaust the stack") {
  Value value = Value::list();
  for (int depth = 1; depth < Value::kMaxDepth; ++depth) value = Value::list({value});
  CHECK_THROWS_WITH_TEXT(Value::list({value}), "depth of 500");
  Value list = Value::list(), dict = Value::dict();
  CHECK_THROWS_WITH_TEXT(list.push_back(value), "depth of 500");
  CHECK_THROWS_WITH_TEXT(dict.set("k", value), "depth of 500");
  CHECK(list.size() == 0);
  CHECK(dict.size() == 0);
}

TEST_CASE("a Value prints as Python prints it") {
  const Tensor x = make_tensor<float>({1, 2}, {1, 2});
  CHECK(tarn::str(Value::dict({{"a", Value::list({1, 2.0, 0.1, true, std::nullopt})},
                               {"t", Value::tuple({x})},
                               {"s", "it's\n"}})) ==
        R"({'a': [1, 2.0, 0.1, True, None], 't': (Tensor(float32, [1, 2]),), 's': 'it\'s\x0a'})");
  CHECK(tarn::str(Value::ordered_dict({{"k", Tensor()}})) ==
        "OrderedDict({'k': Tensor(undefined)})");
  CHECK(tarn::str(Value(std::nan(""))) == "nan");
  CHECK(tarn::str(Value(1e300)) == "1e+300");
  CHECK(tarn::str(Value::bytes("ab")) == "b'ab'");
}

TEST_CASE("printing a Value that repeats itself beyond measure ends") {
  Value value = Value::list({1});
  for (int i = 0; i < 60; ++i) value = Value::list({value, value, value, value});
  const std::string text = tarn::str(value);
  CHECK(text.size() < 100'000);
  CHECK(text.find("...") != std::string::npos);
}

TEST_CASE("a moved-from Value is None") {
  Value value = Value::list({1});
  const Value taken = std::move(value);
  CHECK(taken.size() == 1);
  CHECK(value.is_none());
  CHECK_THROWS_WITH_TEXT(value.size(), "None");
}

}  // namespace
