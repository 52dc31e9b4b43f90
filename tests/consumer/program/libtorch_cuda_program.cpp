// A program in libtorch's own words for whatever CUDA devices there are: streams, guards, events,
// and training on each. It exits with the number of checks that failed.
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>
#include <c10/core/DeviceGuard.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/torch.h>

#include <cstdio>
#include <iostream>

namespace {

int failures = 0;

#define EXPECT(condition)                                    \
  do {                                                       \
    if (!(condition)) {                                      \
      ++failures;                                            \
      std::printf("line %d: not %s\n", __LINE__, #condition); \
    }                                                        \
  } while (false)

void use_streams(c10::DeviceIndex index) {
  const torch::Device device(torch::kCUDA, index);
  at::cuda::CUDAStream stream = at::cuda::getStreamFromPool(/*isHighPriority=*/false, index);
  const at::cuda::CUDAStream usual = c10::cuda::getDefaultCUDAStream(index);
  EXPECT(stream.device_index() == index && stream != usual);
  torch::Tensor x = torch::arange(100, device), sum;
  at::cuda::CUDAEvent ready, done, began(0), ended(0);
  ready.record(at::cuda::getCurrentCUDAStream(index));
  ready.block(stream);
  {
    at::cuda::CUDAStreamGuard guard(stream);
    EXPECT(at::cuda::getCurrentCUDAStream() == stream);
    began.record();
    // Without a number kCUDA is the device of the stream.
    sum = (x + torch::ones({100}, torch::device(torch::kCUDA))).sum();
    ended.record();
    done.record(stream);
  }
  EXPECT(c10::cuda::current_device() == 0);
  done.block(usual);
  sum.record_stream(usual);
  EXPECT(sum.device() == device);
  EXPECT(sum.item<int64_t>() == 5050);
  ended.synchronize();
  EXPECT(began.elapsed_time(ended) >= 0);
  at::cuda::setCurrentCUDAStream(stream);
  EXPECT(at::cuda::getCurrentCUDAStream(index) == stream);
  at::cuda::setCurrentCUDAStream(usual);
  stream.synchronize();
  EXPECT(stream.query());
  // What a launch of the user's own kernel takes.
  CUstream_st* const handle = at::cuda::getCurrentCUDAStream(index);
  EXPECT(handle == usual.stream());
}

void use_guards() {
  const torch::Device last(torch::kCUDA, torch::cuda::device_count() - 1);
  {
    const c10::DeviceGuard guard(last);
    EXPECT(torch::zeros({1}, torch::kCUDA).device() == last);
    const c10::DeviceGuard nothing{torch::Device(torch::kCPU)};
    EXPECT(torch::zeros({1}).cuda().device() == last);
  }
  {
    const c10::OptionalDeviceGuard none{std::nullopt}, some(last);
    EXPECT(c10::cuda::current_device() == last.index());
  }
  {
    c10::cuda::OptionalCUDAGuard guard;
    guard.set_index(last.index());
    EXPECT(c10::cuda::current_device() == last.index());
  }
  std::vector<at::cuda::CUDAStream> streams;
  for (int i = 0; i <= last.index(); ++i)
    streams.push_back(at::cuda::getStreamFromPool(true, static_cast<c10::DeviceIndex>(i)));
  {
    const at::cuda::CUDAMultiStreamGuard guard(streams);
    for (const auto& stream : streams)
      EXPECT(at::cuda::getCurrentCUDAStream(stream.device_index()) == stream);
    EXPECT(c10::cuda::current_device() == 0);
  }
  for (const auto& stream : streams)
    EXPECT(at::cuda::getCurrentCUDAStream(stream.device_index()) != stream);
}

void learn(torch::Device device) {
  torch::manual_seed(0);
  torch::nn::Sequential net(torch::nn::Linear(8, 16), torch::nn::ReLU(), torch::nn::Linear(16, 1));
  net->to(device);
  torch::optim::Adam adam(net->parameters(), torch::optim::AdamOptions(0.01));
  const auto x = torch::randn({32, 8}, torch::TensorOptions().device(device));
  const auto y = x.sum(1, /*keepdim=*/true);
  float first = 0, last = 0;
  for (int step = 0; step < 50; ++step) {
    adam.zero_grad();
    const auto loss = torch::mse_loss(net->forward(x), y);
    loss.backward();
    adam.step();
    (step == 0 ? first : last) = loss.item<float>();
  }
  EXPECT(last < first / 2);
}

}  // namespace

int main() {
  if (!torch::cuda::is_available()) {
    std::cout << "no CUDA device\n";
    return 0;
  }
  std::cout << torch::cuda::device_count() << " CUDA devices\n";
  EXPECT(!torch::cuda::cudnn_is_available());
  for (int i = 0; i < static_cast<int>(torch::cuda::device_count()); ++i) {
    use_streams(static_cast<c10::DeviceIndex>(i));
    learn(torch::Device(torch::kCUDA, static_cast<c10::DeviceIndex>(i)));
  }
  use_guards();
  torch::cuda::synchronize();
  c10::cuda::CUDACachingAllocator::emptyCache();
  return failures;
}
