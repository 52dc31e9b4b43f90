#pragma once
// The arithmetic of cuBLASLt's matrix product.
#include <cstddef>

namespace cuda_emulator {

/// c = a b for packed column-major matrices: a is m x k, b is k x n, c is m x n.
void multiply(const double* a, const double* b, double* c, std::size_t m, std::size_t n,
              std::size_t k);

}  // namespace cuda_emulator
