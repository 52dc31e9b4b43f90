// Saving and loading, as in "File I/O" of Dive into Deep Learning
// (https://d2l.ai/chapter_builders-guide/read-write.html): tensors, lists, dictionaries, and a
// network. Writes x-file, x-files, mydict and mlp.params into the current folder; PyTorch opens all
// of them. The exit status is 0 if everything came back as it was.
#include <tarn/tarn.h>

#include <iostream>
#include <map>

using namespace tarn;

struct MlpImpl : nn::Module {
  nn::LazyLinear hidden{nullptr};  // learns from the first input that it has 20 features
  nn::Linear output{nullptr};
  MlpImpl() {
    hidden = register_module("hidden", nn::LazyLinear(256));
    output = register_module("output", nn::Linear(256, 10));
  }
  Tensor forward(const Tensor& x) { return output(relu(hidden(x))); }
};
TARN_MODULE(Mlp);

int main() try {
  bool all_equal = true;
  const auto show = [&](const char* what, bool equal) {
    std::cout << what << (equal ? ": equal\n\n" : ": DIFFERENT\n\n");
    all_equal = all_equal && equal;
  };
  manual_seed(0);

  std::cout << "1. A tensor\n";
  Tensor x = arange(4);
  save(x, "x-file");
  Tensor x2;
  load(x2, "x-file");
  std::cout << x2 << '\n';
  show("x and what load gave", equal(x, x2));

  std::cout << "2. A list of tensors\n";
  Tensor y = zeros({4});
  save(std::vector<Tensor>{x, y}, "x-files");
  const std::vector<Tensor> list = load("x-files").to_tensors();
  std::cout << list.at(0) << '\n' << list.at(1) << '\n';
  show("x, y and what load gave", equal(x, list[0]) && equal(y, list[1]));

  std::cout << "3. A dictionary from names to tensors\n";
  save(std::map<std::string, Tensor>{{"x", x}, {"y", y}}, "mydict");
  const auto dict = load("mydict").to_tensor_dict();
  for (const auto& item : dict) std::cout << item.key() << ":\n" << item.value() << '\n';
  show("the dictionary and what load gave", equal(x, dict["x"]) && equal(y, dict["y"]));

  std::cout << "4. A network and its output\n";
  Mlp net;
  Tensor X = randn({2, 20});
  Tensor Y = net(X);
  std::cout << Y << "\n\n";

  std::cout << "5. Its parameters\n";
  save(net->state_dict(), "mlp.params");
  for (const auto& item : net->state_dict()) {
    std::cout << item.key() << ' ' << item.value().sizes() << '\n';
  }

  std::cout << "\n6. A second network, made by the same code, with these parameters\n";
  Mlp clone;
  clone->load_state_dict(load("mlp.params"));
  clone->eval();
  std::cout << clone << "\n\n";

  std::cout << "7. Its output\n";
  Tensor Y_clone = clone(X);
  std::cout << (Y_clone == Y) << '\n';
  show("Y_clone and Y", equal(Y_clone, Y));

  std::cout << (all_equal ? "everything came back as it was\n" : "something was lost\n");
  return all_equal ? 0 : 1;
} catch (const Error& error) {
  std::cerr << "d2l_file_io: " << error.what() << '\n';
  return 2;
}
