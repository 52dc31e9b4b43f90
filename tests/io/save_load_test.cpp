#include <sys/stat.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "tarn/io/serialize.h"
#include "tarn/tests/io/scratch.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/sanitizers.h"
#include "tarn/tests/support/tensors.h"

namespace {

using namespace tarn;
using tarn::testing::elements;
using tarn::testing::make_tensor;
using tarn::testing::Scratch;
using tarn::testing::view_of;

Value round_trip(const Value& value) {
  std::stringstream stream;
  save(value, stream);
  return load(stream);
}

template <typename T>
void check_dtype(const std::vector<T>& values) {
  INFO("dtype " << ScalarTypeOf<T>);
  const Tensor back = round_trip(make_tensor(values, {2, 2})).to_tensor();
  REQUIRE(back.scalar_type() == ScalarTypeOf<T>);
  CHECK(back.sizes() == IntArrayRef({2, 2}));
  CHECK(std::memcmp(back.data_ptr(), values.data(), values.size() * sizeof(T)) == 0);
}

TEST_CASE("every dtype survives a file to the last bit") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  check_dtype<float>({nan, -infinity, -0.0F, 1e-45F});
  check_dtype<double>({nan, infinity, -0.0, 5e-324});
  check_dtype<Half>({Half(1.5F), Half(nan), Half(-0.0F), Half::from_bits(1)});
  check_dtype<BFloat16>({BFloat16(1.5F), BFloat16(nan), BFloat16(-0.0F), BFloat16::from_bits(1)});
  check_dtype<int8_t>({-128, 127, 0, -1});
  check_dtype<uint8_t>({0, 255, 128, 1});
  check_dtype<int16_t>({-32768, 32767, 0, -1});
  check_dtype<int32_t>({INT32_MIN, INT32_MAX, 0, -1});
  check_dtype<int64_t>({INT64_MIN, INT64_MAX, 0, -1});
  const Tensor flags = make_tensor<uint8_t>({1, 0, 1, 1}, {4});
  const Tensor bools = Tensor::from_storage(flags.storage(), kBool, {2, 2}, {2, 1}, 0);
  CHECK(elements<bool>(round_trip(bools).to_tensor()) ==
        std::vector<bool>{true, false, true, true});
}

TEST_CASE("a tensor, a list and a map go through files in libtorch's forms") {
  const Scratch scratch;
  const Tensor x = make_tensor<int64_t>({0, 1, 2, 3}, {4}), y = make_tensor<float>({0, 0}, {2});
  save(x, scratch / "x-file");
  Tensor x2;
  load(x2, scratch / "x-file");
  CHECK(elements<int64_t>(x2) == std::vector<int64_t>{0, 1, 2, 3});

  save(std::vector<Tensor>{x, y}, scratch / "x-files");
  std::vector<Tensor> both;
  load(both, scratch / "x-files");
  REQUIRE(both.size() == 2);
  CHECK(both[1].scalar_type() == kFloat);
  CHECK(load(scratch / "x-files").to_tensors().size() == 2);

  save({x, y}, scratch / "x-files");
  CHECK(load(scratch / "x-files").to_tensors().size() == 2);
  save({x}, scratch / "x-files");
  CHECK(load(scratch / "x-files").to_tensors().size() == 1);

  save(std::map<std::string, Tensor>{{"x", x}, {"y", y}}, scratch / "mydict", {.durable = false});
  const auto dict = load(scratch / "mydict", "cpu").to_tensor_dict();
  CHECK(dict.keys() == std::vector<std::string>{"x", "y"});
  CHECK_THROWS_WITH_TEXT(load(x2, scratch / "mydict"), "[to_tensor] the value is a dict of size 2");
  CHECK(x2.numel() == 4);
}

TEST_CASE("plain data of every kind survives a file") {
  const Value value = Value::dict({
      {"none", std::nullopt},
      {"flags", Value::list({true, false})},
      {"ints", Value::list({0, 255, 256, 65535, 65536, -1, INT32_MIN, INT64_MAX, INT64_MIN})},
      {"floats", Value::tuple({0.1, -0.0, 1e300})},
      {"text", Value::list({"", "a", "\xC3\xA9\xF0\x9F\x98\x80", "a"})},
      {"bytes", Value::list({Value::bytes(""), Value::bytes(std::string("\0\x7F\x80\xFF", 4))})},
      {"nested", Value::tuple({Value::tuple(), Value::list(), Value::dict(), Value::tuple({1}),
                               Value::tuple({1, 2, 3, 4})})},
      {3, Value::ordered_dict({{0, "int key"}, {0.5, "float key"}, {Value(), "None key"}})},
  });
  CHECK(str(round_trip(value)) == str(value));
}

