// One source loop, compiled for each instruction set, chosen at run time.
//
// A body is a struct with a static always-inlined `run`. Function attributes are used instead of
// per-file compiler flags: with flags, the linker could pick an inline function that was compiled
// for AVX-512 and call it on a machine without.
#pragma once

#include "tarn/device/cpu_features.h"
#include "tarn/kernels/host_device.h"

namespace tarn::cpu {

#if defined(__x86_64__)
#if defined(__clang__)
#define TARN_TARGET_AVX512 \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,bmi2")))
#else
#define TARN_TARGET_AVX512 \
  __attribute__((          \
      target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,bmi2,prefer-vector-width=512")))
#endif
#define TARN_TARGET_AVX2 __attribute__((target("avx2,fma,f16c,bmi2")))
#else
#define TARN_TARGET_AVX512
#define TARN_TARGET_AVX2
#endif

template <class Body, class... Args>
TARN_TARGET_AVX512 void run_avx512(Args... args) {
  Body::run(args...);
}
template <class Body, class... Args>
TARN_TARGET_AVX2 void run_avx2(Args... args) {
  Body::run(args...);
}
template <class Body, class... Args>
void run_baseline(Args... args) {
  Body::run(args...);
}

// The version of Body::run for the instruction set in use.
template <class Body, class... Args>
auto select_isa() -> void (*)(Args...) {
  switch (cpu_isa()) {
    case CpuIsa::Avx512:
      return &run_avx512<Body, Args...>;
    case CpuIsa::Avx2:
      return &run_avx2<Body, Args...>;
    default:
      return &run_baseline<Body, Args...>;
  }
}

}  // namespace tarn::cpu
