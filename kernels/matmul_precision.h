// How exactly float32 matrix products are computed, where a device offers a choice.
#pragma once

#include <string>

namespace tarn {

// PyTorch's torch.set_float32_matmul_precision, with its default, "highest":
//   "highest"         float32 throughout
//   "high", "medium"  CUDA may round the factors to TensorFloat-32 (8 bits of exponent, 10 of
//                     fraction) and is several times as fast; sums stay float32
// Holds for the whole process, from the next product on. Throws ValueError for another word.
void set_float32_matmul_precision(const std::string& precision);
std::string float32_matmul_precision();

// For kernels: whether factors may be rounded to TensorFloat-32.
bool tf32_matmul_allowed();

}  // namespace tarn