TEST_CASE("containers of more than one pickle batch keep all items in order") {
  for (const int size : {1, 2, 999, 1000, 1001, 2000, 2001}) {
    INFO("size " << size);
    Value list = Value::list(), dict = Value::dict(), ordered = Value::ordered_dict();
    for (int i = 0; i < size; ++i) {
      list.push_back(i);
      dict.set(str("k", i), i);
      ordered.set(str("k", i), i);
    }
    CHECK(str(round_trip(list)) == str(list));
    CHECK(str(round_trip(dict)) == str(dict));
    CHECK(str(round_trip(ordered)) == str(ordered));
  }
}

TEST_CASE("views keep their strides and tensors of one storage go on sharing it") {
  const Tensor base = make_tensor<float>({0, 1, 2, 3, 4, 5}, {2, 3});
  const Tensor transposed = view_of(base, {3, 2}, {1, 3}, 0), column = view_of(base, {2}, {3}, 1);
  const Tensor expanded = view_of(base, {4, 3}, {0, 1}, 3), scalar = view_of(base, {}, {}, 5);
  const auto back =
      round_trip(std::vector<Tensor>{column, base, transposed, expanded, scalar}).to_tensors();
  CHECK(back[0].strides() == IntArrayRef({3}));
  CHECK(back[0].storage_offset() == 1);
  CHECK(back[2].strides() == IntArrayRef({1, 3}));
  CHECK(back[3].strides() == IntArrayRef({0, 1}));
  CHECK(elements<float>(back[0]) == std::vector<float>{1, 4});
  CHECK(elements<float>(back[2]) == std::vector<float>{0, 3, 1, 4, 2, 5});
  CHECK(elements<float>(back[3])[9] == 3);
  CHECK(back[4].sizes().empty());
  CHECK(elements<float>(back[4]) == std::vector<float>{5});
  for (const Tensor& tensor : back) CHECK(tensor.storage().is_same(back[0].storage()));
  static_cast<float*>(back[1].storage().data())[1] = 7;
  CHECK(elements<float>(back[0])[0] == 7);
}

TEST_CASE("one tensor or list stored twice is one object in the file") {
  const Tensor x = make_tensor<float>({1}, {1});
  const Value list = Value::list({1, 2});
  const Value back = round_trip(Value::list({x, x, view_of(x, {1}, {1}, 0), list, list}));
  CHECK(back.at(0).to_tensor().is_same(back.at(1).to_tensor()));
  CHECK_FALSE(back.at(0).to_tensor().is_same(back.at(2).to_tensor()));
  CHECK(back.at(3).identity() == back.at(4).identity());
}

TEST_CASE("empty and zero-dimensional tensors survive a file") {
  const Tensor empty = make_tensor<float>({}, {2, 0, 3}), scalar = make_tensor<double>({2.5}, {});
  const auto back = round_trip(std::vector<Tensor>{empty, scalar}).to_tensors();
  CHECK(back[0].sizes() == IntArrayRef({2, 0, 3}));
  CHECK(back[0].numel() == 0);
  CHECK(back[1].sizes().empty());
  CHECK(elements<double>(back[1]) == std::vector<double>{2.5});
}

TEST_CASE("requires_grad survives a file") {
  const Tensor x = make_tensor<float>({1}, {1});
  x.requires_grad_(true);
  const auto back = round_trip(std::vector<Tensor>{x, make_tensor<float>({1}, {1})}).to_tensors();
  CHECK(back[0].requires_grad());
  CHECK_FALSE(back[1].requires_grad());
}

TEST_CASE("a state dict keeps its order and module versions in a file") {
  StateDict state;
  state.insert("z.weight", make_tensor<float>({1, 2}, {2}));
  state.insert("a.bias", make_tensor<float>({3}, {1}));
  state.metadata.insert("", 1);
  state.metadata.insert("z", 2);
  const Scratch scratch;
  save(state, scratch / "mlp.params");
  const StateDict back = load(scratch / "mlp.params");
  CHECK(back.keys() == state.keys());
  CHECK(back.metadata == state.metadata);
}

// What save() and load() ask of a module handle and an optimizer, and no more.
struct FakeModule {
  StateDict state;
  StateDict state_dict() const { return state; }
  void load_state_dict(const StateDict& given) { state = given; }
};
struct FakeOptimizer {
  Value state;
  Value state_dict() const { return state; }
  void load_state_dict(const Value& given) { state = given; }
};

TEST_CASE("module handles and optimizers are saved and loaded through their state dicts") {
  const Scratch scratch;
  const auto net = std::make_shared<FakeModule>();
  net->state.insert("weight", make_tensor<float>({1, 2}, {2}));
  save(net, scratch / "net");
  auto restored = std::make_shared<FakeModule>();
  load(restored, scratch / "net");
  CHECK(elements<float>(restored->state["weight"]) == std::vector<float>{1, 2});

  FakeOptimizer optimizer{Value::dict({{"state", Value::dict()}, {"param_groups", Value::list()}})};
  std::stringstream stream;
  save(optimizer, stream);
  FakeOptimizer other;
  load(other, stream);
  CHECK(other.state.contains("param_groups"));
}

