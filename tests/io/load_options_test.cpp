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

TEST_CASE("a model in several safetensors files loads by its index", "[hostile]") {
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
  const auto check_named = [&](const std::string& name, const std::string& map,
                               const std::string& word) {
    const std::string file = put(map);
    keep_hostile_file(name, scratch.text("m.safetensors.index.json"), ".bad");
    CHECK_HAS_TEXT(thrown_within_bounds([&] { load(file); }), word);
  };
  check_named("sti_path_traversal", R"({"a":"../m.safetensors"})", "not the plain name");
  check(R"({"a":"/etc/m.safetensors"})", "not the plain name");
  check(R"({"a":".hidden.safetensors"})", "not the plain name");
  check(R"({"a":"passwd"})", "not the plain name");
  check(R"({"a":"sub\\m.safetensors"})", "not the plain name");
  check_named("sti_missing_shard", R"({"a":"absent.safetensors"})", "No such file");
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
