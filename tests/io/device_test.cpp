// Files know no devices: what was saved from one loads to any.
#include <sstream>

#include "tarn/core/random.h"
#include "tarn/io/serialize.h"
#include "tarn/tests/io/scratch.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/devices.h"

using namespace tarn;
using testing::devices;
using testing::Scratch;

TEST_CASE("tensors saved from one device load to any, with what they share") {
  const Scratch folder;
  for (const Device from : devices()) {
    for (const char* name : {"x.pt", "x.safetensors"}) {
      const Tensor x = randn({3, 4}, from);
      const Value value = Value::dict({{"x", x}, {"n", arange(5, from)}});
      save(value, folder / name);
      CHECK(load(folder / name).at("x").to_tensor().is_cpu());
      for (const Device to : devices()) {
        CAPTURE(from, to, name);
        const Value back = load(folder / name, to);
        CHECK(back.at("x").to_tensor().device() == to);
        CHECK(back.at("x").to_tensor().cpu().equal(x.cpu()));
        CHECK(back.at("n").to_tensor().cpu().equal(arange(5)));
      }
    }
    std::stringstream stream;
    const Tensor base = randn({4, 4}, from);
    save(Value::list({base, base.t()}), stream);
    for (const Device to : devices()) {
      const Value back = load(stream, to);
      const Tensor first = back.at(0).to_tensor(), second = back.at(1).to_tensor();
      CHECK(first.storage().is_same(second.storage()));
      CHECK(second.equal(first.t()));
      stream.clear();
      stream.seekg(0);
    }
  }
}

TEST_CASE("a file cannot be loaded to a device that is not there") {
  std::stringstream stream;
  save(Value(ones({2})), stream);
  CHECK_THROWS_AS(load(stream, Device("cuda:100")), DeviceError);
}
