// Runs the command tarn-ckpt and reads what it prints.

#include <nlohmann/json.hpp>

#include "tarn/core/factories.h"
#include "tarn/core/functions.h"
#include "tarn/io/serialize.h"
#include "tarn/tests/io/scratch.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/run_self.h"

using namespace tarn;
using testing::Scratch;

namespace {

testing::ChildResult tarn_ckpt(const Scratch& folder, const std::string& arguments) {
  return testing::run_command("cd '" + (folder / "") + "' && '" TARN_CKPT "' " + arguments +
                              " 2>&1");
}

// {"model": {"w": [[0, 1, 2], [3, 4, 5]], "b": [0, 0]}, "epoch": 3, "betas": (0.9, 0.999), ...}
Value training_file() {
  const Value model =
      Value::dict({{"w", arange(6).to(kFloat32).view({2, 3})}, {"b", zeros({2}, kInt64)}});
  return Value::dict({{"model", model},
                      {"epoch", 3},
                      {"betas", Value::tuple({0.9, 0.999})},
                      {"bad\x1bname", Value()},
                      {"empty", Value::list()}});
}

}  // namespace

TEST_CASE("tarn-ckpt ls lists tensors and values") {
  const Scratch folder;
  save(training_file(), folder / "c.pt");
  const auto table = tarn_ckpt(folder, "ls c.pt");
  CHECK(table.status == 0);
  CHECK(table.output ==
        "model.w      float32  [2, 3]        24 B\n"
        "model.b      int64    [2]           16 B\n"
        "epoch        int      3\n"
        "betas        tuple    (0.9, 0.999)\n"
        "bad\\x1bname  None     None\n"
        "empty        list     []\n"
        "PyTorch, 2 tensors, 40 B\n");
  const auto json = nlohmann::json::parse(tarn_ckpt(folder, "ls c.pt --json").output);
  CHECK(json["format"] == "PyTorch");
  CHECK(json["entries"].size() == 6);
  CHECK(json["entries"][0]["name"] == "model.w");
  CHECK(json["entries"][0]["shape"] == std::vector<int>{2, 3});
  CHECK(json["entries"][2]["value"] == "3");
  save(zeros({0, 2}), folder / "x.npy");
  CHECK(tarn_ckpt(folder, "ls x.npy").output ==
        "(the file)  float32  [0, 2]  0 B\nnpy, 1 tensors, 0 B\n");
}

TEST_CASE("tarn-ckpt show prints one entry") {
  const Scratch folder;
  save(training_file(), folder / "c.pt");
  CHECK(tarn_ckpt(folder, "show c.pt model.w").output ==
        "model.w: float32 [2, 3], min 0.0, max 5.0, mean 2.5, nan 0\n"
        " 0  1  2\n 3  4  5\n[ CPUFloatType{2,3} ]\n");
  CHECK(tarn_ckpt(folder, "show c.pt betas").output == "(0.9, 0.999)\n");
  const auto json = nlohmann::json::parse(tarn_ckpt(folder, "show --json c.pt model.w").output);
  CHECK(json["elements"] == std::vector<double>{0, 1, 2, 3, 4, 5});
  const auto absent = tarn_ckpt(folder, "show c.pt model.v");
  CHECK(absent.status == 2);
  CHECK(absent.output ==
        "tarn-ckpt: c.pt: there is no 'model.v'. HINT: tarn-ckpt ls lists all names\n");
}

TEST_CASE("tarn-ckpt diff finds every kind of difference") {
  const Scratch folder;
  const Tensor nan = full({2}, NAN);
  save(Value::dict({{"same", nan},
                    {"x", arange(4)},
                    {"d", ones({2})},
                    {"s", ones({2})},
                    {"epoch", 1},
                    {"gone", ones({1})}}),
       folder / "a.pt");
  const Tensor moved = arange(4);
  moved[2] = 5;
  save(Value::dict({{"same", nan},
                    {"x", moved},
                    {"d", ones({2}, kDouble)},
                    {"s", ones({1, 2})},
                    {"epoch", 2},
                    {"new", ones({1})}}),
       folder / "b.pt");
  const auto found = tarn_ckpt(folder, "diff a.pt b.pt");
  CHECK(found.status == 1);
  CHECK(found.output ==
        "x      1 of 4 elements, by at most 3\n"
        "d      dtype Float and Double\n"
        "s      shape [2] and [1, 2]\n"
        "epoch  1 and 2\n"
        "gone   only in a.pt\n"
        "new    only in b.pt\n");
  CHECK(nlohmann::json::parse(tarn_ckpt(folder, "diff a.pt b.pt --json").output).size() == 6);
  const auto none = tarn_ckpt(folder, "diff a.pt a.pt");
  CHECK(none.status == 0);
  CHECK(none.output == "no difference in 6 entries\n");
  save(arange(4).to(kFloat32), folder / "x.npy");
  save(arange(4).to(kFloat32) + 0.25, folder / "y.npy");
  CHECK(tarn_ckpt(folder, "diff x.npy y.npy").status == 1);
  CHECK(tarn_ckpt(folder, "diff x.npy y.npy --atol 0.3").status == 0);
  CHECK(tarn_ckpt(folder, "diff x.npy y.npy --rtol 0.05").status == 1);
}

