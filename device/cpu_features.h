#pragma once
// Which of the CPU kernels' instruction sets this machine runs, found once at run time.

#include <cstdint>
#include <iosfwd>

namespace tarn {

// In rising order. Baseline is what the library was compiled for (x86-64-v2, aarch64, ...).
enum class CpuIsa : int8_t {
  Baseline,
  Avx2,    // AVX2, FMA, F16C, BMI2
  Avx512,  // Avx2 and AVX-512 F, BW, VL, DQ
};

// The instruction set kernels use: the best the CPU and the operating system offer, lowered by the
// environment variable TARN_CPU_ISA (baseline, avx2, avx512) and by set_cpu_isa. A variable with
// another value is ignored with a warning.
CpuIsa cpu_isa();

// Lowers or restores the instruction set, for tests. Throws ValueError for more than the CPU has.
void set_cpu_isa(CpuIsa isa);

// The best instruction set of this CPU, whatever the environment says.
CpuIsa detected_cpu_isa() noexcept;

// Prints "baseline", "avx2" or "avx512".
std::ostream& operator<<(std::ostream& stream, CpuIsa isa);

}  // namespace tarn
