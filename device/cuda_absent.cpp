// device/cuda.h, device/cuda_graph.h, device/capture.h and device/memory.h where Tarn is built
// without CUDA.
#if !TARN_CUDA
#include "tarn/device/cuda.h"

#include "tarn/device/capture.h"
#include "tarn/device/cuda_graph.h"
#include "tarn/device/memory.h"

namespace tarn {
namespace {

[[noreturn]] void fail(int64_t device) {
  detail::fail_missing(Device(kCUDA, device < 0 ? 0 : device));
}

}  // namespace

void detail::fail_missing(Device device) {
  throw DeviceError(str("[cuda] ", Device(kCUDA, device.ordinal()),
                        " was asked for, but this build of Tarn has no CUDA"));
}

namespace cuda {

int64_t device_count() noexcept { return 0; }
int64_t current_device() { fail(-1); }
void set_device(int64_t index) { fail(index); }
void synchronize(int64_t device) { fail(device); }
size_t memory_allocated(int64_t device) { fail(device); }
size_t memory_reserved(int64_t device) { fail(device); }
size_t max_memory_allocated(int64_t device) { fail(device); }
size_t max_memory_reserved(int64_t device) { fail(device); }
void reset_peak_memory_stats(int64_t device) { fail(device); }
void empty_cache() { fail(-1); }
Stream::Stream(int64_t device, int) { fail(device); }
void Stream::synchronize() const { fail(device_); }
bool Stream::query() const { fail(device_); }
void Stream::wait_stream(const Stream&) const { fail(device_); }
Stream default_stream(int64_t device) { fail(device); }
Stream current_stream(int64_t device) { fail(device); }
void set_stream(const Stream& stream) { fail(stream.device_index()); }
Event::~Event() { static_cast<void>(timed_); }
Event::Event(Event&& other) noexcept = default;
Event& Event::operator=(Event&& other) noexcept = default;
void Event::record(const Stream& stream) { fail(stream.device_index()); }
void Event::wait(const Stream& stream) const { fail(stream.device_index()); }
void Event::synchronize() const {}
bool Event::query() const { return !handle_; }
float Event::elapsed_time(const Event&) const { fail(device_); }
void record_stream(void*, const Stream& stream) { fail(stream.device().index()); }

struct CUDAGraph::Recording {};
CUDAGraph::CUDAGraph(int64_t device) : device_(static_cast<int>(device)) { fail(device_); }
CUDAGraph::~CUDAGraph() = default;
void CUDAGraph::capture(const std::function<void()>&) { fail(device_); }
void CUDAGraph::replay() { fail(device_); }
bool is_current_stream_capturing() noexcept { return false; }
uint64_t capture_id() noexcept { return 0; }
void check_not_capturing(const char*, const char*) {}
void each_replay(std::function<void()>, std::function<void()>) {}
const void* graph_value(const void*, size_t) { return nullptr; }
bool is_before_replay() noexcept { return false; }

}  // namespace cuda
}  // namespace tarn
#endif
