#include "tarn/device/cpu_features.h"

#include <string>

#include "tarn/device/check.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/run_self.h"

using namespace tarn;

TEST_CASE("the instruction set in use is never above the detected one") {
  CHECK(cpu_isa() <= detected_cpu_isa());
#if !defined(__x86_64__)
  CHECK(detected_cpu_isa() == CpuIsa::Baseline);
#endif
}

TEST_CASE("set_cpu_isa lowers and restores, and refuses what the CPU lacks") {
  const CpuIsa before = cpu_isa();
  set_cpu_isa(CpuIsa::Baseline);
  CHECK(cpu_isa() == CpuIsa::Baseline);
  set_cpu_isa(detected_cpu_isa());
  CHECK(cpu_isa() == detected_cpu_isa());
  const auto above = static_cast<CpuIsa>(static_cast<int>(detected_cpu_isa()) + 1);
  CHECK_THROWS_WITH_TEXT(set_cpu_isa(above), "[set_cpu_isa]");
  CHECK(cpu_isa() == detected_cpu_isa());
  set_cpu_isa(before);
}

TEST_CASE("instruction sets print their names") {
  CHECK(str(CpuIsa::Baseline, " ", CpuIsa::Avx2, " ", CpuIsa::Avx512) == "baseline avx2 avx512");
}

TEST_CASE("child: print the instruction set", "[.][child-isa]") {
  WARN("isa=" << cpu_isa() << " detected=" << detected_cpu_isa());
}

TEST_CASE("TARN_CPU_ISA lowers the instruction set and a wrong value is ignored with a warning") {
  const std::string detected = str(detected_cpu_isa());
  const auto isa_with = [](const char* environment) {
    return testing::run_self("[child-isa]", environment).output;
  };
  CHECK(isa_with("TARN_CPU_ISA=baseline").find("isa=baseline detected=" + detected) !=
        std::string::npos);
  const std::string avx2 = detected_cpu_isa() >= CpuIsa::Avx2 ? "avx2" : detected;
  CHECK(isa_with("TARN_CPU_ISA=avx2").find("isa=" + avx2 + " ") != std::string::npos);
  CHECK(isa_with("TARN_CPU_ISA=avx512").find("isa=" + detected + " ") != std::string::npos);
  const std::string wrong = isa_with("TARN_CPU_ISA=sse9");
  CHECK(wrong.find("isa=" + detected + " ") != std::string::npos);
  CHECK(wrong.find("TARN_CPU_ISA='sse9'") != std::string::npos);
}
