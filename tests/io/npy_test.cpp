#include "tarn/core/factories.h"
#include "tarn/tests/io/golden.h"
#include "tarn/tests/io/hostile.h"
#include "tarn/tests/io/scratch.h"
#include "tarn/tests/support/tensors.h"

namespace tarn::testing {
namespace {

std::string npy(const std::string& header, const std::string& data, int version = 1) {
  return "\x93NUMPY" + le(static_cast<uint64_t>(version), 2) +
         le(header.size(), version == 1 ? 2 : 4) + header + data;
}
std::string entry(const std::string& descr, const std::string& shape,
                  const std::string& order = "False") {
  return "{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + "}\n";
}
const std::string kGood = npy(entry("'<f4'", "(2,)"), std::string(8, '\0'));

Value loaded(const std::string& file, const LoadOptions& options = {}) {
  return load(file.data(), file.size(), options);
}
void check_header(const std::string& header, const std::string& word) {
  check_refused(header, npy(header, std::string(8, '\0')), word);
}

}  // namespace

TEST_CASE("tensors of every dtype and shape go through .npy and .npz, bfloat16 is refused") {
  const Scratch scratch;
  for (int i = 0; i < kNumScalarTypes; ++i) {
    const auto dtype = static_cast<ScalarType>(i);
    CAPTURE(dtype);
    const Tensor x = make_tensor<float>({0, 1, 2, 3, 4, 1}, {2, 3}).to(dtype);
    if (dtype == kBFloat16) {
      CHECK_THROWS_WITH_TEXT(save(x, scratch / "x.npy"), "numpy has no dtype BFloat16");
      continue;
    }
    const Value dict =
        Value::dict({{"a", x}, {"../b/c", x.t()}, {"d", x[0][1]}, {"e", x[0].slice(0, 0, 0)}});
    for (const bool compress : {false, true}) {
      save(dict, scratch / "x.npz", {.compress = compress});
      for (const bool mmap : {false, true}) {
        const auto back = load(scratch / "x.npz", {.mmap = mmap}).to_tensor_dict();
        CHECK(back.keys() == dict.to_tensor_dict().keys());
        for (const auto& item : back) {
          CHECK(item->scalar_type() == dtype);
          CHECK(item->equal(dict.at(item.key()).to_tensor()));
        }
      }
    }
    save(x.t(), scratch / "x.npy");
    CHECK(load(scratch / "x.npy").to_tensor().equal(x.t()));
  }
  CHECK_THROWS_WITH_TEXT(save(Value(1), scratch / "y.npy"), "holds one tensor, not a int");
  CHECK_THROWS_WITH_TEXT(save(Value(1), scratch / "y.npz"), "expected a dict of Tensors");
  for (const std::string& name : {std::string("a\\b"), std::string(5000, 'a')}) {
    CHECK_THROWS_WITH_TEXT(save(Value::dict({{name, ones({1})}}), scratch / "y.npz"),
                           "cannot be a name in a zip archive");
  }
  CHECK(scratch.files() == std::vector<std::string>{"x.npy", "x.npz"});
}

TEST_CASE(".npy headers of all versions and in unusual forms load") {
  CHECK(loaded(kGood).to_tensor().numel() == 2);
  for (const int version : {2, 3}) {
    CHECK(loaded(npy(entry("'<f4'", "(2,)"), std::string(8, '\0'), version)).to_tensor().dim() ==
          1);
  }
  CHECK(loaded(npy("{\"shape\":(1L,2L,),\"descr\":\"=f4\",\"fortran_order\":True,}",
                   std::string(8, '\0')))
            .to_tensor()
            .sizes() == IntArrayRef({1, 2}));
  const Tensor swapped =
      loaded(npy(entry("'>i2'", "(2,)"), std::string("\1\2\3\4", 4))).to_tensor();
  CHECK(elements<int16_t>(swapped) == std::vector<int16_t>{0x102, 0x304});
  const Tensor flags = loaded(npy(entry("'|b1'", "(2,)"), "\7\1")).to_tensor();
  CHECK(static_cast<const unsigned char*>(flags.data_ptr())[0] == 1);
  CHECK(loaded(npy(entry("'<f4'", "(0, 5)"), "")).to_tensor().sizes() == IntArrayRef({0, 5}));
  CHECK(loaded(kGood + "junk", {.allow_trailing_bytes = true}).to_tensor().numel() == 2);
}

