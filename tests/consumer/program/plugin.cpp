// A library that a program opens while it runs, with tensors that live until it is gone.
#include <tarn/tarn.h>

#include <thread>

using namespace tarn;

static Tensor kept;
static thread_local Tensor kept_by_thread;

// The sum of a gradient, 12, computed on two threads.
extern "C" double use_tensors() {
  const Device place = cuda::is_available() ? Device(kCUDA) : Device(kCPU);
  double sum = 0;
  const auto work = [&] {
    kept_by_thread = ones({2, 3}, TensorOptions(place).requires_grad(true));
    (kept_by_thread * kept_by_thread).sum().backward();
    kept = kept_by_thread.grad();
    sum = kept.sum().item<double>();
  };
  std::thread(work).join();
  work();
  return sum;
}
