// Built without instrumentation, for speed: it sees only the emulator's own packed copies.
#include "tarn/tests/cuda_emulator/multiply.h"

namespace cuda_emulator {

void multiply(const double* a, const double* b, double* c, std::size_t m, std::size_t n,
              std::size_t k) {
  for (std::size_t j = 0; j < n; ++j) {
    double* column = c + j * m;
    for (std::size_t i = 0; i < m; ++i) column[i] = 0;
    for (std::size_t p = 0; p < k; ++p) {
      double factor = b[j * k + p];
      const double* from = a + p * m;
      for (std::size_t i = 0; i < m; ++i) column[i] += from[i] * factor;
    }
  }
}

}  // namespace cuda_emulator
