#include "tarn/device/cuda/runtime.h"

#include <algorithm>
#include <array>
#include <memory>
#include <mutex>
#include <vector>

#include "tarn/device/capture.h"
#include "tarn/device/cuda.h"
#include "tarn/device/cuda/fault.h"
#include "tarn/device/cuda/graph.h"
#include "tarn/device/cuda/made_once.h"
#include "tarn/device/memory.h"

namespace tarn {
namespace cuda {
namespace {

constexpr size_t kPoolStreams = 8;

struct Found {
  int count = 0;
  cudaError_t error = cudaSuccess;
};

const Found& found() noexcept {
  static const Found found = [] {
    Found result;
    result.error = cudaGetDeviceCount(&result.count);
    if (result.error != cudaSuccess) {
      result.count = 0;
      static_cast<void>(cudaGetLastError());
    }
    result.count = std::min(result.count, kMaxDevices);
    return result;
  }();
  return found;
}

cudaStream_t new_stream(int priority = 0) {
  // Non-blocking: the legacy default stream of other libraries must not order ours.
  cudaStream_t stream;
  TARN_CUDA_CHECK(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, priority));
  return stream;
}

// The streams of one priority that are handed out in turn.
struct StreamPool {
  int priority;
  std::array<cudaStream_t, kPoolStreams> streams{};
  size_t turn = 0;

  cudaStream_t next() {
    cudaStream_t& stream = streams[turn++ % kPoolStreams];
    if (!stream) stream = new_stream(priority);
    return stream;
  }
};

// What a device is found to have when it is first selected.
struct DeviceState {
  cudaStream_t stream = new_stream();
  int multiprocessors = 0;
  std::mutex mutex;
  StreamPool usual{0}, urgent{-1};
  std::vector<cudaStream_t> idle;  // that an OwnStream has left

  explicit DeviceState(int index) {
    TARN_CUDA_CHECK(
        cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, index));
  }
};

constinit MadeOnce<DeviceState> states;

DeviceState& state(int index) {
  return states.get(index, [&] {
    const SelectGuard guard(index);
    return new DeviceState(index);
  });
}

constinit thread_local int selected_device = -1;
constinit thread_local int thread_device = 0;
// The devices' streams that set_stream() chose, null where it did not, and whether it ever did.
constinit thread_local std::array<cudaStream_t, kMaxDevices> chosen{};
constinit thread_local bool any_chosen = false;

}  // namespace

void fail(cudaError_t error, const char* call) {
  static_cast<void>(cudaGetLastError());
  const std::string text =
      str("[cuda] ", call, ": ", cudaGetErrorName(error), ": ", cudaGetErrorString(error));
  if (error == cudaErrorMemoryAllocation) throw OutOfMemoryError(text);
  throw DeviceError(text);
}

bool is_done(cudaError_t answer, const char* query) {
  if (answer != cudaSuccess && answer != cudaErrorNotReady) fail(answer, query);
  return answer == cudaSuccess;
}

void select(int index) {
  if (index == selected_device) [[likely]]
    return;
  if (index < 0 || index >= found().count) detail::fail_missing(Device(kCUDA, index));
  TARN_CUDA_CHECK(cudaSetDevice(index));
  selected_device = index;
}

int selected() {
  if (selected_device < 0) [[unlikely]]
    select(0);
  return selected_device;
}

SelectGuard::SelectGuard(int index) : before_(selected_device) { select(index); }

SelectGuard::~SelectGuard() {
  if (before_ < 0 || before_ == selected_device) return;
  // Only a process at its end can fail here, and then nothing runs on the device any more.
  if (cudaSetDevice(before_) == cudaSuccess) selected_device = before_;
}

cudaStream_t stream_of(int index) {
  if (any_chosen) [[unlikely]] {
    // A capture has chosen its own.
    const cudaStream_t stream = current_stream(index);
    check_captured(stream, index);
    return stream;
  }
  return state(index).stream;
}

cudaStream_t stream() { return stream_of(selected()); }

