#pragma once
// A call of cublasLtMatmul, checked as the real one checks it.
#include <cstdint>
#include <vector>

#include "tarn/tests/cuda_emulator/lt.h"

namespace cuda_emulator::lt {

/// A checked call of cublasLtMatmul: D (m x n) = epilogue(alpha op(A) op(B) + beta C), `batches`
/// times.
struct Problem {
  Descriptor op;
  Layout a, b, c, d;
  std::uint64_t m, n, k;

  bool has(unsigned epilogue_bits) const {
    return (static_cast<unsigned>(op.epilogue) & epilogue_bits) == epilogue_bits;
  }
  cudaDataType_t bias_type() const {
    return static_cast<cudaDataType_t>(op.bias_type < 0 ? static_cast<std::int32_t>(d.type)
                                                        : op.bias_type);
  }
  cudaDataType_t aux_type() const {
    return static_cast<cudaDataType_t>(op.aux_type < 0 ? static_cast<std::int32_t>(d.type)
                                                       : op.aux_type);
  }
  bool adds_bias() const { return has(CUBLASLT_EPILOGUE_BIAS); }
  bool relu() const { return has(CUBLASLT_EPILOGUE_RELU); }
  bool gelu() const { return has(CUBLASLT_EPILOGUE_GELU); }
  bool relu_backward() const { return has(CUBLASLT_EPILOGUE_DRELU); }
  bool gelu_backward() const { return has(CUBLASLT_EPILOGUE_DGELU); }
  bool uses_aux() const { return has(128); }
  bool relu_mask() const { return uses_aux() && (relu() || relu_backward()); }
  /// The sum over D's columns, op(A)'s columns or op(B)'s rows is written where a bias would be.
  bool sums_d() const { return has(16); }
  bool sums_a() const { return has(CUBLASLT_EPILOGUE_BGRADA); }
  bool sums_b() const { return has(CUBLASLT_EPILOGUE_BGRADB); }
  bool uses_bias() const { return adds_bias() || sums_d() || sums_a() || sums_b(); }
};

/// Reads the descriptors. Says what is wrong with them unless it is CUBLAS_STATUS_NOT_SUPPORTED,
/// which callers ask for.
cublasStatus_t make_problem(Problem& p, cublasLtMatmulDesc_t op, cublasLtMatrixLayout_t a,
                            cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                            cublasLtMatrixLayout_t d);

/// The algorithm for the problem, and whether an algorithm is one for it.
Algorithm choose(const Problem& p, const Preference& preference);
bool fits(const Algorithm& algorithm, const Problem& p);

/// One operand in memory: as many bytes as the call may touch.
struct Operand {
  const char* name;
  const void* memory;
  std::uint64_t bytes;
  std::uint64_t alignment;
};

/// D, and all others that the call touches.
std::vector<Operand> list_operands(const Problem& p, const Algorithm& algorithm, const void* a,
                                   const void* b, const void* c, void* d, bool reads_c,
                                   void* workspace);
cublasStatus_t check_operand(const Operand& o, int device);
bool overlap(const Operand& x, const Operand& y);

}  // namespace cuda_emulator::lt
