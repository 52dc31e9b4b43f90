#include "tarn/kernels/kernel_table.h"

#include "tarn/device/memory.h"
#include "tarn/kernels/cpu/kernels.h"
#if TARN_CUDA
#include "tarn/device/cuda/runtime.h"
#include "tarn/kernels/cuda/kernels.h"
#endif

namespace tarn {

const KernelTable& kernels(Device device) {
  if (device.is_cpu()) return cpu::table();
#if TARN_CUDA
  cuda::select(device.ordinal());
  return cuda::table();
#else
  detail::fail_missing(device);
#endif
}

void missing_kernel(const char* op, const KernelTable& table) {
  throw NotImplementedError(str("[", op, "] no ", table.device_name, " kernel"));
}

void fail_index(int64_t index, int64_t dim, int64_t size) {
  throw IndexError(
      str("index ", index, " is out of bounds for dimension ", dim, " with size ", size));
}

void fail_target(int64_t target, int64_t classes, int64_t sample) {
  throw IndexError(str("[nll_loss] Target ", target, " is out of bounds. There are ", classes,
                       " classes, 0 to ", classes - 1, "; sample ", sample, "."));
}

}  // namespace tarn
