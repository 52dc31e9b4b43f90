#include "tarn/kernels/cpu/pointwise_loops.h"

namespace tarn::cpu {

template <>
const PointwiseLoop* pointwise_loops<double>(CpuIsa isa) {
  return detail::select_loops<double>(isa);
}

}  // namespace tarn::cpu
