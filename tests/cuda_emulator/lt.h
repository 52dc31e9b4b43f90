#pragma once
// What stands behind cuBLASLt's opaque structures.
#include <cublasLt.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace cuda_emulator::lt {

struct Descriptor {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  cublasLtPointerMode_t pointers = CUBLASLT_POINTER_MODE_HOST;
  cublasOperation_t trans_a = CUBLAS_OP_N;
  cublasOperation_t trans_b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  void* bias = nullptr;
  std::int64_t bias_stride = 0;
  std::int32_t bias_type = -1;
  std::int32_t aux_type = -1;
  void* aux = nullptr;
  std::int64_t aux_ld = 0;
  std::int64_t aux_stride = 0;
};

struct Layout {
  std::uint32_t type;
  std::int32_t batches = 1;
  std::uint64_t rows, columns;
  std::int64_t ld;
  std::int64_t stride = 0;
};

struct Preference {
  std::uint64_t workspace = 0;
  std::uint32_t alignment[4] = {256, 256, 256, 256};  // of A, B, C and D
};

/// An algorithm fits the problem that it was found for.
struct Algorithm {
  std::uint64_t problem;
  std::uint64_t workspace;
  std::uint32_t alignment[4];
};

/// The emulator's structure kept in one of NVIDIA's.
template <class T, class Opaque>
T get(const Opaque* opaque) {
  static_assert(sizeof(T) <= sizeof(Opaque) && std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(static_cast<void*>(&value), opaque, sizeof value);
  return value;
}
template <class T, class Opaque>
void put(Opaque* opaque, const T& value) {
  static_assert(sizeof(T) <= sizeof(Opaque) && std::is_trivially_copyable_v<T>);
  std::memcpy(opaque, &value, sizeof value);
}

}  // namespace cuda_emulator::lt
