#include <thread>

#include "tarn/tests/cuda_emulator/testing.h"

using cuda_emulator::Schedule;
using cuda_emulator::settings;
using tarn::gpu::launch;

namespace {

__global__ void add(int* x, int value) { *x += value; }
__global__ void multiply(int* x, int value) { *x *= value; }
__global__ void use_shared(int* x) {
  TARN_DYN_SHARED(int, values);
  values[threadIdx.x] = 1;
  x[threadIdx.x] = values[threadIdx.x];
}

class Event {
 public:
  explicit Event(unsigned flags = cudaEventDefault) {
    check(cudaEventCreateWithFlags(&event_, flags));
  }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  operator cudaEvent_t() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace

TEST_CASE("A stream waits for another's event, whatever runs first") {
  auto order = GENERATE(Schedule{Schedule::forward}, Schedule{Schedule::reverse},
                        Schedule{Schedule::random, 1});
  Setting set(settings().streams, order);
  Buffer<int> x(std::vector<int>{1});
  Stream first, second;
  Event done;
  check(launch(add, 1, 1, 0, first, x, 2));
  check(cudaEventRecord(done, first));
  check(cudaStreamWaitEvent(second, done, 0));
  check(launch(multiply, 1, 1, 0, second, x, 10));
  REQUIRE(x.read(second)[0] == 30);
}

TEST_CASE("Asking a stream or an event in a loop comes to an end") {
  Setting lazy(settings().streams, Schedule{Schedule::reverse});
  Buffer<int> x(std::vector<int>{0});
  Stream stream;
  Event done;
  check(cudaEventRecord(done, stream));
  for (int i = 0; i < 3; ++i) check(launch(add, 1, 1, 0, stream, x, 1));
  REQUIRE(cudaStreamQuery(stream) == cudaErrorNotReady);
  while (cudaEventQuery(done) == cudaErrorNotReady) {
  }
  while (cudaStreamQuery(stream) == cudaErrorNotReady) {
  }
  REQUIRE(x.read(stream)[0] == 3);
  REQUIRE(cudaPeekAtLastError() == cudaSuccess);
}

TEST_CASE("The time between two events needs events with timing that have happened") {
  Setting lazy(settings().streams, Schedule{Schedule::reverse});
  Stream stream;
  Buffer<int> x(std::vector<int>{0});
  Event begin, end, untimed(cudaEventDisableTiming);
  float milliseconds = -1;
  REQUIRE(cudaEventElapsedTime(&milliseconds, begin, end) == cudaErrorInvalidResourceHandle);
  check(cudaEventRecord(begin, stream));
  check(launch(add, 1, 1, 0, stream, x, 1));
  check(cudaEventRecord(end, stream));
  check(cudaEventRecord(untimed, stream));
  REQUIRE(cudaEventElapsedTime(&milliseconds, begin, end) == cudaErrorNotReady);
  check(cudaEventSynchronize(end));
  check(cudaEventElapsedTime(&milliseconds, begin, end));
  REQUIRE(milliseconds > 0);
  REQUIRE(cudaEventElapsedTime(&milliseconds, begin, untimed) == cudaErrorInvalidResourceHandle);
  stream.wait();
  cudaGetLastError();
}

TEST_CASE("Host functions run in the order of their stream and may not call CUDA") {
  Setting lazy(settings().streams, Schedule{Schedule::reverse});
  Stream stream;
  Buffer<int> x(std::vector<int>{5});
  int* seen = nullptr;
  check(cudaMallocHost(&seen, 2 * sizeof(int)));
  seen[1] = -1;
  check(cudaMemcpyAsync(seen, x, sizeof(int), cudaMemcpyDeviceToHost, stream));
  check(cudaLaunchHostFunc(
      stream,
      [](void* data) {
        auto* values = static_cast<int*>(data);
        values[1] = values[0] + (cudaDeviceSynchronize() == cudaErrorNotPermitted ? 1 : 100);
      },
      seen));
  REQUIRE(seen[1] == -1);
  stream.wait();
  REQUIRE(seen[1] == 6);
  cudaGetLastError();
  check(cudaFreeHost(seen));
}

TEST_CASE("The null stream waits for blocking streams, and they for it") {
  cudaStream_t blocking;
  check(cudaStreamCreate(&blocking));
  Buffer<int> x(std::vector<int>{1});
  check(launch(add, 1, 1, 0, blocking, x, 1));
  check(launch(multiply, 1, 1, 0, nullptr, x, 10));
  check(launch(add, 1, 1, 0, blocking, x, 3));
  REQUIRE(x.read(blocking)[0] == 23);
  check(cudaStreamDestroy(blocking));
}

TEST_CASE("Launches that the device could not run are refused") {
  Stream stream;
  Buffer<int> x(64);
  CHECK(launch(add, 0, 1, 0, stream, x, 1) == cudaErrorInvalidConfiguration);
  CHECK(launch(add, 1, 1025, 0, stream, x, 1) == cudaErrorInvalidConfiguration);
  CHECK(launch(add, dim3(1, 65536), 1, 0, stream, x, 1) == cudaErrorInvalidConfiguration);
  CHECK(launch(add, 1, dim3(1, 1, 65), 0, stream, x, 1) == cudaErrorInvalidConfiguration);
  CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
  CHECK(cudaGetLastError() == cudaSuccess);

  std::size_t large = std::size_t{64} << 10;
  CHECK(launch(use_shared, 1, 64, large, stream, x) == cudaErrorInvalidValue);
  check(cudaFuncSetAttribute(use_shared, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(large)));
  check(launch(use_shared, 1, 64, large, stream, x));
  CHECK(x.read(stream)[63] == 1);
  int blocks = 0;
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, use_shared, 64, large));
  CHECK(blocks == 3);
  cudaGetLastError();
}

