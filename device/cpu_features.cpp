#include "tarn/device/cpu_features.h"

#include <atomic>
#include <cstdlib>
#include <ostream>
#include <string_view>

#include "tarn/device/check.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

namespace tarn {

namespace {

CpuIsa detect() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  // __builtin_cpu_supports also asks whether the operating system saves the wide registers.
  __builtin_cpu_init();
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool f16c = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & (1u << 29)) != 0;
  if (!f16c || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("bmi2")) {
    return CpuIsa::Baseline;
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    return CpuIsa::Avx512;
  }
  return CpuIsa::Avx2;
#else
  return CpuIsa::Baseline;
#endif
}

CpuIsa initial_isa() {
  const CpuIsa best = detected_cpu_isa();
  const char* variable = std::getenv("TARN_CPU_ISA");
  if (!variable) return best;
  const std::string_view wanted = variable;
  CpuIsa isa = best;
  if (wanted == "baseline") {
    isa = CpuIsa::Baseline;
  } else if (wanted == "avx2") {
    isa = CpuIsa::Avx2;
  } else if (wanted == "avx512") {
    isa = CpuIsa::Avx512;
  } else {
    warn(str("[cpu_isa] TARN_CPU_ISA='", wanted, "' is not baseline, avx2 or avx512; ignored"));
  }
  return isa < best ? isa : best;
}

constexpr int kUndecided = -1;
std::atomic<int> current{kUndecided};

}  // namespace

CpuIsa detected_cpu_isa() noexcept {
  static const CpuIsa isa = detect();
  return isa;
}

CpuIsa cpu_isa() {
  int isa = current.load(std::memory_order_relaxed);
  if (isa == kUndecided) [[unlikely]] {
    const int initial = static_cast<int>(initial_isa());
    isa = current.compare_exchange_strong(isa, initial) ? initial : isa;
  }
  return static_cast<CpuIsa>(isa);
}

void set_cpu_isa(CpuIsa isa) {
  if (isa < CpuIsa::Baseline || isa > detected_cpu_isa()) {
    throw ValueError(str("[set_cpu_isa] ", isa, " asked for, this CPU has ", detected_cpu_isa()));
  }
  current.store(static_cast<int>(isa), std::memory_order_relaxed);
}

std::ostream& operator<<(std::ostream& stream, CpuIsa isa) {
  return stream << (isa == CpuIsa::Baseline ? "baseline" : isa == CpuIsa::Avx2 ? "avx2" : "avx512");
}

}  // namespace tarn
