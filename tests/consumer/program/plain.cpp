// A plain training program against the installed package: one layer learns y = 2x + 1, is saved and
// comes back equal.
#include <tarn/tarn.h>

#include <iostream>

int main() {
  tarn::manual_seed(0);
  tarn::nn::Linear model(1, 1);
  tarn::optim::SGD optimizer(model->parameters(), tarn::optim::SGDOptions(0.1));
  const tarn::Tensor x = tarn::linspace(-1, 1, 32).reshape({32, 1});
  const tarn::Tensor y = x * 2 + 1;
  for (int step = 0; step < 200; ++step) {
    optimizer.zero_grad();
    tarn::nn::functional::mse_loss(model(x), y).backward();
    optimizer.step();
  }
  tarn::save(model->state_dict(), "line.params");
  tarn::nn::Linear restored(1, 1);
  restored->load_state_dict(tarn::load("line.params"));
  const bool learned = tarn::allclose(model(x), y, 1e-3, 1e-3);
  const bool same = tarn::equal(restored(x), model(x));
  try {
    tarn::matmul(x, y);
    return 2;
  } catch (const tarn::Error& error) {  // exceptions cross the library's border
    std::cout << "an error as it should be: " << error.what() << "\n";
  }
  std::cout << "learned: " << learned << ", restored: " << same << "\n";
  return learned && same ? 0 : 1;
}