TEST_CASE(".npy files that lie or hold code are refused", "[hostile]") {
  check_refused("npy_object_dtype", npy(entry("'|O'", "(1,)"), "\x80\x03N."), "object");
  check_refused("npy_header_code", npy("__import__('os').system('true')", ""), "no '{'");
  check_header(entry("[('a', '<f4')]", "(2,)"), "structured");
  check_header(entry("'<V2'", "(4,)"), "unsupported numpy dtype '<V2'");
  check_header(entry("'<c8'", "(1,)"), "unsupported numpy dtype");
  check_header(entry("'f4'", "(2,)"), "unsupported numpy dtype");
  check_header(entry("''", "(2,)"), "unsupported numpy dtype");
  check_refused("npy_shape_wrap",
                npy(entry("'<f4'", "(4294967296, 4294967296)"), std::string(8, '\0')), "overflow");
  check_header(entry("'<f4'", "(0, 4611686018427387904, 4)"), "overflow");
  check_header(entry("'<f4'", "(99999999999999999999,)"), "overflow");
  check_refused("npy_neg_shape", npy(entry("'<f4'", "(-2,)"), std::string(8, '\0')), "negative");
  check_header(entry("'<f4'", "(2.0,)"), "comma");
  check_header(entry("'<f4'", "2"), "no '('");
  check_header(entry("'<f4'", "(3,)"), "needs 12: it was cut short");
  check_header(entry("'<f4'", "(2,)", "Maybe"), "no True or False");
  check_header("{'descr': '<f4', 'shape': (2,)}", "no descr, fortran_order or shape");
  check_header("{'descr': '<f4', 'descr': '<f4'}", "twice");
  check_header("{'evil': 1}", "unknown");
  check_header(entry("'<f4'", "(2,)") + "x", "behind");
  check_header("{'descr': '<f4", "without an end");
  check_refused("rank 65",
                npy(entry(
                        "'<f4'", "(" +
                                     [] {
                                       std::string ones;
                                       for (int i = 0; i < 65; ++i) ones += "1,";
                                       return ones;
                                     }() +
                                     ")"),
                    "1234"),
                "rank");
  check_refused("npy_hdr_len_4g", "\x93NUMPY\2" + le(0, 1) + le(0xFFFFFFF0, 4) + "{}", "limit");
  check_refused("npy_v9", "\x93NUMPY\x9" + le(0, 1) + le(2, 2) + "{}  ", "version 9.0");
  check_refused("npy_truncated", kGood.substr(0, kGood.size() - 1), "cut short");
  check_refused("long data", kGood + "1", "trailing");
  for (size_t size = 0; size < kGood.size(); ++size) {
    CHECK_THROWS_AS(load(kGood.data(), size), IOError);
  }
}

TEST_CASE(".npz archives with other members, damage or bombs are refused", "[hostile]") {
  CHECK(loaded(raw_zip({{"a.npy", kGood}, {"b.npy", kGood, true}})).size() == 2);
  check_refused("another member", raw_zip({{"a.npy", kGood}, {"b.pkl", "N."}}), "no .npy array");
  check_refused("two of a name", raw_zip({{"a.npy", kGood}, {"a.npy", kGood}}), "duplicate");
  check_refused("npz_nested_pickle", raw_zip({{"a.npy", npy(entry("'|O'", "(1,)"), "\x80\x03N.")}}),
                "object");
  for (const bool deflate : {false, true}) {
    std::string damaged = kGood;
    damaged.back() = '\1';
    RawMember member{"a.npy", kGood, deflate};
    member.crc = 1;
    check_refused("CRC", raw_zip({member}), "CRC");
    CHECK(loaded(raw_zip({member}), {.verify_crc = false}).size() == 1);
  }
  RawMember bomb{"a.npy", kGood, true};
  bomb.size = 0xFFFFFFF0;
  check_refused("npz_bomb", raw_zip({bomb}), "limit");
}

}  // namespace tarn::testing
