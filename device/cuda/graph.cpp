#include "tarn/device/cuda/graph.h"

#include <atomic>
#include <cstring>
#include <exception>
#include <vector>

#include "tarn/device/capture.h"
#include "tarn/device/cuda/memory.h"
#include "tarn/device/cuda/runtime.h"
#include "tarn/device/cuda_graph.h"

namespace tarn::cuda {

struct CUDAGraph::Recording {
  // Of all graph_value()s together: they travel in one copy.
  static constexpr size_t kValueBytes = size_t{64} << 10;

  explicit Recording(int on)
      : id(++recordings), device(on), pool(make_pool(on)), values(kValueBytes) {}
  ~Recording() {
    if (executable) static_cast<void>(cudaGraphExecDestroy(executable));
    for (void* memory : pinned) static_cast<void>(cudaFreeHost(memory));
    deallocate(values_on_device, device);
    release_pool(pool, device);
  }

  struct Hook {
    std::function<void()> check, work;
    size_t first_value;
  };

  static inline std::atomic<uint64_t> recordings = 0;
  const uint64_t id;
  const int device;
  const uint64_t pool;
  cudaGraphExec_t executable = nullptr;
  std::vector<void*> pinned;
  std::vector<Hook> hooks;
  std::vector<char> values;
  size_t used = 0;
  void* values_on_device = nullptr;
};

namespace {

constinit thread_local CUDAGraph::Recording* recording = nullptr;
// The recording whose replay is about to start, and where its next value is.
constinit thread_local CUDAGraph::Recording* replaying = nullptr;
constinit thread_local size_t next_value = 0;

// Sets a thread's pointer for a while.
class Scope {
 public:
  Scope(CUDAGraph::Recording*& current, CUDAGraph::Recording* now) : current_(current) {
    current_ = now;
  }
  ~Scope() { current_ = nullptr; }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  CUDAGraph::Recording*& current_;
};

// The graph of what the stream has recorded, which records no more; null after an error.
cudaGraph_t end_capture(cudaStream_t stream, cudaError_t& error) {
  cudaGraph_t graph = nullptr;
  error = cudaStreamEndCapture(stream, &graph);
  if (error != cudaSuccess) static_cast<void>(cudaGetLastError());
  return graph;
}

}  // namespace

uint64_t capture_id() noexcept { return recording ? recording->id : 0; }
uint64_t capture_pool() noexcept { return recording ? recording->pool : 0; }
bool is_current_stream_capturing() noexcept { return recording != nullptr; }
bool is_before_replay() noexcept { return replaying != nullptr; }

void check_not_capturing(const char* op, const char* problem) {
  TARN_CHECK(!recording, "[", op, "] cannot be part of what graph_step captures: ", problem);
}

void check_captured(cudaStream_t stream, int device) {
  if (!recording) return;
  TARN_CHECK(device == recording->device, "[graph_step] the step works on cuda:", device,
             ", but is captured on cuda:", recording->device,
             ". HINT: graph_step(step, {.device = ", device, "}); a graph has one device");
  cudaStreamCaptureStatus status;
  TARN_CUDA_CHECK(cudaStreamIsCapturing(stream, &status));
  TARN_CHECK(status != cudaStreamCaptureStatusNone,
             "[graph_step] the step works on a stream that does not belong to the capture. HINT: "
             "side.wait_stream(current_stream()) before, and current_stream().wait_stream(side) "
             "after");
}

const void* keep_for_graph(const void* host, size_t bytes) {
  void* memory;
  TARN_CUDA_CHECK(cudaHostAlloc(&memory, bytes, cudaHostAllocPortable));
  recording->pinned.push_back(memory);
  return std::memcpy(memory, host, bytes);
}

void each_replay(std::function<void()> check, std::function<void()> work) {
  const size_t first_value = recording->used;
  work();
  recording->hooks.push_back({std::move(check), std::move(work), first_value});
}

const void* graph_value(const void* value, size_t bytes) {
  CUDAGraph::Recording* const graph = recording ? recording : replaying;
  if (!graph) [[likely]]
    return nullptr;
  size_t& at = recording ? graph->used : next_value;
  const size_t place = at, end = recording ? graph->values.size() : graph->used;
  at += (bytes + 15) / 16 * 16;
  TARN_CHECK(at <= end, "[graph_step] the step has more than ", end, " bytes of changing values");
  std::memcpy(graph->values.data() + place, value, bytes);
  return static_cast<char*>(graph->values_on_device) + place;
}

CUDAGraph::CUDAGraph(int64_t device) : device_(device_or_current(device)) {}

CUDAGraph::~CUDAGraph() {
  if (!recording_) return;
  try {
    const SelectGuard guard(device_);
    // An error of earlier work is for the next call that can throw it.
    static_cast<void>(cudaDeviceSynchronize());
    recording_.reset();
  } catch (const Error&) {
    // The process is ending and the device is gone, with all its memory.
  }
}

void CUDAGraph::capture(const std::function<void()>& work) {
  check_not_capturing("capture", "captures do not nest");
  TARN_CHECK(!recording_, "[capture] this graph has been captured already");
  const SelectGuard guard(device_);
  // What was cached so far serves the graph better as part of its pool.
  trim(device_);
  auto fresh = std::make_unique<Recording>(device_);
  const OwnStream own(device_);
  const cudaStream_t stream = own.get();
  cudaError_t error;
  cudaGraph_t graph;
  {
    const StreamGuard on_stream(own.get());
    fresh->values_on_device = allocate(Recording::kValueBytes, device_);
    // Relaxed, so that segments, handles and pinned memory may be made where they are first needed.
    // Tarn's own calls that wait are refused by name before CUDA sees them.
    TARN_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    try {
      const Scope scope(recording, fresh.get());
      work();
    } catch (...) {
      if (cudaGraph_t partial = end_capture(stream, error))
        static_cast<void>(cudaGraphDestroy(partial));
      throw;
    }
    graph = end_capture(stream, error);
  }
  if (error != cudaSuccess) fail(error, "cudaStreamEndCapture");
  error = cudaGraphInstantiate(&fresh->executable, graph, 0);
  static_cast<void>(cudaGraphDestroy(graph));
  if (error != cudaSuccess) fail(error, "cudaGraphInstantiate");
  recording_ = std::move(fresh);
}

void CUDAGraph::replay() {
  check_not_capturing("replay", "graphs do not nest");
  TARN_CHECK(recording_, "[replay] nothing was captured");
  const SelectGuard guard(device_);
  for (const Recording::Hook& hook : recording_->hooks) {
    if (hook.check) hook.check();
  }
  {
    const Scope scope(replaying, recording_.get());
    for (const Recording::Hook& hook : recording_->hooks) {
      next_value = hook.first_value;
      hook.work();
    }
  }
  if (recording_->used > 0)
    send(recording_->values_on_device, recording_->values.data(), recording_->used);
  TARN_CUDA_CHECK(cudaGraphLaunch(recording_->executable, stream()));
}

}  // namespace tarn::cuda
