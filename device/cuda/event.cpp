// Events: points in the work of streams.
#include <utility>

#include "tarn/device/capture.h"
#include "tarn/device/cuda.h"
#include "tarn/device/cuda/fault.h"
#include "tarn/device/cuda/runtime.h"

namespace tarn::cuda {

Event::~Event() {
  // Only a process at its end can fail here.
  if (handle_) static_cast<void>(cudaEventDestroy(handle_));
}

Event::Event(Event&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)),
      device_(std::exchange(other.device_, -1)),
      timed_(other.timed_) {}

Event& Event::operator=(Event&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(device_, other.device_);
  std::swap(timed_, other.timed_);
  return *this;
}

void Event::record(const Stream& stream) {
  const int device = stream.device_index();
  TARN_CHECK(device_ < 0 || device_ == device, "[record] the event is of cuda:", device_,
             ", the stream of cuda:", device, ". HINT: each device needs an event of its own");
  const SelectGuard guard(device);
  if (!handle_) {
    const unsigned flags = timed_ ? cudaEventDefault : cudaEventDisableTiming;
    TARN_CUDA_CHECK(cudaEventCreateWithFlags(&handle_, flags));
    device_ = device;
  }
  TARN_CUDA_CHECK(cudaEventRecord(handle_, stream));
}

void Event::wait(const Stream& stream) const {
  if (!handle_) return;
  TARN_CUDA_CHECK(cudaStreamWaitEvent(stream, handle_, 0));
}

void Event::synchronize() const {
  if (!handle_) return;
  check_not_capturing("synchronize");
  TARN_CUDA_CHECK(cudaEventSynchronize(handle_));
  throw_fault(static_cast<int>(device_));
}

bool Event::query() const {
  if (!handle_) return true;
  check_not_capturing("query");
  return is_done(cudaEventQuery(handle_), "cudaEventQuery");
}

float Event::elapsed_time(const Event& end) const {
  TARN_CHECK(timed_ && end.timed_,
             "[elapsed_time] an event does not measure time. HINT: Event(/*enable_timing=*/true)");
  TARN_CHECK(handle_ && end.handle_, "[elapsed_time] an event was not recorded yet");
  TARN_CHECK(device_ == end.device_, "[elapsed_time] the events are of two devices, cuda:", device_,
             " and cuda:", end.device_);
  TARN_CHECK(query() && end.query(),
             "[elapsed_time] an event has not been reached yet. HINT: synchronize() the later one");
  float milliseconds;
  TARN_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, handle_, end.handle_));
  return milliseconds;
}

}  // namespace tarn::cuda
