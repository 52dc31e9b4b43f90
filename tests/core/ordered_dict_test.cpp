#include "tarn/core/ordered_dict.h"

#include <string>

#include "tarn/tests/support/catch.h"

namespace {

using tarn::OrderedDict;
using Dict = OrderedDict<std::string, int>;

TEST_CASE("an OrderedDict keeps insertion order and finds by key and by position") {
  Dict dict{{"b", 1}, {"a", 2}};
  CHECK(dict.insert("c", 3) == 3);
  CHECK(dict.keys() == std::vector<std::string>{"b", "a", "c"});
  CHECK(dict.values() == std::vector<int>{1, 2, 3});
  CHECK(dict.pairs()[1] == std::pair<std::string, int>("a", 2));
  CHECK(dict["a"] == 2);
  CHECK(dict[2].key() == "c");
  CHECK(*dict[0] == 1);
  CHECK(dict.front().key() == "b");
  CHECK(dict.back().value() == 3);
  CHECK(dict.contains("a"));
  CHECK_FALSE(dict.contains("z"));
  CHECK(dict.find("z") == nullptr);
  *dict.find("a") = 7;
  CHECK(dict["a"] == 7);
}

TEST_CASE("erase keeps the order and the positions of the other entries") {
  Dict dict{{"a", 1}, {"b", 2}, {"c", 3}};
  dict.erase("b");
  CHECK(dict.keys() == std::vector<std::string>{"a", "c"});
  CHECK(dict["c"] == 3);
  CHECK(dict[1].value() == 3);
  CHECK_FALSE(dict.contains("b"));
  dict.clear();
  CHECK(dict.is_empty());
  CHECK(dict.size() == 0);
}

TEST_CASE("update appends all entries or, on a duplicate key, none") {
  Dict dict{{"a", 1}};
  dict.update(Dict{{"b", 2}, {"c", 3}});
  CHECK(dict.size() == 3);
  CHECK_THROWS_WITH_TEXT(dict.update(Dict{{"d", 4}, {"a", 5}}), "Key 'a' already defined");
  CHECK(dict.keys() == std::vector<std::string>{"a", "b", "c"});
}

TEST_CASE("OrderedDict errors have libtorch's texts") {
  Dict dict{{"a", 1}};
  CHECK_THROWS_WITH_TEXT(dict["foo"], "Key 'foo' is not defined");
  CHECK_THROWS_WITH_TEXT(dict.erase("foo"), "Key 'foo' is not defined");
  CHECK_THROWS_WITH_TEXT(dict.insert("a", 2), "Key 'a' already defined");
  CHECK_THROWS_WITH_TEXT((Dict{{"a", 1}, {"a", 1}}), "Key 'a' already defined");
  CHECK_THROWS_WITH_TEXT(dict[1], "Index 1 is out of bounds");
  CHECK_THROWS_WITH_TEXT(Dict().front(), "Called front() on an empty OrderedDict");
  CHECK_THROWS_WITH_TEXT(Dict().back(), "Called back() on an empty OrderedDict");
  Dict penguins("Penguin");
  CHECK_THROWS_WITH_TEXT(penguins["b"], "Penguin 'b' is not defined");
}

TEST_CASE("copies of an OrderedDict are independent and compare by entries and order") {
  Dict dict{{"a", 1}, {"b", 2}};
  Dict copy = dict;
  CHECK(copy == dict);
  copy["a"] = 5;
  CHECK(dict["a"] == 1);
  CHECK_FALSE(copy == dict);
  CHECK_FALSE((Dict{{"b", 2}, {"a", 1}}) == dict);
  const Dict moved = std::move(copy);
  CHECK(moved.size() == 2);
  CHECK(moved["a"] == 5);
}

}  // namespace
