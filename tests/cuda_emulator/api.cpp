#include "tarn/tests/cuda_emulator/api.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "tarn/tests/cuda_emulator/executor.h"
#include "tarn/tests/cuda_emulator/settings.h"

namespace cuda_emulator {
namespace {

thread_local const char* current_function = "";

void print_complaint(const char* format, va_list arguments) {
  std::fflush(stdout);
  std::fprintf(stderr, "cuda emulator: %s: ", current_function);
  std::vfprintf(stderr, format, arguments);
}

}  // namespace

std::recursive_mutex& big_lock() {
  static auto* lock = new std::recursive_mutex;  // outlives whatever is destroyed at exit
  return *lock;
}

int& current_device() {
  thread_local int device = 0;
  return device;
}

cudaError_t& last_error() {
  thread_local cudaError_t error = cudaSuccess;
  return error;
}

cudaError_t failure_on_request(const char* function) {
  Settings& s = settings();
  const bool meant = std::strcmp(s.fail_api, "any") == 0 || std::strcmp(s.fail_api, function) == 0;
  if (s.fail_call == 0 || !meant) return cudaSuccess;
  if (--s.fail_call > 0) return cudaSuccess;
  bool allocates = std::strstr(function, "Malloc") || std::strstr(function, "Alloc");
  return allocates ? cudaErrorMemoryAllocation : cudaErrorUnknown;
}

void complain(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  print_complaint(format, arguments);
  va_end(arguments);
  std::fprintf(stderr, "\n");
}

cudaError_t refuse(cudaError_t error, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  print_complaint(format, arguments);
  va_end(arguments);
  std::fprintf(stderr, " (%s)\n", cudaGetErrorName(error));
  return error;
}

bool& in_host_function() {
  thread_local bool inside = false;
  return inside;
}

cudaError_t check_call(const char* function) {
  if (in_kernel()) fail("a kernel calls %s", function);
  current_function = function;
  if (in_host_function())
    return refuse(cudaErrorNotPermitted, "a host function of a stream may not call CUDA");
  return settings().devices > 0 ? cudaSuccess : cudaErrorNoDevice;
}

}  // namespace cuda_emulator
