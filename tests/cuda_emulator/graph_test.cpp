#include "tarn/tests/cuda_emulator/testing.h"

using cuda_emulator::Schedule;
using cuda_emulator::settings;
using tarn::gpu::launch;

namespace {

__global__ void add(int* x, int value) { *x += value; }
__global__ void copy_sum(int* sum, const int* x, const int* y) { *sum = *x + *y; }

void begin(cudaStream_t stream) {
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
}

cudaGraphExec_t instantiate(cudaStream_t stream) {
  cudaGraph_t graph;
  check(cudaStreamEndCapture(stream, &graph));
  cudaGraphExec_t executable;
  check(cudaGraphInstantiate(&executable, graph, 0));
  check(cudaGraphDestroy(graph));
  return executable;
}

// Ends a capture that has gone wrong.
void expect_lost(cudaStream_t stream) {
  cudaGraph_t graph;
  CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated);
  CHECK(graph == nullptr);
  cudaStreamCaptureStatus status;
  check(cudaStreamIsCapturing(stream, &status));
  CHECK(status == cudaStreamCaptureStatusNone);
  cudaGetLastError();
}

}  // namespace

TEST_CASE("A captured graph runs each time it is launched, and not before") {
  Stream stream;
  Buffer<int> x(std::vector<int>{0});
  begin(stream);
  cudaStreamCaptureStatus status;
  check(cudaStreamIsCapturing(stream, &status));
  REQUIRE(status == cudaStreamCaptureStatusActive);
  check(launch(add, 1, 1, 0, stream, x, 1));
  check(launch(add, 1, 1, 0, stream, x, 2));
  cudaGraphExec_t graph = instantiate(stream);
  REQUIRE(x.read(stream)[0] == 0);
  for (int i = 0; i < 3; ++i) check(cudaGraphLaunch(graph, stream));
  REQUIRE(x.read(stream)[0] == 9);
  check(cudaGraphExecDestroy(graph));
}

TEST_CASE("A capture forks to a second stream and joins it again") {
  auto order = GENERATE(Schedule{Schedule::forward}, Schedule{Schedule::reverse},
                        Schedule{Schedule::random, 5});
  Setting set(settings().streams, order);
  Stream stream, side;
  Buffer<int> x(std::vector<int>{0}), y(std::vector<int>{0}), sum(std::vector<int>{0});
  cudaEvent_t forked, joined;
  check(cudaEventCreateWithFlags(&forked, cudaEventDisableTiming));
  check(cudaEventCreateWithFlags(&joined, cudaEventDisableTiming));
  begin(stream);
  check(cudaEventRecord(forked, stream));
  check(cudaStreamWaitEvent(side, forked, 0));
  check(launch(add, 1, 1, 0, stream, x, 1));
  check(launch(add, 1, 1, 0, side, y, 10));
  check(cudaEventRecord(joined, side));
  check(cudaStreamWaitEvent(stream, joined, 0));
  check(launch(copy_sum, 1, 1, 0, stream, sum, x, y));
  cudaGraphExec_t graph = instantiate(stream);
  check(cudaGraphLaunch(graph, stream));
  check(cudaGraphLaunch(graph, stream));
  REQUIRE(sum.read(stream)[0] == 22);
  CHECK(cudaEventQuery(joined) == cudaErrorCapturedEvent);
  CHECK(cudaStreamWaitEvent(side, joined, 0) == cudaErrorCapturedEvent);
  cudaGetLastError();
  check(cudaGraphExecDestroy(graph));
  check(cudaEventDestroy(forked));
  check(cudaEventDestroy(joined));
}

TEST_CASE("A branch that the graph does not wait for is an error") {
  Stream stream, side;
  Buffer<int> x(std::vector<int>{0});
  cudaEvent_t forked;
  check(cudaEventCreateWithFlags(&forked, cudaEventDisableTiming));
  begin(stream);
  check(cudaEventRecord(forked, stream));
  check(cudaStreamWaitEvent(side, forked, 0));
  check(launch(add, 1, 1, 0, side, x, 1));
  cudaGraph_t graph;
  CHECK(cudaStreamEndCapture(side, &graph) == cudaErrorStreamCaptureUnmatched);
  CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureUnjoined);
  cudaGetLastError();
  check(cudaEventDestroy(forked));
}

