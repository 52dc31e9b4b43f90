#include <tarn/tarn.h>
using namespace tarn;
struct MlpImpl : nn::Module {
  nn::Linear hidden{nullptr}, output{nullptr};
  MlpImpl() { hidden = register_module("hidden", nn::Linear(20, 256)); output = register_module("output", nn::Linear(256, 10)); }
  Tensor forward(const Tensor& x) { return output(relu(hidden(x))); }
};
TARN_MODULE(Mlp);                                    // or: using Mlp = nn::ModuleHolder<MlpImpl>;
int main() {
  Tensor x = arange(4), y = zeros({4}), x2, X = randn({2, 20});
  save(x, "x-file");                      load(x2, "x-file");              // libtorch's form, into a variable
  save(std::vector<Tensor>{x, y}, "x-files");
  auto files = load("x-files").to_tensors();                               // the returning form gives a Value
  save(std::map<std::string, Tensor>{{"x", x}, {"y", y}}, "mydict");
  auto dict = load("mydict").to_tensor_dict();                             // ordered: key -> Tensor
  Mlp net;
  save(net->state_dict(), "mlp.params");
  Mlp clone;
  clone->load_state_dict(load("mlp.params"));   clone->eval();
  bool same = equal(clone(X), net(X));
  Tensor a = ones({2, 3}, device("cuda:0"));    net->to(Device("cuda:0"));  // DeviceError without one
}
