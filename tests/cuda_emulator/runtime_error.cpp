// cudaGetLastError and what errors are called.
#include "tarn/tests/cuda_emulator/api.h"

namespace {

struct ErrorText {
  cudaError_t error;
  const char* name;
  const char* text;
};

#define TARN_EMULATOR_ERROR(name, text) \
  { name, #name, text }
constexpr ErrorText errors[] = {
    TARN_EMULATOR_ERROR(cudaSuccess, "no error"),
    TARN_EMULATOR_ERROR(cudaErrorInvalidValue, "invalid argument"),
    TARN_EMULATOR_ERROR(cudaErrorMemoryAllocation, "out of memory"),
    TARN_EMULATOR_ERROR(cudaErrorInvalidConfiguration, "invalid configuration argument"),
    TARN_EMULATOR_ERROR(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy"),
    TARN_EMULATOR_ERROR(cudaErrorNoDevice, "no CUDA-capable device is detected"),
    TARN_EMULATOR_ERROR(cudaErrorInvalidDevice, "invalid device ordinal"),
    TARN_EMULATOR_ERROR(cudaErrorInvalidResourceHandle, "invalid resource handle"),
    TARN_EMULATOR_ERROR(cudaErrorNotReady, "device not ready"),
    TARN_EMULATOR_ERROR(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
    TARN_EMULATOR_ERROR(cudaErrorPeerAccessAlreadyEnabled, "peer access is already enabled"),
    TARN_EMULATOR_ERROR(cudaErrorPeerAccessNotEnabled, "peer access has not been enabled"),
    TARN_EMULATOR_ERROR(cudaErrorPeerAccessUnsupported,
                        "peer access is not supported between these two devices"),
    TARN_EMULATOR_ERROR(cudaErrorHostMemoryAlreadyRegistered,
                        "part or all of the requested memory range is already mapped"),
    TARN_EMULATOR_ERROR(cudaErrorHostMemoryNotRegistered,
                        "pointer does not correspond to a registered memory region"),
    TARN_EMULATOR_ERROR(cudaErrorNotPermitted, "operation not permitted"),
    TARN_EMULATOR_ERROR(cudaErrorNotSupported, "operation not supported"),
    TARN_EMULATOR_ERROR(cudaErrorGraphExecUpdateFailure,
                        "the graph update was not performed because it included changes which "
                        "violated constraints specific to instantiated graph update"),
    TARN_EMULATOR_ERROR(cudaErrorStreamCaptureUnsupported,
                        "operation not permitted when stream is capturing"),
    TARN_EMULATOR_ERROR(cudaErrorStreamCaptureInvalidated,
                        "operation failed due to a previous error during capture"),
    TARN_EMULATOR_ERROR(cudaErrorStreamCaptureMerge,
                        "operation would result in a merge of separate capture sequences"),
    TARN_EMULATOR_ERROR(cudaErrorStreamCaptureUnmatched,
                        "capture was not ended in the same stream as it began"),
    TARN_EMULATOR_ERROR(cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work"),
    TARN_EMULATOR_ERROR(cudaErrorStreamCaptureIsolation,
                        "dependency created on uncaptured work in another stream"),
    TARN_EMULATOR_ERROR(cudaErrorStreamCaptureImplicit,
                        "operation would make the legacy stream depend on a capturing blocking "
                        "stream"),
    TARN_EMULATOR_ERROR(cudaErrorCapturedEvent,
                        "operation not permitted on an event last recorded in a capturing stream"),
    TARN_EMULATOR_ERROR(cudaErrorStreamCaptureWrongThread,
                        "attempt to terminate a thread-local capture sequence from another thread"),
    TARN_EMULATOR_ERROR(cudaErrorUnknown, "unknown error"),
};

const ErrorText* find(cudaError_t error) {
  for (const ErrorText& e : errors)
    if (e.error == error) return &e;
  return nullptr;
}

}  // namespace

extern "C" {

cudaError_t cudaGetLastError() {
  cudaError_t error = cuda_emulator::last_error();
  cuda_emulator::last_error() = cudaSuccess;
  return error;
}

cudaError_t cudaPeekAtLastError() { return cuda_emulator::last_error(); }

const char* cudaGetErrorName(cudaError_t error) {
  const ErrorText* e = find(error);
  return e ? e->name : "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  const ErrorText* e = find(error);
  return e ? e->text : "unrecognized error code";
}

}  // extern "C"