TEST_CASE("tarn-ckpt convert goes from any format to the one the name asks for") {
  const Scratch folder;
  save(training_file(), folder / "c.pt");
  const auto refused = tarn_ckpt(folder, "convert c.pt c.safetensors");
  CHECK(refused.status == 2);
  CHECK(refused.output.find("HINT: --key NAME converts a part") != std::string::npos);
  CHECK(tarn_ckpt(folder, "convert c.pt m.safetensors --key model").status == 0);
  CHECK(tarn_ckpt(folder, "convert m.safetensors m.npz").status == 0);
  CHECK(tarn_ckpt(folder, "convert m.npz m.pt").status == 0);
  const Value model = load(folder / "m.pt");
  CHECK(equal(model.at("w").to_tensor(), arange(6).to(kFloat32).view({2, 3})));
  CHECK(model.at("b").to_tensor().dtype() == kInt64);
  CHECK(tarn_ckpt(folder, "convert c.pt c.npz --tensors-only").status == 0);
  CHECK(load(folder / "c.npz").size() == 2);
  CHECK(load(folder / "c.npz").contains("model.w"));
}

TEST_CASE("tarn-ckpt verify reads everything, and a bad file gets one clear line") {
  const Scratch folder;
  save(training_file(), folder / "c.pt");
  CHECK(tarn_ckpt(folder, "verify c.pt").output == "c.pt: good (PyTorch, 2 tensors, 40 B)\n");
  std::string bytes = folder.text("c.pt");
  const size_t at = bytes.find(std::string("\0\0\x80\x3f\0\0\0\x40", 8));  // 1, 2
  REQUIRE(at != std::string::npos);
  bytes[at + 2] ^= 1;
  folder.put("flipped.pt", bytes);
  CHECK(tarn_ckpt(folder, "ls flipped.pt").status == 0);
  const auto flipped = tarn_ckpt(folder, "verify flipped.pt");
  CHECK(flipped.status == 2);
  CHECK(flipped.output.find("CRC") != std::string::npos);
  CHECK(std::count(flipped.output.begin(), flipped.output.end(), '\n') == 1);
  for (const char* arguments : {"verify absent.pt", "ls", "what c.pt", "ls c.pt --wrong", "",
                                "diff c.pt c.pt --atol x", "ls c.pt --key"}) {
    const auto wrong = tarn_ckpt(folder, arguments);
    CAPTURE(arguments, wrong.output);
    CHECK(wrong.status == 2);
    CHECK(wrong.output.starts_with("tarn-ckpt: "));
    CHECK(std::count(wrong.output.begin(), wrong.output.end(), '\n') == 1);
  }
  CHECK(tarn_ckpt(folder, "--help").output.starts_with("usage: tarn-ckpt"));
}

TEST_CASE("tarn-ckpt says one line about every hostile file") {
  const Scratch files;
  testing::run_self("[hostile]~[unkept]", "TARN_HOSTILE_FILES='" + (files / "") + "'");
  REQUIRE(files.files().size() > 200);
  const auto verify = [&](const std::string& pattern, const std::string& problem) {
    return tarn_ckpt(files, "--help >/dev/null; for file in " + pattern +
                                "; do text=$('" TARN_CKPT
                                "' verify \"$file\" 2>&1 >/dev/null); status=$?; if " +
                                problem +
                                "; then echo \"$file: exit status $status: $text\"; fi; done")
        .output;
  };
  CHECK(verify("*.good", "[ $status != 0 ] || [ -n \"$text\" ]") ==
        "pkl_memo_bomb.good: exit status 2: tarn-ckpt: [load] pkl_memo_bomb.good: the same "
        "containers are in it again and again, with more than 1000000 names. HINT: load() reads "
        "it\n");
  CHECK(verify("*.bad", "[ $status != 2 ] || [ \"$(echo \"$text\" | wc -l)\" != 1 ]").empty());
}
