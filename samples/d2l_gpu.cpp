// Devices, as in "GPUs" of Dive into Deep Learning
// (https://d2l.ai/chapter_builders-guide/use-gpu.html). Runs anywhere: where there is no GPU, or
// only one, the CPU takes the place of those that are missing. Writes checkpoint.pt into the
// current folder.
#include <tarn/tarn.h>

#include <iostream>

using namespace tarn;

// GPU i if there is one, else the CPU.
Device try_gpu(int64_t i = 0) { return cuda::device_count() > i ? Device(kCUDA, i) : Device(kCPU); }

// All GPUs, or the CPU if there is none.
std::vector<Device> try_all_gpus() {
  std::vector<Device> devices;
  for (int64_t i = 0; i < cuda::device_count(); ++i) devices.push_back(Device(kCUDA, i));
  if (devices.empty()) devices.push_back(kCPU);
  return devices;
}

int main() try {
  manual_seed(0);

  std::cout << "8. Devices: " << Device("cpu") << ", " << Device("cuda") << ", " << Device("cuda:1")
            << "; cuda and cuda:0 are "
            << (Device("cuda") == Device("cuda:0") ? "the same" : "different") << '\n';

  std::cout << "9. This machine has " << cuda::device_count() << " GPUs\n";

  std::cout << "10. try_gpu() = " << try_gpu() << ", try_gpu(10) = " << try_gpu(10)
            << ", try_all_gpus() = [ ";
  for (const Device device : try_all_gpus()) std::cout << device << ' ';
  std::cout << "]\n";

  Tensor x = tensor({1, 2, 3});
  std::cout << "11. Unless told otherwise a tensor is on " << x.device() << '\n';

  Tensor X = ones({2, 3}, device(try_gpu()));
  Tensor Y = rand({2, 3}, device(try_gpu(1)));
  std::cout << "12. X is on " << X.device() << ":\n"
            << X << "\n    Y is on " << Y.device() << ":\n"
            << Y << '\n';

  std::cout << "13. Operands must share a device. ";
  try {
    X + Y;
    std::cout << "X and Y do\n";
  } catch (const DeviceError& error) {
    std::cout << "X + Y: " << error.what() << '\n';
  }
  Tensor Z =
      X.to(Y.device());  // a copy, unless X is there already; X.cuda(1) where there are two GPUs
  std::cout << "    Y + Z on " << (Y + Z).device() << ":\n" << Y + Z << '\n';
  std::cout << "    Z moved to where it is: "
            << (Z.to(Z.device()).is_same(Z) ? "the same tensor" : "a copy") << '\n';

  nn::Sequential net(nn::Linear(3, 1));
  net->to(try_gpu());
  std::cout << "14. The network computes\n"
            << net(X) << "\n    with a weight on " << net[0]->parameters()[0].device() << '\n';

  std::cout << "15. A long run saves all it needs to go on, so that a power cut costs little:\n";
  optim::SGD optimizer(net->parameters(), optim::SGDOptions(0.1).momentum(0.9));
  for (int64_t step = 1; step <= 30; ++step) {
    optimizer.zero_grad();
    const Tensor loss = nn::functional::mse_loss(net(X), zeros({2, 1}, device(try_gpu())));
    loss.backward();
    optimizer.step();
    if (step % 10 == 0) {
      // The old file stays until the new one is complete.
      save(Value::dict({{"step", step},
                        {"net", net->state_dict()},
                        {"optimizer", optimizer.state_dict()},
                        {"rng", get_rng_state()}}),
           "checkpoint.pt");
      std::cout << "    step " << step << ", loss " << loss.item<double>() << ": saved\n";
    }
  }
  const Value checkpoint = load("checkpoint.pt");
  net->load_state_dict(checkpoint.at("net"));
  optimizer.load_state_dict(checkpoint.at("optimizer"));
  set_rng_state(checkpoint.at("rng").to_tensor());
  std::cout << "    restored step " << checkpoint.at("step").to_int() << '\n';
  return 0;
} catch (const Error& error) {
  std::cerr << "d2l_gpu: " << error.what() << '\n';
  return 2;
}
