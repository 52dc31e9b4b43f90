#include <algorithm>
#include <sstream>

#include "tarn/tests/io/golden.h"
#include "tarn/tests/io/hostile.h"
#include "tarn/tests/io/scratch.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/tensors.h"

namespace tarn::testing {

TEST_CASE("what PyTorch wrote and Tarn read, Tarn writes with the same bytes") {
  for (const char* name :
       {"tensor", "list", "dict", "state_dict", "adam", "views", "dtypes", "data", "checkpoint"}) {
    const std::string wanted = golden_file(name);
    std::ostringstream stream;
    save(load(wanted.data(), wanted.size()), stream, {.keep_storage = true});
    const std::string written = stream.str();
    const size_t length = std::min(written.size(), wanted.size());
    const auto differ =
        std::mismatch(wanted.begin(), wanted.begin() + static_cast<long>(length), written.begin());
    INFO(name << ": " << written.size() << " bytes, PyTorch's are " << wanted.size()
              << "; they differ at " << differ.first - wanted.begin());
    CHECK((written == wanted));
  }
}

TEST_CASE("values made in C++ are written with PyTorch's bytes") {
  const auto written = [](const Value& value) {
    std::ostringstream stream;
    save(value, stream);
    return stream.str();
  };
  const Tensor x = make_tensor<int64_t>({0, 1, 2, 3}, {4});
  const auto zeros = [] { return make_tensor<float>({0, 0, 0, 0}, {4}); };
  CHECK((written(x) == golden_file("tensor")));
  CHECK((written(std::vector<Tensor>{x, zeros()}) == golden_file("list")));
  CHECK((written(std::map<std::string, Tensor>{{"x", x}, {"y", zeros()}}) == golden_file("dict")));
  const Value data = Value::ordered_dict({
      {"none", std::nullopt},
      {"flags", Value::tuple({true, false})},
      {"empty", Value::list({Value::tuple(), Value::list(), Value::dict()})},
      {"one", Value::list({1})},
      {"text", "\xC3\xA9"},
      {"ints", Value::tuple({0, 255, 256, 65536, -1, int64_t{1} << 40})},
      {"floats", Value::list({0.1})},
      {"bytes", Value::list({Value::bytes(""), Value::bytes("a\xFF")})},
  });
  CHECK((written(data) == golden_file("data")));
}

TEST_CASE("files PyTorch wrote give the values it saved") {
  const StateDict state = golden_value("state_dict");
  CHECK(state.keys() == std::vector<std::string>{"0.weight", "0.bias", "1.weight", "1.bias",
                                                 "1.running_mean", "1.running_var",
                                                 "1.num_batches_tracked"});
  CHECK(state["0.weight"].sizes() == IntArrayRef({2, 3}));
  CHECK(state.metadata.keys() == std::vector<std::string>{"", "0", "1"});
  CHECK(state.metadata["1"] == 2);
  CHECK(elements<int64_t>(state["1.num_batches_tracked"]) == std::vector<int64_t>{1});

  const Value adam = golden_value("adam");
  CHECK(adam.at("param_groups").at(0).at("betas").at(1).to_double() == 0.999);
  CHECK(elements<float>(adam.at("state").at(3).at("step").to_tensor()) == std::vector<float>{1});

  const auto views = golden_value("views").to_tensors();
  CHECK(views[1].strides() == IntArrayRef({1, 3}));
  CHECK(elements<float>(views[3]) == std::vector<float>{1, 2, 4, 5});
  CHECK(views[2].storage().is_same(views[0].storage()));
  CHECK(views[5].is_same(views[0]));

  const auto dtypes = golden_value("dtypes").to_tensors();
  REQUIRE(dtypes.size() == static_cast<size_t>(kNumScalarTypes));
  for (const Tensor& tensor : dtypes) {
    CHECK(elements<float>(tensor.to(kFloat)) == std::vector<float>{0, 1, 1});
  }
}

TEST_CASE("a training checkpoint of PyTorch is plain data around tensors") {
  const Value checkpoint = golden_value("checkpoint");
  CHECK(checkpoint.at("model").to_state_dict().size() == 7);
  CHECK(checkpoint.at("optimizer").at("param_groups").at(0).at("lr").to_double() == 0.001);
  CHECK(checkpoint.at("scheduler").at("step_size").to_int() == 2);
  CHECK(checkpoint.at("epoch").to_int() == 3);
  CHECK(checkpoint.at("best").to_double() == 0.25);
  CHECK(checkpoint.at("history").at(1).at(1).to_double() == 0.5);
  CHECK(checkpoint.at("name").to_string() == "run");
  CHECK_FALSE(checkpoint.at("done").to_bool());
  CHECK(checkpoint.at("note").is_none());
}

TEST_CASE("numpy's files load, and .npy is written with numpy's bytes") {
  const Tensor matrix = golden_value("npy").to_tensor();
  CHECK(matrix.sizes() == IntArrayRef({2, 3}));
  CHECK(elements<double>(matrix) == std::vector<double>{0, 1, 2, 3, 4, 5});
  const Tensor columns = golden_value("npy_fortran").to_tensor();
  CHECK(columns.strides() == IntArrayRef({1, 2}));
  CHECK(columns.equal(matrix));
  CHECK(elements<int32_t>(golden_value("npy_big_endian").to_tensor()) ==
        std::vector<int32_t>{0, 1, 2});
  for (const char* name : {"npz", "npz_deflated"}) {
    const auto arrays = golden_value(name).to_tensor_dict();
    CHECK(arrays.keys() == std::vector<std::string>{"matrix", "counts"});
    CHECK(arrays["matrix"].equal(matrix));
    CHECK(elements<int32_t>(arrays["counts"]) == std::vector<int32_t>{0, 1, 2});
  }
  const Scratch scratch;
  save(matrix, scratch / "x.npy");
  CHECK((scratch.text("x.npy") == golden_file("npy")));
}

TEST_CASE("a golden file with any one byte changed loads or is refused, and nothing else") {
  for (const char* name : {"legacy", "npy", "npy_fortran", "npz", "npz_deflated", "tensor"}) {
    INFO(name);
    CHECK(refused_changes(golden_file(name)) > 100);
  }
}

}  // namespace tarn::testing
