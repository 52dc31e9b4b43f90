#include "tarn/tests/io/hostile.h"
#include "tarn/tests/io/scratch.h"
#include "tarn/tests/support/tensors.h"

namespace tarn::testing {
namespace {

std::string st_file(const std::string& header, const std::string& data) {
  return le(header.size(), 8) + header + data;
}
const std::string kOne = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
const std::string kEight(8, '\0');

Value loaded(const std::string& header, const std::string& data) {
  const std::string file = st_file(header, data);
  return load(file.data(), file.size());
}
// One tensor with this entry and 8 bytes of data.
void check_entry(const std::string& entry, const std::string& word, const std::string& name = "") {
  check_refused(name.empty() ? entry : name, st_file("{\"a\":" + entry + "}", kEight), word);
}

}  // namespace

TEST_CASE("tensors of every dtype go through safetensors") {
  const Scratch scratch;
  Value dict = Value::dict();
  dict.set("f32", make_tensor<float>({1, 2}, {2}));
  dict.set("i64", make_tensor<int64_t>({-3}, {}));
  dict.set("f16", make_tensor<Half>({Half(1.5F)}, {1, 1}));
  dict.set("bf16", make_tensor<BFloat16>({BFloat16(1.5F)}, {1}));
  dict.set("u8", make_tensor<uint8_t>({7, 8, 9}, {3}));
  dict.set("i8", make_tensor<int8_t>({-7}, {1}));
  dict.set("i16", make_tensor<int16_t>({-7}, {1}));
  dict.set("i32", make_tensor<int32_t>({-7}, {1}));
  dict.set("f64", make_tensor<double>({0.1}, {1}));
  dict.set("empty", make_tensor<float>({}, {2, 0}));
  save(dict, scratch / "all.safetensors");
  const auto back = load(scratch / "all.safetensors").to_tensor_dict();
  REQUIRE(back.size() == dict.size());
  CHECK(elements<float>(back["f32"]) == std::vector<float>{1, 2});
  CHECK(elements<int64_t>(back["i64"]) == std::vector<int64_t>{-3});
  CHECK(back["i64"].sizes().empty());
  CHECK(float(elements<Half>(back["f16"])[0]) == 1.5F);
  CHECK(float(elements<BFloat16>(back["bf16"])[0]) == 1.5F);
  CHECK(elements<uint8_t>(back["u8"]) == std::vector<uint8_t>{7, 8, 9});
  CHECK(elements<int8_t>(back["i8"])[0] == -7);
  CHECK(elements<int16_t>(back["i16"])[0] == -7);
  CHECK(elements<int32_t>(back["i32"])[0] == -7);
  CHECK(elements<double>(back["f64"])[0] == 0.1);
  CHECK(back["empty"].sizes() == IntArrayRef({2, 0}));
}

TEST_CASE("the bytes of a safetensors file are the reference library's") {
  const Scratch scratch;
  Value dict =
      Value::dict({{"b\"\n", make_tensor<float>({1}, {1})}, {"a", make_tensor<int64_t>({2}, {})}});
  save(dict, scratch / "x.safetensors");
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
      R"("b\"\n":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  CHECK(scratch.text("x.safetensors") ==
        le(padded.size(), 8) + padded + le(2, 8) + le(0x3F800000, 4));
}

TEST_CASE("strings of __metadata__ come back as metadata and are written again") {
  const Value value = loaded(R"({"__metadata__":{"k":"v","format":"np"}})", "");
  CHECK(value.size() == 0);
  CHECK(str(value.metadata()) == "{'k': 'v', 'format': 'np'}");
  const Scratch scratch;
  save(value, scratch / "x.safetensors");
  CHECK(scratch.text("x.safetensors").find(R"({"__metadata__":{"k":"v","format":"np"}})") == 8);
  CHECK(loaded(R"({"__metadata__":null})", "").metadata().is_none());
}

TEST_CASE("tensors that are not contiguous are made so") {
  const Scratch scratch;
  const Tensor base = make_tensor<float>({0, 1, 2, 3, 4, 5}, {2, 3});
  save(std::map<std::string, Tensor>{{"t", view_of(base, {3, 2}, {1, 3}, 0)}},
       scratch / "t.safetensors");
  const Tensor back = load(scratch / "t.safetensors").at("t").to_tensor();
  CHECK(elements<float>(back) == std::vector<float>{0, 3, 1, 4, 2, 5});
  CHECK(back.is_contiguous());
}

TEST_CASE("what safetensors cannot hold is refused and the old file stays") {
  const Scratch scratch;
  const std::string path = scratch / "x.safetensors";
  save(Value::dict({{"a", make_tensor<float>({1}, {1})}}), path);
  const std::string old = scratch.text("x.safetensors");
  const Tensor x = make_tensor<float>({1, 2}, {2});
  CHECK_THROWS_WITH_TEXT(save(x, path), "flat dict of tensors, not a Tensor");
  CHECK_THROWS_WITH_TEXT(save(Value::dict({{"n", 1}}), path), "key 'n' holds an int (1)");
  CHECK_THROWS_WITH_TEXT(save(Value::dict({{"a", x}, {"b", x}}), path), "'a' and 'b' share memory");
  CHECK_THROWS_WITH_TEXT(save(Value::dict({{"a", x}, {"b", view_of(x, {1}, {1}, 1)}}), path),
                         "share memory");
  CHECK_THROWS_WITH_TEXT(save(Value::dict({{"a", Tensor()}}), path), "tensor 'a' is undefined");
  CHECK_THROWS_WITH_TEXT(save(Value::dict({{"__metadata__", x}}), path), "__metadata__");
  CHECK_THROWS_WITH_TEXT(save(Value::dict({{"\xFF", x}}), path), "utf-8");
  CHECK(scratch.text("x.safetensors") == old);
  CHECK(scratch.files() == std::vector<std::string>{"x.safetensors"});
  save(Value::dict({{"a", view_of(x, {1}, {1}, 0)}, {"b", view_of(x, {1}, {1}, 1)}}), path);
  CHECK(elements<float>(load(path).at("b").to_tensor()) == std::vector<float>{2});
}

TEST_CASE("valid safetensors in unusual forms load", "[hostile]") {
  CHECK(loaded(kOne, kEight).at("a").to_tensor().numel() == 2);
  CHECK(check_loads("st_ws_leading", st_file("  \t\n" + kOne + "   ", kEight)).size() == 1);
  CHECK(check_loads("st_empty_obj", st_file("{}", "")).size() == 0);
  CHECK(check_loads("st_zero_elem",
                    st_file(R"({"a":{"shape":[0,4],"data_offsets":[8,8],"dtype":"F32"},)"
                            R"("b":{"dtype":"F64","shape":[],"data_offsets":[0,8]}})",
                            kEight))
            .size() == 2);
  CHECK(loaded(R"({"\u00e9":{"dtype":"BOOL","shape":[8],"data_offsets":[0,8]}})",
               std::string(8, '\7'))
            .at("\xC3\xA9")
            .to_tensor()
            .numel() == 8);
  const Value flag =
      loaded(R"({"a":{"dtype":"BOOL","shape":[8],"data_offsets":[0,8]}})", std::string(8, '\7'));
  CHECK(static_cast<const unsigned char*>(flag.at("a").to_tensor().data_ptr())[0] == 1);
}

TEST_CASE("safetensors files whose lengths lie are refused", "[hostile]") {
  const std::string good = st_file(kOne, kEight);
  check_refused("st_short7", good.substr(0, 7), "neither");
  check_refused("st_len_1000_short", le(1000, 8) + "{}", "past the end");
  check_refused("st_len_2e63", le(uint64_t{1} << 63, 8) + "{}", "neither");
  check_refused("st_header_100MB+1", le(100'000'001, 8) + "{}", "limit");
  check_refused("st_trailing_polyglot", good + "PK", "extra bytes");
  check_refused("st_missing_2_bytes", good.substr(0, good.size() - 2), "cut short");
  check_refused("bytes after JSON", st_file(kOne + "{", kEight), "broken header");
  check_refused("st_nul_after_json", st_file(kOne + '\0', kEight), "NUL");
  check_refused("st_bom", st_file(" \xEF\xBB\xBF{}", ""), "broken header");
  for (size_t size = 0; size < good.size(); ++size) {
    CHECK_THROWS_AS(load(good.data(), size), Error);
  }
}

TEST_CASE("safetensors headers that are not to the format are refused", "[hostile]") {
  check_refused("st_not_json", st_file("{abc}", ""), "broken header");
  check_refused("st_not_utf8", st_file("{\"\xFF\":1}", ""), "broken header");
  check_refused("an array", st_file(" []", ""), "broken header");
  check_refused("st_deep_json_1M_brackets", st_file("{\"a\":" + std::string(1'000'000, '['), ""),
                "array");
  check_refused("a million braces", st_file("{\"a\":{\"b\":" + std::string(1'000'000, '{'), ""),
                "key");
  check_refused("st_dup_name",
                st_file("{" + kOne.substr(1, kOne.size() - 2) + "," + kOne.substr(1), kEight),
                "duplicate name 'a'");
  check_refused("st_metadata_nonstring", st_file(R"({"__metadata__":{"a":1}})", ""), "number");
  check_refused("metadata object", st_file(R"({"__metadata__":{"a":{}}})", ""), "object");
  check_refused("metadata key twice", st_file(R"({"__metadata__":{"a":"1","a":"2"}})", ""),
                "duplicate");
  check_entry("5", "number");
  check_entry("null", "null");
  check_entry("\"x\"", "string");
  check_entry("{}", "lacks");
  check_entry(R"({"dtype":"F32","shape":[2]})", "lacks");
  check_entry(R"({"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})", "duplicate");
  check_entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1})", "unknown key");
  check_entry(R"({"dtype":"F99","shape":[2],"data_offsets":[0,8]})", "unsupported dtype 'F99'",
              "st_dtype_unknown");
  check_entry(R"({"dtype":"F4","shape":[16],"data_offsets":[0,8]})", "unsupported dtype 'F4'");
  check_entry(R"({"dtype":"F4","shape":[15],"data_offsets":[0,8]})", "end at a whole byte",
              "st_f4_misaligned");
  check_entry(R"({"dtype":7,"shape":[2],"data_offsets":[0,8]})", "number");
  check_entry(R"({"dtype":["F32"],"shape":[2],"data_offsets":[0,8]})", "array");
  check_entry(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})", "negative", "st_shape_neg");
  check_entry(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})", "2.0", "st_shape_float");
  check_entry(R"({"dtype":"F32","shape":[1e3],"data_offsets":[0,8]})", "1e3", "st_shape_1e3");
  check_entry(R"({"dtype":"F32","shape":[true],"data_offsets":[0,8]})", "boolean");
  check_entry(R"({"dtype":"F32","shape":[[2]],"data_offsets":[0,8]})", "array");
  check_entry(R"({"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8]})", "number",
              "st_shape_2^64");
  check_entry(R"({"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]})", "too large");
  check_entry(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]})", "overflow",
              "st_shape_wrap");
  check_entry(R"({"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]})",
              "overflow");
}

TEST_CASE("safetensors tensors that do not fill the file exactly are refused", "[hostile]") {
  check_entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})", "needs 8 bytes");
  check_entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0]})", "two numbers");
  check_entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8,8]})", "two numbers");
  check_entry(R"({"dtype":"F32","shape":[0],"data_offsets":[8,0]})", "backwards",
              "st_offsets_reversed");
  check_entry(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})", "hole", "st_hole");
  check_entry(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})", "extra bytes");
  const auto two = [](const std::string& a, const std::string& b) {
    return st_file(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)" + a +
                       R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)" + b + "}}",
                   kEight);
  };
  check_refused("st_overlap", two("[0,4]", "[0,4]"), "overlap");
  check_refused("partial overlap", two("[0,4]", "[2,6]"), "overlap");
  const std::string file = two("[4,8]", "[0,4]");
  CHECK(load(file.data(), file.size()).to_tensor_dict().keys() ==
        std::vector<std::string>{"a", "b"});
}

}  // namespace tarn::testing
