#pragma once
// The devices a test's body runs on, each in turn.

#include <algorithm>
#include <vector>

#include "tarn/device/cuda.h"

namespace tarn::testing {

// cuda:0, cuda:1 where there are such.
inline std::vector<Device> cuda_devices() {
  std::vector<Device> all;
  for (int64_t i = 0; i < std::min<int64_t>(cuda::device_count(), 2); ++i)
    all.push_back(Device(kCUDA, i));
  return all;
}

// The CPU and these.
inline std::vector<Device> devices() {
  std::vector<Device> all = cuda_devices();
  all.insert(all.begin(), kCPU);
  return all;
}

}  // namespace tarn::testing
