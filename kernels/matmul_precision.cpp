#include "tarn/kernels/matmul_precision.h"

#include <atomic>

#include "tarn/device/check.h"

namespace tarn {
namespace {

constexpr const char* kPrecisions[] = {"highest", "high", "medium"};
std::atomic<int> current{0};  // index into kPrecisions

}  // namespace

void set_float32_matmul_precision(const std::string& precision) {
  for (int i = 0; i < 3; ++i) {
    if (precision == kPrecisions[i]) return current.store(i, std::memory_order_relaxed);
  }
  throw ValueError(str("[set_float32_matmul_precision] \"", precision,
                       "\" is not a precision. HINT: \"highest\", \"high\" or \"medium\""));
}

std::string float32_matmul_precision() {
  return kPrecisions[current.load(std::memory_order_relaxed)];
}

bool tf32_matmul_allowed() { return current.load(std::memory_order_relaxed) != 0; }

}  // namespace tarn
