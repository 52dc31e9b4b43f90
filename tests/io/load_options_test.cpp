// What SaveOptions and LoadOptions change.

#include "tarn/core/functions.h"
#include "tarn/core/random.h"
#include "tarn/tests/io/golden.h"
#include "tarn/tests/io/hostile.h"
#include "tarn/tests/io/scratch.h"
#include "tarn/tests/support/devices.h"
#include "tarn/tests/support/tensors.h"

namespace tarn::testing {
namespace {

Value loaded(const std::string& file, const LoadOptions& options) {
  return load(file.data(), file.size(), options);
}

}  // namespace

TEST_CASE("only what a value reaches of its storages is written, unless asked for more") {
  const Scratch scratch;
  const Tensor base = randn({1000, 100});
  const auto check = [&](const Value& value, size_t most) {
    save(value, scratch / "part.pt");
    save(value, scratch / "whole.pt", {.keep_storage = true});
    CHECK(scratch.text("part.pt").size() < most + 3000);
    CHECK(scratch.text("whole.pt").size() > base.nbytes());
    const auto part = load(scratch / "part.pt").to_tensors();
    const auto whole = load(scratch / "whole.pt").to_tensors();
    const auto tensors = value.to_tensors();
    for (size_t i = 0; i < tensors.size(); ++i) {
      CHECK(part[i].equal(tensors[i]));
      CHECK(whole[i].equal(tensors[i]));
      CHECK(whole[i].storage_offset() == tensors[i].storage_offset());
      CHECK(part[i].storage().is_same(part[0].storage()));
    }
  };
  check(std::vector<Tensor>{base[3]}, 400);
  check(std::vector<Tensor>{base.slice(1, 3, 4)}, 4000);
  check(std::vector<Tensor>{base[3], base[5]}, 1200);
  check(std::vector<Tensor>{base.slice(0, 2, 4).t(), base[2]}, 800);
  save(std::vector<Tensor>{base.slice(0, 2, 4).t()}, scratch / "transposed.pt");
  CHECK(load(scratch / "transposed.pt").to_tensors()[0].strides() == IntArrayRef({1, 100}));
  save(std::vector<Tensor>{base[999].slice(0, 100, 100)}, scratch / "empty.pt");
  CHECK(scratch.text("empty.pt").size() < 3000);
  save(base.slice(1, 3, 4).requires_grad_(true), scratch / "grad.pt");
  CHECK(load(scratch / "grad.pt").to_tensor().requires_grad());
}

TEST_CASE("bytes after an archive are accepted on request, up to 64 KiB") {
  const std::string file = torch_file(good_pickle());
  const LoadOptions lenient{.allow_trailing_bytes = true};
  CHECK(loaded(file, lenient).to_tensor().numel() == 6);
  CHECK(loaded(file + "0123456789", lenient).to_tensor().numel() == 6);
  CHECK(loaded(file + std::string(60000, 'x'), lenient).to_tensor().numel() == 6);
  CHECK_THROWS_WITH_TEXT(loaded(file + std::string(70000, 'x'), lenient), "central directory");
  CHECK_THROWS_WITH_TEXT(loaded("junk" + file, lenient), "prefix");
}

TEST_CASE("CRCs of tensors can be ignored, those of the objects around them cannot") {
  auto members = torch_members(good_pickle(), std::string(24, '\0'));
  members[1].crc = 1;
  CHECK_THROWS_WITH_TEXT(loaded(raw_zip(members), {}), "{.verify_crc = false}");
  CHECK(loaded(raw_zip(members), {.verify_crc = false}).to_tensor().numel() == 6);
  members[0].crc = 1;
  CHECK_THROWS_WITH_TEXT(loaded(raw_zip(members), {.verify_crc = false}),
                         "record 'archive/data.pkl'");
}

TEST_CASE("limits can be raised and not lowered") {
  auto members = torch_members(good_pickle(), std::string(24, '\0'));
  CHECK(loaded(raw_zip(members), {.limits = {.pickle_bytes = 1, .zip_entries = 1}})
            .to_tensor()
            .numel() == 6);
  RawMember large{"archive/data/1", std::string(4 << 20, 'x')};
  large.method = 8;  // never inflated, as no tensor uses it
  large.size = 0xFFFFFFF0;
  members.push_back(large);
  const std::string bomb = raw_zip(members);
  CHECK_THROWS_WITH_TEXT(loaded(bomb, {}), "over the limit. HINT: LoadLimits::inflated_bytes");
  CHECK(loaded(bomb, {.limits = {.inflated_bytes = uint64_t{8} << 30}}).to_tensor().numel() == 6);
}

TEST_CASE("tensors go where the tag of their device is mapped to, the others to the device given") {
  const auto tagged = [](const std::string& location) {
    return RawPickle().tensor("FloatStorage", "0", 6, 0, {6}, {1}, false, location).done();
  };
  for (const Device device : devices()) {
    const LoadOptions map{.device_map = {{"cuda:3", device}}};
    CHECK(loaded(torch_file(tagged("cuda:3")), map).to_tensor().device() == device);
    CHECK(loaded(torch_file(tagged("cuda:0")), map).to_tensor().is_cpu());
    CHECK(loaded(torch_file(tagged("cpu")), {.device = device}).to_tensor().device() == device);
  }
  CHECK_THROWS_AS(loaded(torch_file(tagged("mps")), {.device_map = {{"mps", "cuda:100"}}}),
                  DeviceError);
}

TEST_CASE("files of before PyTorch 1.6 load, and are refused when they are damaged") {
  const std::string file = golden_file("legacy");
  const Value value = loaded(file, {});
  CHECK(elements<float>(value.at("base").to_tensor()) == std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK(value.at("transposed").to_tensor().strides() == IntArrayRef({1, 3}));
  CHECK(
      value.at("transposed").to_tensor().storage().is_same(value.at("base").to_tensor().storage()));
  CHECK(value.at("epoch").to_int() == 3);
  const Scratch scratch;
  scratch.put("old.pt", file);
  CHECK(open(scratch / "old.pt").format() == std::string("PyTorch (legacy)"));
  CHECK(open(scratch / "old.pt").at("transposed").equal(value.at("transposed").to_tensor()));
  CHECK(load(scratch / "old.pt", {.mmap = true}).at("base").to_tensor().size(0) == 2);

  for (size_t size = 0; size < file.size(); ++size)
    CHECK_THROWS_AS(load(file.data(), size), IOError);
  check_refused("bytes after", file + "1", "trailing");
  CHECK(loaded(file + "1", {.allow_trailing_bytes = true}).size() == 3);
  const size_t numel = file.size() - 32;
  check_refused("other number of elements", patched(file, numel, le(5, 8)), "has 5 elements here");
  check_refused("number of elements of 2^63", patched(file, numel, le(uint64_t{1} << 63, 8)),
                "elements here");
  check_refused(
      "big-endian",
      [&] {
        const size_t flag = file.find("little_endianq");
        return patched(file, flag + 15, "\x89");
      }(),
      "big-endian");
  check_refused("version", patched(file, 18, le(1002, 2)), "protocol version");
  std::string other_key = file;
  other_key[other_key.rfind('7')] = '8';
  check_refused("a key that no tensor uses", other_key, "no tensor uses");
  check_refused(
      "a storage of 2^60 elements",
      [&] {
        std::string huge = file;
        const size_t at = huge.find(std::string("K\x06Ntq", 5));
        return huge.replace(at, 2, "\x8a\x08" + le(uint64_t{1} << 60, 8));
      }(),
      "overflow");
  check_refused("code",
                golden_file("legacy").replace(file.find("torch._utils\n_rebuild_tensor_v2"), 31,
                                              "torch._utils\n_rebuild_tensor_vX"),
                "global");
}

TEST_CASE("a model in several safetensors files loads by its index") {
  const Scratch scratch;
  const Tensor a = randn({3}), b = arange(4), extra = ones({1});
  save(Value::dict({{"a", a}, {"extra", extra}}), scratch / "m-00001-of-00002.safetensors");
  save(Value::dict({{"b", b}}), scratch / "m-00002-of-00002.safetensors");
  const auto put = [&](const std::string& map,
                       const std::string& front = R"({"metadata":{"x":[1,{}]},)") {
    scratch.put("m.safetensors.index.json", front + "\"weight_map\":" + map + "}");
    return scratch / "m.safetensors.index.json";
  };
  const std::string one = R"("m-00001-of-00002.safetensors")",
                    two = R"("m-00002-of-00002.safetensors")";
  const std::string path = put(R"({"b":)" + two + R"(,"a":)" + one + "}");
  const auto tensors = load(path).to_tensor_dict();
  CHECK(tensors.keys() == std::vector<std::string>{"b", "a"});
  CHECK(tensors["a"].equal(a));
  CHECK(tensors["b"].equal(b));
  CHECK(list(path).size() == 2);
  CHECK(open(path, {.mmap = true}).at("b").equal(b));
  const auto check = [&](const std::string& map, const std::string& word) {
    CHECK_THROWS_WITH_TEXT(load(put(map)), word);
  };
  check(R"({"a":"../m.safetensors"})", "not the plain name");
  check(R"({"a":"/etc/m.safetensors"})", "not the plain name");
  check(R"({"a":".hidden.safetensors"})", "not the plain name");
  check(R"({"a":"passwd"})", "not the plain name");
  check(R"({"a":"sub\\m.safetensors"})", "not the plain name");
  check(R"({"a":"absent.safetensors"})", "No such file");
  check(R"({"c":)" + one + "}", "tensor 'c' is not in m-00001");
  check(R"({"a":)" + one + R"(,"b":)" + one + "}", "tensor 'b' is not in");
  check(R"({"a":)" + two + R"(,"extra":)" + one + "}", "and is listed in");
  check(R"({"a":)" + one + R"(,"a":)" + one + "}", "duplicate name 'a'");
  check(R"({"a":1})", "no string");
  check(R"({"a":[]})", "array");
  check(R"({"a":{}})", "object");
  check("\"x\"", "not an object");
  CHECK_THROWS_WITH_TEXT(load(put("{}", "{\"x\":" + std::string(100000, '['))), "depth");
  scratch.put("m.safetensors.index.json", "{}");
  CHECK_THROWS_WITH_TEXT(load(path), "no weight_map");
  const std::string text = R"({"weight_map":{"a":"m.safetensors"}})";
  CHECK_THROWS_WITH_TEXT(loaded(text, {}), "load it from a path");
}

}  // namespace tarn::testing