TEST_CASE("What may not happen in a capture loses it") {
  Stream stream, other;
  Buffer<int> x(std::vector<int>{0});
  int host = 0;
  cudaEvent_t event;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  check(cudaEventRecord(event, other));
  begin(stream);
  SECTION("waiting for the stream") {
    CHECK(cudaStreamSynchronize(stream) == cudaErrorStreamCaptureUnsupported);
  }
  SECTION("waiting for the device") {
    CHECK(cudaDeviceSynchronize() == cudaErrorStreamCaptureUnsupported);
  }
  SECTION("allocating memory") {
    void* memory;
    CHECK(cudaMalloc(&memory, 4) == cudaErrorStreamCaptureUnsupported);
  }
  SECTION("asking an event") { CHECK(cudaEventQuery(event) == cudaErrorStreamCaptureUnsupported); }
  SECTION("copying pageable memory") {
    CHECK(cudaMemcpyAsync(x, &host, 4, cudaMemcpyHostToDevice, stream) ==
          cudaErrorStreamCaptureUnsupported);
  }
  SECTION("waiting for an event from outside") {
    CHECK(cudaStreamWaitEvent(stream, event, 0) == cudaErrorStreamCaptureIsolation);
  }
  CHECK(launch(add, 1, 1, 0, stream, x, 1) == cudaErrorStreamCaptureInvalidated);
  expect_lost(stream);
  check(cudaEventDestroy(event));
}

TEST_CASE("Other streams go on while one is capturing") {
  Stream stream, other;
  Buffer<int> x(std::vector<int>{0});
  begin(stream);
  check(launch(add, 1, 1, 0, stream, x, 100));
  check(launch(add, 1, 1, 0, other, x, 1));
  check(cudaStreamSynchronize(other));
  cudaGraphExec_t graph = instantiate(stream);
  REQUIRE(x.read(stream)[0] == 1);
  check(cudaGraphExecDestroy(graph));
}

TEST_CASE("A thread that relaxes its capture mode may allocate while it captures") {
  Stream stream;
  begin(stream);
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  check(cudaThreadExchangeStreamCaptureMode(&mode));
  REQUIRE(mode == cudaStreamCaptureModeGlobal);
  Buffer<int> x(1);
  check(cudaThreadExchangeStreamCaptureMode(&mode));
  check(cudaMemsetAsync(x, 0, sizeof(int), stream));
  check(launch(add, 1, 1, 0, stream, x, 4));
  cudaGraphExec_t graph = instantiate(stream);
  check(cudaGraphLaunch(graph, stream));
  REQUIRE(x.read(stream)[0] == 4);
  check(cudaGraphExecDestroy(graph));
}

TEST_CASE("A graph whose memory was freed is not launched") {
  Stream stream;
  int* x = nullptr;
  check(cudaMalloc(&x, sizeof(int)));
  begin(stream);
  check(launch(add, 1, 1, 0, stream, x, 1));
  cudaGraphExec_t graph = instantiate(stream);
  check(cudaFree(x));
  REQUIRE(cudaGraphLaunch(graph, stream) == cudaErrorIllegalAddress);
  cudaGetLastError();
  check(cudaGraphExecDestroy(graph));
}

TEST_CASE("An executable graph takes new arguments from a graph of the same shape") {
  Stream stream;
  Buffer<int> x(std::vector<int>{0});
  begin(stream);
  check(launch(add, 1, 1, 0, stream, x, 1));
  cudaGraphExec_t executable = instantiate(stream);
  auto capture = [&](int launches) {
    begin(stream);
    for (int i = 0; i < launches; ++i) check(launch(add, 1, 1, 0, stream, x, 5));
    cudaGraph_t graph;
    check(cudaStreamEndCapture(stream, &graph));
    return graph;
  };
  cudaGraph_t same = capture(1), longer = capture(2);
  cudaGraphExecUpdateResultInfo info;
  check(cudaGraphExecUpdate(executable, same, &info));
  CHECK(cudaGraphExecUpdate(executable, longer, &info) == cudaErrorGraphExecUpdateFailure);
  check(cudaGraphLaunch(executable, stream));
  CHECK(x.read(stream)[0] == 5);
  cudaGetLastError();
  for (cudaGraph_t graph : {same, longer}) check(cudaGraphDestroy(graph));
  check(cudaGraphExecDestroy(executable));
}
