#include "tarn/kernels/cpu/pointwise_loops.h"

namespace tarn::cpu {

template <>
const PointwiseLoop* pointwise_loops<float>(CpuIsa isa) {
  return detail::select_loops<float>(isa);
}

}  // namespace tarn::cpu
