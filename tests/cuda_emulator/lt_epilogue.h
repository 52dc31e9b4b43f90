#pragma once
// What cuBLASLt does with a product before it is stored.
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

std::size_t element_bytes(std::uint32_t type);
double load(const void* memory, std::uint64_t index, std::uint32_t type);
void store(void* memory, std::uint64_t index, std::uint32_t type, double value);

/// Finishes batch number `batch`: `product` is alpha op(A) op(B) + beta C, packed column by column;
/// `a` and `b` are op(A) and op(B), packed alike.
void finish(const Problem& p, std::uint64_t batch, std::vector<double>& product,
            const std::vector<double>& a, const std::vector<double>& b, void* d);

}  // namespace cuda_emulator::lt
