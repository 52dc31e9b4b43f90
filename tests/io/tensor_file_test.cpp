// open(), list() and load_into(): files of which nothing more is read than is asked for.

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "tarn/core/functions.h"
#include "tarn/core/random.h"
#include "tarn/io/serialize.h"
#include "tarn/nn/linear.h"
#include "tarn/nn/sequential.h"
#include "tarn/tests/io/golden.h"
#include "tarn/tests/io/hostile.h"
#include "tarn/tests/io/scratch.h"
#include "tarn/tests/support/devices.h"
#include "tarn/tests/support/tensors.h"

namespace tarn::testing {
namespace {

nn::Sequential small_net() { return nn::Sequential(nn::Linear(3, 4), nn::Linear(4, 2)); }

// The bytes of all parameters, one behind the other.
std::string bytes_of(const nn::Sequential& net) {
  std::string bytes;
  for (const auto& item : net->state_dict()) {
    bytes.append(static_cast<const char*>(item->data_ptr()), item->nbytes());
  }
  return bytes;
}

// The file with one byte of the first tensor's data changed.
void damage(const Scratch& scratch, const std::string& name, const Tensor& tensor) {
  std::string file = scratch.text(name);
  const std::string data(static_cast<const char*>(tensor.data_ptr()), tensor.nbytes());
  const size_t at = file.find(data);
  REQUIRE(at != std::string::npos);
  file[at] = static_cast<char>(file[at] ^ 1);
  scratch.put(name, file);
}

}  // namespace

TEST_CASE("an open file lists its tensors by their path and reads them one by one") {
  const Scratch scratch;
  const Tensor w = randn({2, 3}), n = arange(4);
  save(Value::dict({{"model", Value::dict({{"fc.weight", w}})},
                    {"state", Value::dict({{0, Value::list({n, w.t()})}})},
                    {"epoch", 3}}),
       scratch / "x.pt");
  const TensorFile file = open(scratch / "x.pt");
  CHECK(file.format() == std::string("PyTorch"));
  CHECK(file.tensors() == std::vector<TensorInfo>{{"model.fc.weight", "float32", {2, 3}},
                                                  {"state.0.0", "int64", {4}},
                                                  {"state.0.1", "float32", {3, 2}}});
  CHECK(str(file.tensors()[0]) == "model.fc.weight float32 [2, 3]");
  CHECK(file.outline().at("epoch").to_int() == 3);
  CHECK(file.contains("state.0.1"));
  CHECK(file.at("state.0.1").equal(w.t()));
  CHECK(file.at("state.0.0").equal(n));
  CHECK_THROWS_WITH_TEXT(file.at("fc.weight"),
                         "no tensor 'fc.weight' among its 3: 'model.fc.weight'");
  save(w, scratch / "w.npy");
  CHECK(list(scratch / "w.npy") == std::vector<TensorInfo>{{"", "float32", {2, 3}}});
  CHECK(open(scratch / "w.npy").at("").equal(w));
}

TEST_CASE("mapped tensors are the file's bytes, outlive it and keep writes to themselves") {
  const Scratch scratch;
  for (const char* name : {"x.pt", "x.safetensors", "x.npz"}) {
    CAPTURE(name);
    const Tensor a = randn({1000}), b = arange(5),
                 flags = make_tensor<uint8_t>({1, 0}, {2}).to(kBool);
    save(Value::dict({{"a", a}, {"b", b}, {"flags", flags}}), scratch / name);
    const Value mapped = load(scratch / name, {.mmap = true});
    const Tensor again = open(scratch / name, {.mmap = true}).at("a");
    save(Value::dict({{"a", zeros({1000})}, {"b", b}, {"flags", flags}}), scratch / name);
    std::filesystem::remove(scratch / name);
    CHECK(mapped.at("a").to_tensor().equal(a));
    CHECK(mapped.at("b").to_tensor().equal(b));
    CHECK(mapped.at("flags").to_tensor().equal(flags));
    mapped.at("a").to_tensor().fill_(7);
    CHECK(again.equal(a));
  }
}

TEST_CASE("mapping a file reads none of its tensors, and does not compare their CRC") {
  const Scratch scratch;
  const Tensor x = randn({100000});
  save(x, scratch / "x.pt");
  damage(scratch, "x.pt", x);
  CHECK_THROWS_WITH_TEXT(load(scratch / "x.pt"), "CRC");
  CHECK_THROWS_WITH_TEXT(open(scratch / "x.pt").at(""), "CRC");
  reset_peak_memory_stats();
  const size_t before = memory_stats().allocated;
  const Tensor mapped = load(scratch / "x.pt", {.mmap = true}).to_tensor();
  CHECK(memory_stats().peak_allocated - before < 50000);
  CHECK_FALSE(mapped.equal(x));
  CHECK(load(scratch / "x.pt", {.verify_crc = false}).to_tensor().equal(mapped));
}

TEST_CASE("listing a sparse file of 10 GiB takes no time and no memory") {
  const Scratch scratch;
  const uint64_t size = uint64_t{10} << 30;
  std::string header =
      str(R"({"big":{"dtype":"F32","shape":[)", size / 4, R"(],"data_offsets":[0,)", size, "]}}");
  header.append(8 - header.size() % 8, ' ');  // elements that are not aligned would be copied
  scratch.put("big.safetensors", le(header.size(), 8) + header);
  REQUIRE(::truncate((scratch / "big.safetensors").c_str(),
                     static_cast<off_t>(8 + header.size() + size)) == 0);
  reset_largest_block();
  const auto start = std::chrono::steady_clock::now();
  const auto infos = list(scratch / "big.safetensors");
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start);
  CHECK(infos == std::vector<TensorInfo>{{"big", "float32", {static_cast<int64_t>(size / 4)}}});
  CHECK(seconds.count() < (kAddressSanitizer || kThreadSanitizer ? 1.0 : 0.02));
  CHECK(largest_block() < 1 << 20);
  if (kAddressSanitizer || kThreadSanitizer) return;  // their shadow of 10 GiB
  const Tensor mapped = load(scratch / "big.safetensors", {.mmap = true}).at("big").to_tensor();
  CHECK(mapped[-1].item<float>() == 0);
}

