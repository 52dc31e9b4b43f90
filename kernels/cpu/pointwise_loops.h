// The one loop of all pointwise kernels, compiled for one compute type by each pointwise_*.cpp.
#pragma once

#include <utility>

#include "tarn/kernels/cpu/isa.h"
#include "tarn/kernels/pointwise_ops.h"

namespace tarn::cpu {

// out[i] = op(in[0][i], in[1][i], ...). out may be one of the inputs, but not overlap them
// otherwise.
using PointwiseLoop = void (*)(const void* params, void* out, const void* const* in, int64_t n);

// The loops of every op for compute type V, by number; null where the op has none for V.
template <class V>
const PointwiseLoop* pointwise_loops(CpuIsa isa);

namespace detail {

template <class Op, class V>
struct PointwiseBody {
  template <size_t... I>
  TARN_HD static void loop(const Op op, V* out, const void* const* in, int64_t n,
                           std::index_sequence<I...>) {
    const V* const p[] = {static_cast<const V*>(in[I])...};
    // Each element depends on its own inputs only, also when out is one of them.
#if !defined(__clang__)
#pragma GCC ivdep
#endif
    for (int64_t i = 0; i < n; ++i) out[i] = op.forward(p[I][i]...);
  }
  TARN_HD static void run(const void* params, void* out, const void* const* in, int64_t n) {
    loop(*static_cast<const Op*>(params), static_cast<V*>(out), in, n,
         std::make_index_sequence<Op::kArity>{});
  }
};

template <class V, class Op>
constexpr PointwiseLoop loop_for(CpuIsa isa) {
  if constexpr (!op::kComputesIn<V, Op>) {
    return nullptr;
  } else {
    using Body = PointwiseBody<Op, V>;
    // Wider vectors pay for float; the other types mostly call the C library or move memory.
    if constexpr (std::is_same_v<V, float>) {
      if (isa == CpuIsa::Avx512)
        return &run_avx512<Body, const void*, void*, const void* const*, int64_t>;
    }
    if (isa != CpuIsa::Baseline)
      return &run_avx2<Body, const void*, void*, const void* const*, int64_t>;
    return &run_baseline<Body, const void*, void*, const void* const*, int64_t>;
  }
}

template <class V, CpuIsa Isa, class... Ops>
const PointwiseLoop* loops_of(List<Ops...>) {
  static constexpr PointwiseLoop kLoops[] = {loop_for<V, Ops>(Isa)...};
  return kLoops;
}

template <class V>
const PointwiseLoop* select_loops(CpuIsa isa) {
  switch (isa) {
    case CpuIsa::Avx512:
      return loops_of<V, CpuIsa::Avx512>(op::PointwiseKernels{});
    case CpuIsa::Avx2:
      return loops_of<V, CpuIsa::Avx2>(op::PointwiseKernels{});
    default:
      return loops_of<V, CpuIsa::Baseline>(op::PointwiseKernels{});
  }
}

}  // namespace detail
}  // namespace tarn::cpu
