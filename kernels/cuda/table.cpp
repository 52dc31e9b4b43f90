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
      .matmul = matmul,
      .softmax = softmax,
      .softmax_backward = softmax_backward,
      .nll_loss = nll_loss,
      .nll_loss_backward = nll_loss_backward,
      .cross_entropy = cross_entropy,
      .cross_entropy_backward = cross_entropy_backward,
      .layer_norm = layer_norm,
      .layer_norm_backward = layer_norm_backward,
      .gather = gather,
      .scatter = scatter,
      .count_nonzero = count_nonzero,
      .nonzero = nonzero,
      .sort = sort,
      .scan = scan,
      .random = random,
      .sgd_step = sgd_step,
      .adam_step = adam_step,
  };
  return kTable;
}

}  // namespace tarn::cuda
