// PyTorch's format of before 1.6, which has no checksums and no lengths.

#include "tarn/tests/io/golden.h"
#include "tarn/tests/io/hostile.h"
#include "tarn/tests/io/scratch.h"
#include "tarn/tests/support/tensors.h"

namespace tarn::testing {
namespace {

// A file with one storage, "0", of six float32 where the objects end; `keys` and what follows may
// be anything.
std::string legacy(const std::string& objects, const std::string& keys, const std::string& data) {
  const std::string magic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
  const std::string system = RawPickle().op("}").text("little_endian").op("\x88s").done();
  return magic + RawPickle().integer(1001).done() + system + objects + keys + data;
}
std::string objects(int64_t offset = 0) {
  return RawPickle()
      .global("torch._utils", "_rebuild_tensor_v2")
      .op("((")
      .text("storage")
      .global("torch", "FloatStorage")
      .text("0")
      .text("cpu")
      .integer(6)
      .op("NtQ")
      .integer(offset)
      .shape({6})
      .shape({1})
      .op("\x89")
      .global("collections", "OrderedDict")
      .op(")RtR")
      .done();
}
const std::string kKeys = RawPickle().op("]").text("0").op("a").done();
const std::string kData = le(6, 8) + std::string(24, '\0');

}  // namespace

TEST_CASE("files of before PyTorch 1.6 load, and are refused when they are damaged", "[hostile]") {
  const std::string file = golden_file("legacy");
  const Value value = load(file.data(), file.size());
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
  const std::string longer = file + "1";
  CHECK(load(longer.data(), longer.size(), {.allow_trailing_bytes = true}).size() == 3);
  const size_t numel = file.size() - 32;
  check_refused("leg_numel_mismatch", patched(file, numel, le(5, 8)), "has 5 elements here");
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

TEST_CASE("files of before PyTorch 1.6 whose parts do not belong together are refused",
          "[hostile]") {
  const std::string file = legacy(objects(), kKeys, kData);
  CHECK(check_loads("leg_good", file).to_tensor().numel() == 6);
  check_refused("leg_bad_magic", patched(file, 5, "\x47"), "pickle");
  check_refused("leg_key_list_missing", legacy(objects(), "", ""), "end");
  check_refused("leg_key_list_empty", legacy(objects(), RawPickle().op("]").done(), kData),
                "lacks the key");
  check_refused("leg_key_twice",
                legacy(objects(), RawPickle().op("](").text("0").text("0").op("e").done(), kData),
                "one twice");
  check_refused("leg_truncated_storage", file.substr(0, file.size() - 1), "cut short");
  check_refused("leg_view_oob", legacy(objects(1), kKeys, kData), "bounds");
}

}  // namespace tarn::testing
