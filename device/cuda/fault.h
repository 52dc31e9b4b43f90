// How kernels complain about their data: where one finds an index out of range, nothing can be
// thrown. The first complaint on a device is kept; the next call that waits for the device throws
// it.
#pragma once

#include <cstdint>

namespace tarn::cuda {

struct FaultRecord {
  unsigned count;  // complaints since the last throw; `kind` and `values` are the first one's
  int kind;
  int64_t values[3];
};
// A kernel's parameter: to complain it calls complain() (kernels/cuda/launch.h).
struct Fault {
  FaultRecord* record;  // pinned host memory
  int kind;
};

// For kernels on the selected device: complaints end in a call of `raise`, which throws what the
// values say.
Fault fault(void (*raise)(const int64_t (&values)[3]));
// Throws what a kernel on cuda:`device` complained of, if one has, and forgets it. To be called
// once the host has waited.
void throw_fault(int device);

}  // namespace tarn::cuda
