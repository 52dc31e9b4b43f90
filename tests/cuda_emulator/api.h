#pragma once
// What every function of the emulated libraries does around its own work: take the lock, count the
// call for TARN_EMULATED_FAIL, keep the last error.
#include <cuda_runtime_api.h>

#include <mutex>

namespace cuda_emulator {

/// One lock for all: CUDA's functions may be called from any host thread.
std::recursive_mutex& big_lock();

/// The calling host thread's device, and the error cudaGetLastError() will give it.
int& current_device();
cudaError_t& last_error();

/// The error of this call if it is the one TARN_EMULATED_FAIL asks to fail: out of memory for an
/// allocation, unknown for all others. cudaSuccess otherwise.
cudaError_t failure_on_request(const char* function);

/// Says on standard error what is wrong with the call that runs.
__attribute__((format(printf, 1, 2))) void complain(const char* format, ...);
/// The same, and gives back `error`.
__attribute__((format(printf, 2, 3))) cudaError_t refuse(cudaError_t error, const char* format,
                                                         ...);

/// Whether there is a device, and the caller may call: a stream's host functions may not, and a
/// kernel that does ends the process.
cudaError_t check_call(const char* function);
/// True while a host function of a stream runs on this thread.
bool& in_host_function();

template <class Body>
cudaError_t api(const char* function, Body body) {
  std::lock_guard lock(big_lock());
  cudaError_t error = check_call(function);
  if (error == cudaSuccess) error = failure_on_request(function);
  if (error == cudaSuccess) error = body();
  if (error != cudaSuccess && error != cudaErrorNotReady) last_error() = error;
  return error;
}

}  // namespace cuda_emulator
