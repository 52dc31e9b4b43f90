// cuBLASLt's descriptors: made, set, asked, destroyed. They are plain memory, on no device.
#include <cstring>

#include "tarn/tests/cuda_emulator/lt.h"

using namespace cuda_emulator::lt;

struct cublasLtContext {};

namespace {

template <class Field>
cublasStatus_t read(Field& field, const void* buffer, std::size_t bytes) {
  if (!buffer || bytes != sizeof field) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&field, buffer, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

template <class Field>
cublasStatus_t write(Field& field, void* buffer, std::size_t bytes, std::size_t* written) {
  if (written) *written = sizeof field;
  if (bytes == 0 && written) return CUBLAS_STATUS_SUCCESS;
  if (!buffer || bytes < sizeof field) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(buffer, &field, sizeof field);
  return CUBLAS_STATUS_SUCCESS;
}

// Each finds an attribute's field and hands it on.
template <class F>
cublasStatus_t visit(Descriptor& d, cublasLtMatmulDescAttributes_t attribute, F f) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE:
      return f(d.compute);
    case CUBLASLT_MATMUL_DESC_SCALE_TYPE:
      return f(d.scale);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE:
      return f(d.pointers);
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return f(d.trans_a);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return f(d.trans_b);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return f(d.epilogue);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return f(d.bias);
    case CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE:
      return f(d.bias_stride);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
      return f(d.bias_type);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
      return f(d.aux);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
      return f(d.aux_ld);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE:
      return f(d.aux_stride);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE:
      return f(d.aux_type);
    default:
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

template <class F>
cublasStatus_t visit(Layout& l, cublasLtMatrixLayoutAttribute_t attribute, F f) {
  switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE:
      return f(l.type);
    case CUBLASLT_MATRIX_LAYOUT_ROWS:
      return f(l.rows);
    case CUBLASLT_MATRIX_LAYOUT_COLS:
      return f(l.columns);
    case CUBLASLT_MATRIX_LAYOUT_LD:
      return f(l.ld);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
      return f(l.batches);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
      return f(l.stride);
    default:
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

template <class F>
cublasStatus_t visit(Preference& p, cublasLtMatmulPreferenceAttributes_t attribute, F f) {
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return f(p.workspace);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      return f(p.alignment[0]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      return f(p.alignment[1]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      return f(p.alignment[2]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return f(p.alignment[3]);
    default:
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

template <class T, class Opaque, class Attribute>
cublasStatus_t set(Opaque* opaque, Attribute attribute, const void* buffer, std::size_t bytes) {
  if (!opaque) return CUBLAS_STATUS_INVALID_VALUE;
  T value = get<T>(opaque);
  cublasStatus_t status =
      visit(value, attribute, [&](auto& field) { return read(field, buffer, bytes); });
  put(opaque, value);
  return status;
}

template <class T, class Opaque, class Attribute>
cublasStatus_t ask(const Opaque* opaque, Attribute attribute, void* buffer, std::size_t bytes,
                   std::size_t* written) {
  if (!opaque) return CUBLAS_STATUS_INVALID_VALUE;
  T value = get<T>(opaque);
  return visit(value, attribute, [&](auto& field) { return write(field, buffer, bytes, written); });
}

template <class Opaque, class T>
cublasStatus_t create(Opaque** opaque, const T& value) {
  *opaque = new Opaque{};
  put(*opaque, value);
  return CUBLAS_STATUS_SUCCESS;
}

template <class T>
cublasStatus_t destroy(T* p) {
  delete p;
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

extern "C" {

std::size_t cublasLtGetVersion() { return CUBLAS_VERSION; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = new cublasLtContext;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return destroy(handle); }

const char* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    default:
      return "CUBLAS_STATUS_UNKNOWN";
  }
}
const char* cublasLtGetStatusString(cublasStatus_t status) { return cublasLtGetStatusName(status); }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* descriptor,
                                        cublasComputeType_t compute, cudaDataType_t scale) {
  return create(descriptor, Descriptor{compute, scale});
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t descriptor) {
  return destroy(descriptor);
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t descriptor,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* buffer, std::size_t bytes) {
  return set<Descriptor>(descriptor, attribute, buffer, bytes);
}
cublasStatus_t cublasLtMatmulDescGetAttribute(cublasLtMatmulDesc_t descriptor,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              void* buffer, std::size_t bytes,
                                              std::size_t* written) {
  return ask<Descriptor>(descriptor, attribute, buffer, bytes, written);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type,
                                          std::uint64_t rows, std::uint64_t columns,
                                          std::int64_t ld) {
  return create(layout, Layout{static_cast<std::uint32_t>(type), 1, rows, columns, ld});
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  return destroy(layout);
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void* buffer, std::size_t bytes) {
  return set<Layout>(layout, attribute, buffer, bytes);
}
cublasStatus_t cublasLtMatrixLayoutGetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                void* buffer, std::size_t bytes,
                                                std::size_t* written) {
  return ask<Layout>(layout, attribute, buffer, bytes, written);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  return create(preference, Preference{});
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return destroy(preference);
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* buffer, std::size_t bytes) {
  return set<Preference>(preference, attribute, buffer, bytes);
}
cublasStatus_t cublasLtMatmulPreferenceGetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    void* buffer, std::size_t bytes,
                                                    std::size_t* written) {
  return ask<Preference>(preference, attribute, buffer, bytes, written);
}

}  // extern "C"
