#include "tarn/tests/cuda_emulator/stream.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>

#include "tarn/tests/cuda_emulator/api.h"
#include "tarn/tests/cuda_emulator/memory.h"
#include "tarn/tests/cuda_emulator/settings.h"

namespace cuda_emulator {
namespace {

struct Streams {
  std::vector<std::unique_ptr<CUstream_st>> legacy;  // the null stream of each device
  std::vector<CUstream_st*> all;
};

Streams& streams() {
  static Streams* s = [] {
    auto* made = new Streams;  // outlives whatever is destroyed at exit
    for (int d = 0; d < settings().devices; ++d) {
      made->legacy.push_back(std::make_unique<CUstream_st>(CUstream_st{d, 0, 0}));
      made->all.push_back(made->legacy.back().get());
    }
    return made;
  }();
  return *s;
}

CUstream_st* legacy_stream(int device) {
  return streams().legacy[static_cast<std::size_t>(device)].get();
}
bool is_legacy(const CUstream_st* stream) { return stream == legacy_stream(stream->device); }

void run_next(CUstream_st* stream) {
  Operation next = std::move(stream->queue.front());
  stream->queue.pop_front();
  if (next.wait) wait_on_host(*next.wait);
  if (next.run) {
    Access access(reachable_from(stream->device));
    next.run();
  }
}

// The null stream waits for all blocking streams of its device, and they for it.
void keep_legacy_order(CUstream_st* stream) {
  if (is_legacy(stream)) {
    for (CUstream_st* other : streams().all)
      if (other != stream && other->device == stream->device && other->blocking()) drain(other);
  } else if (stream->blocking()) {
    drain(legacy_stream(stream->device));
  }
}

void run_ahead(CUstream_st* stream) {
  if (settings().streams.kind == Schedule::forward) drain(stream);
  if (settings().streams.kind != Schedule::random) return;
  static Random random(settings().streams.seed);
  for (CUstream_st* any : streams().all)
    for (std::size_t n = random.below(3); n > 0 && !any->queue.empty(); --n) run_next(any);
}

bool is_mapped(std::uintptr_t address) {
  constexpr std::uintptr_t page = 4096;
  return msync(reinterpret_cast<void*>(address & ~(page - 1)), 1, MS_ASYNC) == 0;
}

// Whether a word that is not declared as a pointer is one to host memory all the same. Two integers
// of a structure share a word: those with a small lower half are left alone, and so is what lies
// where the sanitizers keep their shadows.
bool looks_like_host_pointer(std::uintptr_t word) {
  constexpr std::uintptr_t lowest = 0x5000'0000'0000, end = std::uintptr_t{1} << 47;
  bool lower_half_is_small = (word & 0xFFFF'FFFF) < 0x1'0000;
  return word >= lowest && word < end && !lower_half_is_small && is_mapped(word);
}

}  // namespace

CUstream_st* find_stream(cudaStream_t handle) {
  if (!handle || handle == cudaStreamLegacy) return legacy_stream(current_device());
  auto& all = streams().all;
  return std::find(all.begin(), all.end(), handle) == all.end() ? nullptr : handle;
}

CUstream_st* create_stream(unsigned flags, int priority) {
  auto* stream = new CUstream_st{current_device(), flags, priority};
  streams().all.push_back(stream);
  return stream;
}

void destroy_stream(CUstream_st* stream) {
  drain(stream);
  auto& all = streams().all;
  all.erase(std::find(all.begin(), all.end(), stream));
  delete stream;
}

cudaError_t submit(CUstream_st* stream, Operation operation) {
  if (Capture* capture = stream->capture.get()) {
    if (!capture->valid) return cudaErrorStreamCaptureInvalidated;
    auto& nodes = capture->graph->nodes;
    nodes.push_back({std::move(operation), std::move(stream->last_nodes), stream->device});
    stream->last_nodes = {nodes.size() - 1};
    return cudaSuccess;
  }
  if (is_legacy(stream))
    for (CUstream_st* other : streams().all)
      if (other->capture && other->blocking()) {
        other->capture->valid = false;
        return refuse(cudaErrorStreamCaptureImplicit,
                      "the null stream is used while a stream that waits for it is capturing");
      }
  keep_legacy_order(stream);
  operation.ticket = ++stream->submitted;
  stream->queue.push_back(std::move(operation));
  run_ahead(stream);
  return cudaSuccess;
}

void drain(CUstream_st* stream, std::uint64_t ticket) {
  if (stream->queue.empty()) return;
  Access access(reachable_from(stream->device));  // once for all
  while (!stream->queue.empty() && stream->queue.front().ticket <= ticket) run_next(stream);
}

void drain_device(int device) {
  std::vector<CUstream_st*> all = streams().all;
  for (CUstream_st* stream : all)
    if (stream->device == device) drain(stream);
}

void make_progress(CUstream_st* stream) {
  if (!stream->queue.empty()) run_next(stream);
}

cudaError_t record(const std::shared_ptr<Mark>& mark, CUstream_st* stream) {
  if (stream->capture) {
    if (!stream->capture->valid) return cudaErrorStreamCaptureInvalidated;
    mark->capture = stream->capture;
    mark->nodes = stream->last_nodes;
    return cudaSuccess;
  }
  mark->stream = stream;
  mark->ticket = stream->submitted + 1;
  return submit(stream, {[mark] {
                  mark->done = true;
                  mark->reached = std::chrono::steady_clock::now();
                }});
}

cudaError_t wait_for(CUstream_st* stream, const std::shared_ptr<Mark>& mark) {
  if (!mark->capture) {
    if (!stream->capture) return submit(stream, {nullptr, mark});
    stream->capture->valid = false;
    return refuse(cudaErrorStreamCaptureIsolation,
                  "a capturing stream waits for an event that was recorded outside the capture");
  }
  const std::shared_ptr<Capture>& capture = mark->capture;
  if (!capture->active)
    return refuse(cudaErrorCapturedEvent, "the event was recorded in a capture that has ended");
  if (stream->capture && stream->capture != capture) {
    stream->capture->valid = capture->valid = false;
    return refuse(cudaErrorStreamCaptureMerge, "one capture waits for an event of another");
  }
  if (!stream->capture) {
    if (is_legacy(stream))
      return refuse(cudaErrorStreamCaptureImplicit, "the null stream waits for a captured event");
    stream->capture = capture;
    stream->last_nodes.clear();
    capture->streams.push_back(stream);
  }
  for (std::size_t node : mark->nodes)
    if (std::find(stream->last_nodes.begin(), stream->last_nodes.end(), node) ==
        stream->last_nodes.end())
      stream->last_nodes.push_back(node);
  return cudaSuccess;
}

void wait_on_host(const Mark& mark) {
  if (mark.stream && !mark.done) drain(mark.stream, mark.ticket);
}

cudaStreamCaptureMode& thread_capture_mode() {
  thread_local cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  return mode;
}

cudaError_t check_no_capture() {
  if (thread_capture_mode() == cudaStreamCaptureModeRelaxed) return cudaSuccess;
  for (CUstream_st* stream : streams().all) {
    Capture* capture = stream->capture.get();
    if (!capture || capture->mode == cudaStreamCaptureModeRelaxed) continue;
    bool any_thread = capture->mode == cudaStreamCaptureModeGlobal &&
                      thread_capture_mode() == cudaStreamCaptureModeGlobal;
    if (!any_thread && capture->owner != std::this_thread::get_id()) continue;
    capture->valid = false;
    return refuse(cudaErrorStreamCaptureUnsupported,
                  "this call is not allowed while a stream is capturing; the capture is lost");
  }
  return cudaSuccess;
}

cudaError_t check_not_capturing(CUstream_st* stream) {
  if (!stream->capture) return cudaSuccess;
  stream->capture->valid = false;
  return refuse(cudaErrorStreamCaptureUnsupported,
                "the host waits for a stream that is capturing; the capture is lost");
}

cudaError_t check_pointers(const std::vector<ArgumentWord>& words, int device) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto* p = reinterpret_cast<const void*>(words[i].value);
    const char* problem = nullptr;
    int home = device_of(p);
    if (home >= 0) {
      if (!find_block(p))
        problem = "";
      else if (!(reachable_from(device) >> home & 1))
        problem = ", without peer access";
    } else if (!find_block(p) &&
               (words[i].pointer ? p != nullptr : looks_like_host_pointer(words[i].value))) {
      problem = "";
    }
    if (problem)
      return refuse(cudaErrorIllegalAddress,
                    "a kernel on cuda:%d is given %p, %s%s (word %zu of its "
                    "arguments)",
                    device, p, describe(p).c_str(), problem, i);
  }
  return cudaSuccess;
}

}  // namespace cuda_emulator
