// Capturing streams into graphs, and launching those.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "tarn/tests/cuda_emulator/api.h"
#include "tarn/tests/cuda_emulator/memory.h"
#include "tarn/tests/cuda_emulator/settings.h"
#include "tarn/tests/cuda_emulator/stream.h"

using namespace cuda_emulator;

namespace {

// Whether all that the capture's other streams recorded comes before what the origin does next.
bool all_joined(const Capture& capture) {
  std::vector<bool> before(capture.graph->nodes.size());
  std::vector<std::size_t> open = capture.origin->last_nodes;
  while (!open.empty()) {
    std::size_t node = open.back();
    open.pop_back();
    if (before[node]) continue;
    before[node] = true;
    for (std::size_t earlier : capture.graph->nodes[node].after) open.push_back(earlier);
  }
  for (const CUstream_st* stream : capture.streams)
    for (std::size_t node : stream->last_nodes)
      if (!before[node]) return false;
  return true;
}

// Of the nodes that may come next, the one that was captured last runs first, unless streams are
// eager or random: a missing dependency shows.
void run_graph(const CUgraph_st& graph) {
  static Random random(settings().streams.seed);
  std::vector<std::size_t> missing(graph.nodes.size());
  std::vector<std::size_t> ready;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    missing[i] = graph.nodes[i].after.size();
    if (missing[i] == 0) ready.push_back(i);
  }
  while (!ready.empty()) {
    auto next = settings().streams.kind == Schedule::forward
                    ? std::min_element(ready.begin(), ready.end())
                    : std::max_element(ready.begin(), ready.end());
    if (settings().streams.kind == Schedule::random)
      next = ready.begin() + static_cast<std::ptrdiff_t>(random.below(ready.size()));
    std::size_t done = *next;
    ready.erase(next);
    const CUgraph_st::Node& node = graph.nodes[done];
    {
      Access access(reachable_from(node.device));
      node.operation.run();
    }
    for (std::size_t i = done + 1; i < graph.nodes.size(); ++i) {
      const auto& after = graph.nodes[i].after;
      if (std::find(after.begin(), after.end(), done) != after.end() && --missing[i] == 0)
        ready.push_back(i);
    }
  }
}

cudaError_t begin_capture(CUstream_st* stream, cudaStreamCaptureMode mode) {
  static unsigned long long captures = 0;
  if (stream->capture) return refuse(cudaErrorIllegalState, "the stream is capturing already");
  auto capture = std::make_shared<Capture>();
  *capture = {++captures, new CUgraph_st, mode, std::this_thread::get_id(), stream, {stream}};
  stream->capture = capture;
  stream->last_nodes.clear();
  return cudaSuccess;
}

cudaError_t end_capture(CUstream_st* stream, cudaGraph_t* graph) {
  std::shared_ptr<Capture> capture = stream->capture;
  *graph = nullptr;
  if (!capture) return refuse(cudaErrorIllegalState, "the stream is not capturing");
  if (capture->origin != stream)
    return refuse(cudaErrorStreamCaptureUnmatched, "the capture began in another stream");
  if (capture->mode != cudaStreamCaptureModeRelaxed && capture->owner != std::this_thread::get_id())
    return refuse(cudaErrorStreamCaptureWrongThread, "another thread began the capture");
  bool joined = all_joined(*capture);
  capture->active = false;
  for (CUstream_st* member : capture->streams) {
    member->capture = nullptr;
    member->last_nodes.clear();
  }
  std::unique_ptr<CUgraph_st> recorded(capture->graph);
  if (!capture->valid) return refuse(cudaErrorStreamCaptureInvalidated, "the capture was lost");
  if (!joined)
    return refuse(cudaErrorStreamCaptureUnjoined,
                  "the stream does not wait for an event behind the last work of another one");
  *graph = recorded.release();
  return cudaSuccess;
}

cudaError_t launch_graph(const std::shared_ptr<const CUgraph_st>& graph, CUstream_st* stream) {
  if (stream->capture) return refuse(cudaErrorNotSupported, "graphs in graphs are not emulated");
  for (const CUgraph_st::Node& node : graph->nodes)
    if (cudaError_t error = check_pointers(node.operation.words, node.device)) return error;
  return submit(stream, {[graph] { run_graph(*graph); }});
}

}  // namespace

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return api("cudaStreamBeginCapture", [&] {
    CUstream_st* stream = find_stream(handle);
    if (!stream) return refuse(cudaErrorInvalidResourceHandle, "no such stream");
    if (!handle || handle == cudaStreamLegacy)
      return refuse(cudaErrorStreamCaptureUnsupported, "the null stream cannot be captured");
    return begin_capture(stream, mode);
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  return api("cudaStreamEndCapture", [&] {
    CUstream_st* stream = find_stream(handle);
    if (!stream) return refuse(cudaErrorInvalidResourceHandle, "no such stream");
    return end_capture(stream, graph);
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return cudaStreamGetCaptureInfo(handle, status, nullptr, nullptr, nullptr, nullptr, nullptr);
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t handle, cudaStreamCaptureStatus* status,
                                     unsigned long long* id, cudaGraph_t* graph,
                                     const cudaGraphNode_t** nodes, const cudaGraphEdgeData** edges,
                                     std::size_t* node_count) {
  return api("cudaStreamGetCaptureInfo", [&] {
    CUstream_st* stream = find_stream(handle);
    if (!stream) return refuse(cudaErrorInvalidResourceHandle, "no such stream");
    if (nodes || edges || node_count)
      return refuse(cudaErrorNotSupported, "nodes of a capture are not emulated");
    const Capture* capture = stream->capture.get();
    *status = !capture         ? cudaStreamCaptureStatusNone
              : capture->valid ? cudaStreamCaptureStatusActive
                               : cudaStreamCaptureStatusInvalidated;
    if (capture && id) *id = capture->id;
    if (capture && graph) *graph = capture->graph;
    return cudaSuccess;
  });
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  return api("cudaThreadExchangeStreamCaptureMode", [&] {
    std::swap(*mode, thread_capture_mode());
    return cudaSuccess;
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  return api("cudaGraphInstantiate", [&] {
    if (!graph) return cudaErrorInvalidValue;
    *executable = new CUgraphExec_st{std::make_shared<CUgraph_st>(*graph)};
    return cudaSuccess;
  });
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* executable, cudaGraph_t graph,
                                          unsigned long long flags) {
  return cudaGraphInstantiate(executable, graph, flags);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t handle) {
  return api("cudaGraphLaunch", [&] {
    CUstream_st* stream = find_stream(handle);
    if (!stream) return refuse(cudaErrorInvalidResourceHandle, "no such stream");
    return executable ? launch_graph(executable->graph, stream) : cudaErrorInvalidValue;
  });
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t executable, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo* info) {
  return api("cudaGraphExecUpdate", [&] {
    *info = {};
    const auto& old = executable->graph->nodes;
    bool same = old.size() == graph->nodes.size();
    for (std::size_t i = 0; same && i < old.size(); ++i)
      same = old[i].after == graph->nodes[i].after && old[i].device == graph->nodes[i].device;
    info->result = same ? cudaGraphExecUpdateSuccess : cudaGraphExecUpdateErrorTopologyChanged;
    if (!same) return cudaErrorGraphExecUpdateFailure;
    executable->graph = std::make_shared<CUgraph_st>(*graph);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return api("cudaGraphDestroy", [&] {
    delete graph;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return api("cudaGraphExecDestroy", [&] {
    delete executable;
    return cudaSuccess;
  });
}

}  // extern "C"
