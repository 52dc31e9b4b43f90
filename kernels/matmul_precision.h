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

// Whether factors may be rounded to TensorFloat-32.
bool tf32_matmul_allowed();

// libtorch's names: globalContext().setAllowTF32CuBLAS(true) is "high", false is "highest".
struct Context {
  void setFloat32MatmulPrecision(const std::string& precision) {
    set_float32_matmul_precision(precision);
  }
  void setAllowTF32CuBLAS(bool allow) { set_float32_matmul_precision(allow ? "high" : "highest"); }
  bool allowTF32CuBLAS() const { return tf32_matmul_allowed(); }
};
inline Context& globalContext() {
  static Context context;
  return context;
}

}  // namespace tarn
