#include "tarn/kernels/kernel_table.h"

#include "tarn/device/check.h"
#include "tarn/kernels/cpu/kernels.h"
#if TARN_CUDA
#include "tarn/device/cuda/runtime.h"
#include "tarn/kernels/cuda/kernels.h"
#endif

namespace tarn {

const KernelTable& kernels(Device device) {
  if (device.is_cpu()) return cpu::table();
#if TARN_CUDA
  cuda::select(device.has_index() ? device.index() : 0);
  return cuda::table();
#else
  throw DeviceError(
      str("[kernels] ", device, " was asked for, but this build of Tarn has no CUDA"));
#endif
}

void missing_kernel(const char* op, const KernelTable& table) {
  throw NotImplementedError(str("[", op, "] no ", table.device_name, " kernel"));
}

}  // namespace tarn
