// device/cuda.h and device/memory.h where Tarn is built without CUDA.
#if !TARN_CUDA
#include "tarn/device/cuda.h"

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
Stream::Stream(int64_t device) { fail(device); }
void Stream::synchronize() const { fail(device_); }
bool Stream::query() const { fail(device_); }
void Stream::wait_stream(const Stream&) const { fail(device_); }
Stream current_stream(int64_t device) { fail(device); }
StreamGuard::StreamGuard(const Stream& stream) : stream_(stream), outer_(nullptr) {
  fail(stream_.device().index());
}
StreamGuard::~StreamGuard() = default;
void record_stream(void*, const Stream& stream) { fail(stream.device().index()); }

}  // namespace cuda
}  // namespace tarn
#endif
