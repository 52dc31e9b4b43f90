#include "tarn/kernels/kernel_table.h"

#include "tarn/device/check.h"
#include "tarn/kernels/cpu/kernels.h"

namespace tarn {

const KernelTable& kernels(DeviceType device) {
  if (device == kCPU) return cpu::table();
  throw DeviceError("[kernels] no CUDA in this build");
}

void missing_kernel(const char* op, const KernelTable& table) {
  throw NotImplementedError(str("[", op, "] no ", table.device_name, " kernel"));
}

}  // namespace tarn
