#include "tarn/kernels/cuda/kernels.h"

namespace tarn::cuda {

const KernelTable& table() {
  static constexpr KernelTable kTable = {
      .device_name = "CUDA",
      .fill = fill,
      .copy = copy,
      .arange = arange,
      .pointwise = pointwise,
      .reduce = reduce,
  };
  return kTable;
}

}  // namespace tarn::cuda
