#include "tarn/kernels/cuda/cublas.h"

#include <string>

#include "tarn/device/check.h"
#include "tarn/device/cuda/library.h"
#include "tarn/device/cuda/made_once.h"
#include "tarn/device/cuda/runtime.h"

namespace tarn::cuda {
namespace {

CublasLt open() {
  CublasLt functions;
#if defined(TARN_CUDA_EMULATE)
#define TARN_SET(name) functions.name = &::name;
#else
  void* library = open_library(str("libcublasLt.so.", CUBLAS_VER_MAJOR).c_str());
#define TARN_SET(name) \
  functions.name = reinterpret_cast<decltype(&::name)>(find_function(library, #name));
#endif
  TARN_CUBLAS_LT_FUNCTIONS(TARN_SET)
#undef TARN_SET
  return functions;
}

}  // namespace

const CublasLt& cublas_lt() {
  static const CublasLt functions = open();
  return functions;
}

cublasLtHandle_t cublas_lt_handle() {
  static constinit MadeOnce<std::remove_pointer_t<cublasLtHandle_t>> handles;
  return &handles.get(selected(), [] {
    cublasLtHandle_t handle;
    TARN_CUBLAS_CHECK(cublas_lt().cublasLtCreate(&handle));
    return handle;
  });
}

void fail(cublasStatus_t status, const char* call) {
  throw DeviceError(str("[cuda] ", call, ": ", cublas_lt().cublasLtGetStatusString(status)));
}

}  // namespace tarn::cuda