TEST_CASE("a dtype that Tarn lacks can be listed, and is refused by name when it is read") {
  const Scratch scratch;
  const std::string header = R"({"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]},)"
                             R"("b":{"dtype":"F32","shape":[],"data_offsets":[8,12]}})";
  scratch.put("x", le(header.size(), 8) + header + std::string(12, '\0'));
  CHECK(list(scratch / "x") ==
        std::vector<TensorInfo>{{"b", "float32", {}}, {"a", "F8_E4M3", {8}}});
  CHECK(open(scratch / "x").at("b").item<float>() == 0);
  CHECK_THROWS_WITH_TEXT(open(scratch / "x").at("a"), "unsupported dtype 'F8_E4M3'");
  CHECK_THROWS_WITH_TEXT(load(scratch / "x"), "unsupported dtype 'F8_E4M3'");
}

TEST_CASE("load_into fills the parameters' own memory from every format") {
  const Scratch scratch;
  nn::Sequential from = small_net();
  for (const char* name : {"x.pt", "x.safetensors", "x.npz"}) {
    CAPTURE(name);
    save(Value(OrderedDict<std::string, Tensor>(from->state_dict())), scratch / name,
         {.compress = true});
    nn::Sequential to = small_net();
    const Tensor weight = to->parameters()[0];
    const void* address = weight.data_ptr();
    const int64_t version = weight._version();
    const nn::LoadReport report = load_into(to, scratch / name);
    CHECK(report.loaded.size() == 4);
    CHECK((bytes_of(to) == bytes_of(from)));
    CHECK(to->parameters()[0].is_same(weight));
    CHECK(weight.data_ptr() == address);
    CHECK(weight._version() > version);
    CHECK(weight.requires_grad());
    CHECK(weight.is_leaf());
  }
}

TEST_CASE("load_into converts dtypes, layouts and devices, and renames") {
  const Scratch scratch;
  nn::Sequential from = small_net();
  Value state = Value::dict();
  for (const auto& item : from->state_dict()) {
    state.set("module." + item.key(), item->to(kDouble).t().contiguous().t());
  }
  save(Value::dict({{"epoch", 1}, {"model", state}}), scratch / "x.pt");
  for (const Device device : devices()) {
    nn::Sequential to = small_net();
    to->to(device);
    open(scratch / "x.pt").load_into(*to, {.strip_prefix = "module."}, "model");
    to->to(kCPU);
    CHECK((bytes_of(to) == bytes_of(from)));
  }
}

TEST_CASE("a failed load_into changes nothing, whatever was wrong") {
  const Scratch scratch;
  nn::Sequential from = small_net(), to = small_net();
  const std::string before = bytes_of(to);
  const auto check = [&](const std::string& name, const std::string& word) {
    CAPTURE(name);
    CHECK_THROWS_WITH_TEXT(load_into(to, scratch / name), word);
    CHECK((bytes_of(to) == before));
  };
  save(from, scratch / "good.pt");
  scratch.put("cut.pt", scratch.text("good.pt").substr(0, 900));
  check("cut.pt", "cut short");
  save(from, scratch / "damaged.pt");
  damage(scratch, "damaged.pt", from->parameters()[3]);  // the last one to be read
  check("damaged.pt", "wrong CRC");
  Value fewer = Value::dict({{"0.weight", from->parameters()[0]}});
  save(fewer, scratch / "fewer.pt");
  check("fewer.pt", "Missing key(s)");
  Value other = Value(OrderedDict<std::string, Tensor>(from->state_dict()));
  other.set("1.bias", zeros({3}));
  save(other, scratch / "shape.safetensors");
  check("shape.safetensors", "size mismatch for 1.bias");
  save(Value(3), scratch / "number.pt");
  check("number.pt", "expected a dict");
  check("absent.pt", "No such file");
  load_into(to, scratch / "damaged.pt", {.verify_crc = false});
  CHECK((bytes_of(to) != before));
}

TEST_CASE("saving and load_into need no memory beside the parameters") {
  const Scratch scratch;
  nn::Sequential net(nn::Linear(1024, 4096));  // 16 MiB
  for (const char* name : {"x.pt", "x.safetensors", "x.npz"}) {
    reset_largest_block();
    reset_peak_memory_stats();
    const size_t at_start = memory_stats().allocated;
    save(net, scratch / name);
    CHECK(memory_stats().peak_allocated - at_start < 1 << 20);
    CHECK(largest_block() < 1 << 20);
    reset_largest_block();
    reset_peak_memory_stats();
    const size_t before = memory_stats().allocated;
    load_into(net, scratch / name);
    CHECK(memory_stats().peak_allocated - before < 1 << 20);
    CHECK(largest_block() < 1 << 20);
  }
}

}  // namespace tarn::testing