int multiprocessors() { return state(selected()).multiprocessors; }

int device_or_current(int64_t index) {
  const int64_t device = index < 0 ? thread_device : index;
  if (device >= found().count) detail::fail_missing(Device(kCUDA, device));
  return static_cast<int>(device);
}

// --- device/cuda.h -------------------------------------------------------------------------------

int64_t device_count() noexcept { return found().count; }

int64_t current_device() { return device_or_current(-1); }

void set_device(int64_t index) {
  if (index < 0) throw DeviceError(str("[set_device] invalid device number ", index));
  thread_device = device_or_current(index);
}

void synchronize(int64_t device) {
  const SelectGuard guard(device_or_current(device));
  check_not_capturing("synchronize");
  TARN_CUDA_CHECK(cudaDeviceSynchronize());
  throw_fault(selected());
}

Stream::Stream(int64_t device, int priority) : device_(device_or_current(device)) {
  const int index = static_cast<int>(device_);
  DeviceState& own = state(index);
  const SelectGuard guard(index);
  const std::lock_guard lock(own.mutex);
  handle_ = (priority < 0 ? own.urgent : own.usual).next();
}

void Stream::synchronize() const {
  check_not_capturing("synchronize");
  TARN_CUDA_CHECK(cudaStreamSynchronize(handle_));
  throw_fault(static_cast<int>(device_));
}

bool Stream::query() const {
  check_not_capturing("query");
  return is_done(cudaStreamQuery(handle_), "cudaStreamQuery");
}

OwnStream::OwnStream(int device) : stream_(current_stream(device)) {
  DeviceState& own = state(device);
  const SelectGuard guard(device);
  const std::lock_guard lock(own.mutex);
  if (own.idle.empty()) {
    stream_.handle_ = new_stream();
  } else {
    stream_.handle_ = own.idle.back();
    own.idle.pop_back();
  }
}

OwnStream::~OwnStream() {
  DeviceState& own = state(static_cast<int>(stream_.device_));
  const std::lock_guard lock(own.mutex);
  own.idle.push_back(stream_.handle_);
}

void Stream::wait_stream(const Stream& other) const {
  make_wait(handle_, static_cast<int>(other.device_), other.handle_);
}

Stream default_stream(int64_t device) {
  const int index = device_or_current(device);
  return Stream(index, state(index).stream);
}

Stream current_stream(int64_t device) {
  const int index = device_or_current(device);
  const cudaStream_t own = chosen[static_cast<size_t>(index)];
  return own ? Stream(index, own) : default_stream(index);
}

void set_stream(const Stream& stream) {
  chosen[static_cast<size_t>(stream.device_index())] = stream;
  any_chosen = true;
}

void make_wait(cudaStream_t waiting, int device, cudaStream_t awaited) {
  if (waiting == awaited) return;
  const SelectGuard guard(device);
  const cudaEvent_t event = record_event(awaited);
  const cudaError_t error = cudaStreamWaitEvent(waiting, event, 0);
  // The event's resources go once the wait is over.
  static_cast<void>(cudaEventDestroy(event));
  if (error != cudaSuccess) fail(error, "cudaStreamWaitEvent");
}

cudaEvent_t record_event(cudaStream_t stream) {
  cudaEvent_t event;
  TARN_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  const cudaError_t error = cudaEventRecord(event, stream);
  if (error == cudaSuccess) return event;
  static_cast<void>(cudaEventDestroy(event));
  fail(error, "cudaEventRecord");
}

}  // namespace cuda

void detail::fail_missing(Device device) {
  const cuda::Found& machine = cuda::found();
  std::string reason;
  if (machine.count > 0) {
    reason = str("this machine has ", machine.count, " CUDA device(s), counted from cuda:0");
  } else {
    reason =
        str("no CUDA device can be used here: ",
            cudaGetErrorString(machine.error == cudaSuccess ? cudaErrorNoDevice : machine.error));
  }
  throw DeviceError(str("[cuda] ", device, " was asked for, but ", reason));
}

}  // namespace tarn
