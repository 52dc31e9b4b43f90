// Streams and events.
#include <algorithm>
#include <set>

#include "tarn/tests/cuda_emulator/api.h"
#include "tarn/tests/cuda_emulator/stream.h"

using namespace cuda_emulator;

namespace {

constexpr int least_priority = 0, greatest_priority = -5;

std::set<cudaEvent_t>& events() {
  static auto* live = new std::set<cudaEvent_t>;  // outlives whatever is destroyed at exit
  return *live;
}

template <class Body>
cudaError_t with_stream(const char* function, cudaStream_t handle, Body body) {
  return api(function, [&] {
    CUstream_st* stream = find_stream(handle);
    return stream ? body(stream) : refuse(cudaErrorInvalidResourceHandle, "no such stream");
  });
}

template <class Body>
cudaError_t with_event(const char* function, cudaEvent_t event, Body body) {
  return api(function, [&] {
    if (!events().count(event)) return refuse(cudaErrorInvalidResourceHandle, "no such event");
    return body();
  });
}

// What the host may not ask of an event.
cudaError_t check_not_captured(cudaEvent_t event) {
  if (!event->mark->capture) return cudaSuccess;
  event->mark->capture->valid = false;
  return refuse(cudaErrorCapturedEvent, "the event was recorded in a stream that was capturing");
}

}  // namespace

extern "C" {

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  return api("cudaStreamCreateWithPriority", [&] {
    if (flags & ~static_cast<unsigned>(cudaStreamNonBlocking)) return cudaErrorInvalidValue;
    *stream = create_stream(flags, std::clamp(priority, greatest_priority, least_priority));
    return cudaSuccess;
  });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return cudaStreamCreateWithPriority(stream, flags, least_priority);
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithPriority(stream, cudaStreamDefault, least_priority);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return api("cudaDeviceGetStreamPriorityRange", [&] {
    *least = least_priority;
    *greatest = greatest_priority;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetPriority(cudaStream_t handle, int* priority) {
  return with_stream("cudaStreamGetPriority", handle, [&](CUstream_st* stream) {
    *priority = stream->priority;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return with_stream("cudaStreamDestroy", handle, [&](CUstream_st* stream) {
    if (!handle || handle == cudaStreamLegacy) return cudaErrorInvalidResourceHandle;
    if (cudaError_t error = check_not_capturing(stream)) return error;
    destroy_stream(stream);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return with_stream("cudaStreamSynchronize", handle, [](CUstream_st* stream) {
    if (cudaError_t error = check_not_capturing(stream)) return error;
    drain(stream);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return with_stream("cudaStreamQuery", handle, [](CUstream_st* stream) {
    if (cudaError_t error = check_not_capturing(stream)) return error;
    if (stream->queue.empty()) return cudaSuccess;
    make_progress(stream);
    return cudaErrorNotReady;
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  return with_stream("cudaStreamWaitEvent", handle, [&](CUstream_st* stream) {
    if (!events().count(event)) return refuse(cudaErrorInvalidResourceHandle, "no such event");
    bool recorded = event->mark->stream || event->mark->capture;
    return recorded ? wait_for(stream, event->mark) : cudaSuccess;
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* data) {
  return with_stream("cudaLaunchHostFunc", handle, [&](CUstream_st* stream) {
    return submit(stream, {[function, data] {
                    in_host_function() = true;
                    function(data);
                    in_host_function() = false;
                  }});
  });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return api("cudaEventCreateWithFlags", [&] {
    *event = new CUevent_st{current_device(), flags, std::make_shared<Mark>()};
    events().insert(*event);
    return cudaSuccess;
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return with_event("cudaEventDestroy", event, [&] {
    events().erase(event);
    delete event;
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  return with_event("cudaEventRecord", event, [&] {
    CUstream_st* stream = find_stream(handle);
    if (!stream) return refuse(cudaErrorInvalidResourceHandle, "no such stream");
    if (stream->device != event->device)
      return refuse(cudaErrorInvalidResourceHandle, "an event of cuda:%d in a stream of cuda:%d",
                    event->device, stream->device);
    event->mark = std::make_shared<Mark>();
    return record(event->mark, stream);
  });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return with_event("cudaEventQuery", event, [&] {
    if (cudaError_t error = check_not_captured(event)) return error;
    if (cudaError_t error = check_no_capture()) return error;
    const Mark& mark = *event->mark;
    if (!mark.stream || mark.done) return cudaSuccess;
    make_progress(mark.stream);
    return cudaErrorNotReady;
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return with_event("cudaEventSynchronize", event, [&] {
    if (cudaError_t error = check_not_captured(event)) return error;
    wait_on_host(*event->mark);
    return cudaSuccess;
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  return with_event("cudaEventElapsedTime", begin, [&] {
    if (!events().count(end)) return refuse(cudaErrorInvalidResourceHandle, "no such event");
    for (cudaEvent_t event : {begin, end}) {
      if (cudaError_t error = check_not_captured(event)) return error;
      if (event->flags & cudaEventDisableTiming)
        return refuse(cudaErrorInvalidResourceHandle, "the event was created without timing");
      if (!event->mark->stream)
        return refuse(cudaErrorInvalidResourceHandle, "the event was never recorded");
      if (!event->mark->done) return cudaErrorNotReady;
    }
    *milliseconds =
        std::chrono::duration<float, std::milli>(end->mark->reached - begin->mark->reached).count();
    return cudaSuccess;
  });
}

}  // extern "C"
