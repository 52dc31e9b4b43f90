// cuBLASLt's functions, from a library opened at first use.
#pragma once

#include <cublasLt.h>

namespace tarn::cuda {

// The members have the names of the functions they point to.
#define TARN_CUBLAS_LT_FUNCTIONS(F)       \
  F(cublasLtCreate)                       \
  F(cublasLtGetStatusString)              \
  F(cublasLtMatmul)                       \
  F(cublasLtMatmulAlgoGetHeuristic)       \
  F(cublasLtMatmulDescCreate)             \
  F(cublasLtMatmulDescDestroy)            \
  F(cublasLtMatmulDescSetAttribute)       \
  F(cublasLtMatmulPreferenceCreate)       \
  F(cublasLtMatmulPreferenceDestroy)      \
  F(cublasLtMatmulPreferenceSetAttribute) \
  F(cublasLtMatrixLayoutCreate)           \
  F(cublasLtMatrixLayoutDestroy)          \
  F(cublasLtMatrixLayoutSetAttribute)

struct CublasLt {
#define TARN_DECLARE(name) decltype(&::name) name;
  TARN_CUBLAS_LT_FUNCTIONS(TARN_DECLARE)
#undef TARN_DECLARE
};
// Throws DeviceError where there is no cuBLASLt.
const CublasLt& cublas_lt();
// The selected device's handle.
cublasLtHandle_t cublas_lt_handle();

// Throws DeviceError "[cuda] <call>: <error's text>".
[[noreturn]] void fail(cublasStatus_t status, const char* call);

#define TARN_CUBLAS_CHECK(call)                                                \
  do {                                                                         \
    if (const cublasStatus_t status = (call); status != CUBLAS_STATUS_SUCCESS) \
      ::tarn::cuda::fail(status, #call);                                       \
  } while (false)

}  // namespace tarn::cuda