TEST_CASE("files that cannot be opened are errors that name path and reason") {
  const Scratch scratch;
  const auto check = [&](const std::string& name, const std::string& reason) {
    CHECK_THROWS_WITH_TEXT(load(scratch / name), reason);
    CHECK_THROWS_WITH_TEXT(load(scratch / name), scratch / name);
    CHECK_THROWS_AS(load(scratch / name), IOError);
  };
  check("absent", "No such file or directory");
  check(".", "directory");
  scratch.put("empty", "");
  check("empty", "empty");
  save(make_tensor<float>({1}, {1}), scratch / "good");
  const std::string good = scratch.text("good");
  for (size_t size = 0; size < good.size(); ++size) {
    scratch.put("cut", good.substr(0, size));
    INFO("cut to " << size << " of " << good.size() << " bytes");
    REQUIRE_THROWS_AS(load(scratch / "cut"), IOError);
  }
  ::mkfifo((scratch / "pipe").c_str(), 0600);
  check("pipe", "not a regular file");
}

TEST_CASE("closed and failing streams are errors") {
  std::ifstream closed;
  closed.setstate(std::ios::failbit);
  CHECK_THROWS_WITH_TEXT(load(closed), "closed or failed");
  std::ofstream unopened("/nonexistent/file");
  CHECK_THROWS_WITH_TEXT(save(Value(1), unopened), "closed or failed");
  std::ofstream full("/dev/full");
  CHECK_THROWS_WITH_TEXT(save(make_tensor<float>(std::vector<float>(100'000), {100'000}), full),
                         "failed");
  std::ofstream full_at_flush("/dev/full");
  CHECK_THROWS_WITH_TEXT(save(Value(1), full_at_flush), "failed");
  std::stringstream nothing;
  CHECK_THROWS_WITH_TEXT(load(nothing), "<stream>: the file is empty");
}

TEST_CASE("a value that cannot be saved leaves the old file") {
  const Scratch scratch;
  save(Value(1), scratch / "file");
  CHECK_THROWS_WITH_TEXT(save(Tensor(), scratch / "file"), "undefined tensor");
  CHECK_THROWS_WITH_TEXT(save("\xFF", scratch / "file"), "not valid utf-8");
  CHECK_THROWS_WITH_TEXT(save(Value::dict({{"\xED\xA0\x80", 1}}), scratch / "file"), "utf-8");
  const Tensor x = make_tensor<float>({1, 2}, {2});
  const Tensor same_bytes = Tensor::from_storage(x.storage(), kInt, {2}, {1}, 0);
  CHECK_THROWS_WITH_TEXT(save(std::vector<Tensor>{x, same_bytes}, scratch / "file"),
                         "view the same data as different types");
  CHECK(load(scratch / "file").to_int() == 1);
  CHECK(scratch.files() == std::vector<std::string>{"file"});
}

TEST_CASE("many members, names beyond ASCII and a path without extension are fine") {
  const Scratch scratch;
  Value list = Value::list();
  for (int i = 0; i < 300; ++i) list.push_back(make_tensor<int32_t>({i}, {1}));
  for (const char* name : {"\xC3\xA9.pt", ".hidden", "two.dots.pt", "plain"}) {
    save(list, scratch / name, {.durable = false});
    const auto back = load(scratch / name).to_tensors();
    REQUIRE(back.size() == 300);
    CHECK(elements<int32_t>(back[299])[0] == 299);
  }
}

TEST_CASE("more members than a classic zip directory can count are fine") {
  if (testing::kThreadSanitizer) return;  // slow, and one thread
  const Scratch scratch;
  const Tensor one = make_tensor<uint8_t>({7}, {1});
  Value list = Value::list();
  for (int i = 0; i < 66'000; ++i)
    list.push_back(i == 65'999 ? one : make_tensor<uint8_t>({}, {0}));
  save(list, scratch / "many.pt", {.durable = false});
  CHECK(tarn::list(scratch / "many.pt").size() == 66'000);
  CHECK(elements<uint8_t>(load(scratch / "many.pt").to_tensors().back()) ==
        std::vector<uint8_t>{7});
}

TEST_CASE("several threads save to one path and load from it at once") {
  const Scratch scratch;
  const std::string path = scratch / "shared";
  const auto value = [](int n) {
    return make_tensor<int32_t>(std::vector<int32_t>(5000, n), {5000});
  };
  save(value(0), path);
  std::atomic<int> torn{0};
  std::vector<std::thread> threads;
  for (int n = 1; n <= 3; ++n) {
    threads.emplace_back([&, n] {
      for (int i = 0; i < 20; ++i) save(value(n), path, {.durable = false});
    });
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        const auto found = elements<int32_t>(load(path).to_tensor());
        torn += found != std::vector<int32_t>(5000, found.at(0)) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(torn == 0);
  CHECK(scratch.files() == std::vector<std::string>{"shared"});
}

}  // namespace
