#include "tarn/kernels/cpu/pointwise_loops.h"

namespace tarn::cpu {

template <>
const PointwiseLoop* pointwise_loops<int64_t>(CpuIsa isa) {
  return detail::select_loops<int64_t>(isa);
}

}  // namespace tarn::cpu
