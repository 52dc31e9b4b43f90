#include "tarn/kernels/cuda/kernels.h"

namespace tarn::cuda {

const KernelTable& table() {
  static constexpr KernelTable kTable = {
      .device_name = "CUDA",
  };
  return kTable;
}

}  // namespace tarn::cuda