TEST_CASE("A kernel is launched on a stream of the current device") {
  Stream stream;
  Buffer<int> x(std::vector<int>{1});
  check(cudaSetDevice(1));
  CHECK(launch(add, 1, 1, 0, stream, x, 1) == cudaErrorInvalidResourceHandle);
  check(cudaSetDevice(0));
  CHECK(cudaSetDevice(2) == cudaErrorInvalidDevice);
  cudaGetLastError();
}

TEST_CASE("Without devices every call says so") {
  Setting none(settings().devices, 0);
  int count = -1;
  REQUIRE(cudaGetDeviceCount(&count) == cudaErrorNoDevice);
  REQUIRE(count == 0);
  void* memory = nullptr;
  REQUIRE(cudaMalloc(&memory, 4) == cudaErrorNoDevice);
  cudaGetLastError();
}

TEST_CASE("The call that is asked to fail fails, once") {
  std::snprintf(settings().fail_api, sizeof settings().fail_api, "cudaMalloc");
  settings().fail_call = 2;
  void* memory = nullptr;
  check(cudaMalloc(&memory, 4));
  check(cudaFree(memory));
  REQUIRE(cudaMalloc(&memory, 4) == cudaErrorMemoryAllocation);
  check(cudaMalloc(&memory, 4));
  check(cudaFree(memory));
  cudaGetLastError();
}

TEST_CASE("Host threads use streams of their own at the same time") {
  constexpr int threads = 4, launches = 25;
  std::vector<int> results(threads);
  std::vector<std::thread> workers;
  for (int t = 0; t < threads; ++t)
    workers.emplace_back([t, &results] {
      cudaSetDevice(t % 2);
      cudaStream_t stream;
      cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
      int* x = nullptr;
      cudaMalloc(&x, sizeof(int));
      cudaMemsetAsync(x, 0, sizeof(int), stream);
      for (int i = 0; i < launches; ++i) launch(add, 1, 1, 0, stream, x, t + 1);
      int* result = &results[static_cast<std::size_t>(t)];
      cudaMemcpyAsync(result, x, sizeof(int), cudaMemcpyDeviceToHost, stream);
      cudaStreamSynchronize(stream);
      cudaFree(x);
      cudaStreamDestroy(stream);
    });
  for (std::thread& worker : workers) worker.join();
  REQUIRE(results == std::vector<int>{25, 50, 75, 100});
}
