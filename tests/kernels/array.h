// Strided arrays for kernel tests, on every device there is: they own their memory and hand out
// views of it.
//
//   for_each_device([] {
//     Array x(kFloat, {5, 7}, Layout::kTransposed), y(kFloat, {5, 7});
//     x.fill_with([](int64_t i) { return i; });
//     tested().copy(y.view(), x.view());   // views are made after the last change of the array
//     CHECK(y.values() == x.values());
//   });
#pragma once

#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "tarn/device/cpu_features.h"
#include "tarn/device/cuda.h"
#include "tarn/device/memory.h"
#include "tarn/device/parallel.h"
#include "tarn/kernels/kernel_table.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/sanitizers.h"

namespace tarn::testing {

// How an array's elements lie in memory.
enum class Layout {
  kContiguous,
  kTransposed,  // the first dimension runs fastest
  kSliced,      // every second element of the last dimension, after an offset
  kBroadcast,   // the first dimension has stride 0: one slice stands for all (inputs only)
};
inline constexpr Layout kWritableLayouts[] = {Layout::kContiguous, Layout::kTransposed,
                                              Layout::kSliced};
inline constexpr Layout kAllLayouts[] = {Layout::kContiguous, Layout::kTransposed, Layout::kSliced,
                                         Layout::kBroadcast};
inline constexpr ScalarType kAllTypes[] = {kByte, kChar,  kShort,  kInt,  kLong,
                                           kHalf, kFloat, kDouble, kBool, kBFloat16};
inline constexpr ScalarType kFloatTypes[] = {kHalf, kFloat, kDouble, kBFloat16};

// The device under test: where new arrays live.
inline Device test_device = kCPU;
// Calls of kernels so far: what an array held before the last one may have changed since.
inline int64_t kernel_calls = 0;
inline const KernelTable& tested() {
  ++kernel_calls;
  return kernels(test_device);
}

// Whether every dtype meets every layout: on the CPU, and not for ThreadSanitizer, since arrays of
// that many tests are too small for threads.
inline bool meets_all() { return test_device.is_cpu() && !kThreadSanitizer; }
// GPUs are slow in tests where they are emulated, and their kernels take a dtype and a layout apart
// from one another: there float meets pairs of layouts of which one is contiguous, and other dtypes
// only contiguous ones.
inline bool is_worthwhile(Layout in, Layout out, ScalarType dtype = kFloat) {
  const int strided = (in != Layout::kContiguous) + (out != Layout::kContiguous);
  return meets_all() || strided == 0 || (strided == 1 && dtype == kFloat);
}
// The one on the CPU, the other on GPUs, which need less for several blocks, chunks and tails.
inline int64_t on_cpu_or_gpu(int64_t cpu, int64_t gpu) { return test_device.is_cpu() ? cpu : gpu; }

// Numbers are written and read in CPU memory. On other devices view() sends what was written, and
// reading fetches what kernels wrote.
class Array {
 public:
  Array(ScalarType dtype, std::vector<int64_t> sizes, Layout layout = Layout::kContiguous)
      : dtype_(dtype), sizes_(std::move(sizes)), strides_(sizes_.size()) {
    int64_t next = layout == Layout::kSliced ? 2 : 1;
    for (size_t i = 0; i < sizes_.size(); ++i) {
      const size_t d = layout == Layout::kTransposed ? i : sizes_.size() - 1 - i;
      strides_[d] = next;
      next *= std::max<int64_t>(sizes_[d], 1);
    }
    if (layout == Layout::kBroadcast && !sizes_.empty()) strides_[0] = 0;
    numel_ = std::accumulate(sizes_.begin(), sizes_.end(), int64_t{1}, std::multiplies<>());
    offset_ = layout == Layout::kSliced ? 3 : 0;
    // Exactly as long as needed, so that the address sanitizer sees every access behind the end.
    bytes_.assign(static_cast<size_t>((extent() + offset_) * element_size(dtype)), kGuard);
    if (device_.is_cpu() || bytes_.empty()) return;
    mirror_ = Mirror(allocate(bytes_.size(), device_), Release{bytes_.size(), device_});
  }
  Array(ScalarType dtype, std::vector<int64_t> sizes, const std::vector<double>& values)
      : Array(dtype, std::move(sizes)) {
    for (int64_t i = 0; i < numel(); ++i) set(i, values[static_cast<size_t>(i)]);
  }

  View view() const {
    if (mirror_ && changed_) copy_bytes(mirror_.get(), device_, bytes_.data(), kCPU, bytes_.size());
    changed_ = false;
    char* const data = mirror_ ? static_cast<char*>(mirror_.get()) : bytes_.data();
    return View{data + offset_ * element_size(dtype_), sizes_.data(), strides_.data(),
                static_cast<int32_t>(sizes_.size()), dtype_};
  }
  // The elements in CPU memory, for reading until the next kernel, or for writing until the next
  // view().
  template <class T>
  const T* as() const {
    fetch();
    return reinterpret_cast<const T*>(address(0));
  }
  template <class T>
  T* as() {
    fetch();
    changed_ = true;
    return reinterpret_cast<T*>(address(0));
  }
  ScalarType dtype() const { return dtype_; }
  int64_t numel() const { return numel_; }

  // Element i in row-major order.
  double get(int64_t i) const {
    fetch();
    return visit(dtype_, [&]<class T>(T value) {
      std::memcpy(&value, address(place(i)), sizeof(T));
      return static_cast<double>(value);
    });
  }
  void set(int64_t i, double number) {
    fetch();
    changed_ = true;
    visit(dtype_, [&]<class T>(T) {
      T value;
      if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
        value = T(static_cast<float>(number));
      else
        value = static_cast<T>(number);
      std::memcpy(address(place(i)), &value, sizeof(T));
    });
  }
  std::vector<double> values() const {
    fetch();
    std::vector<double> all(static_cast<size_t>(numel_));
    visit(dtype_, [&]<class T>(T value) {
      double* next = all.data();
      for_each_address([&](const char* address) {
        std::memcpy(&value, address, sizeof(T));
        *next++ = static_cast<double>(value);
      });
    });
    return all;
  }
  template <class F>
  Array& fill_with(F f) {
    for (int64_t i = 0; i < numel(); ++i) set(i, static_cast<double>(f(i)));
    return *this;
  }
  // True while no byte outside of the array's elements was written.
  bool guards_intact() const {
    fetch();
    std::vector<char> rest = bytes_;
    const auto size = static_cast<size_t>(element_size(dtype_));
    for_each_address([&](const char* address) {
      std::memset(rest.data() + (address - bytes_.data()), kGuard, size);
    });
    return rest == std::vector<char>(rest.size(), kGuard);
  }

 private:
  static constexpr char kGuard = 0x5B;
  struct Release {
    size_t bytes;
    Device device;
    void operator()(void* block) const { deallocate(block, bytes, device); }
  };
  using Mirror = std::unique_ptr<void, Release>;

  void fetch() const {
    if (mirror_ && !changed_ && fetched_at_ != kernel_calls) {
      copy_bytes(bytes_.data(), kCPU, mirror_.get(), device_, bytes_.size());
      fetched_at_ = kernel_calls;
    }
  }
  int64_t extent() const {
    int64_t last = 0;
    for (size_t d = 0; d < sizes_.size(); ++d) {
      if (sizes_[d] == 0) return 0;
      last += (sizes_[d] - 1) * strides_[d];
    }
    return last + 1;
  }
  // These are most of what the tests take under a sanitizer, where nothing is inlined.
  int64_t place(int64_t i) const {
    const int64_t *const sizes = sizes_.data(), *const strides = strides_.data();
    int64_t at = 0;
    for (size_t d = sizes_.size(); d-- > 0;) {
      at += i % sizes[d] * strides[d];
      i /= sizes[d];
    }
    return at;
  }
  template <class F>
  void for_each_address(F f) const {
    const char* const first = bytes_.data() + offset_ * element_size(dtype_);
    const int64_t size = element_size(dtype_);
    for (int64_t i = 0; i < numel_; ++i) f(first + place(i) * size);
  }
  char* address(int64_t place) const {
    return bytes_.data() + (place + offset_) * element_size(dtype_);
  }

  ScalarType dtype_;
  std::vector<int64_t> sizes_, strides_;
  int64_t offset_ = 0, numel_ = 0;
  Device device_ = test_device;
  mutable std::vector<char> bytes_;
  Mirror mirror_;                   // null on the CPU
  mutable bool changed_ = true;     // bytes_ is newer than the mirror
  mutable int64_t fetched_at_ = 0;  // kernel_calls when bytes_ was last read from the mirror
};

// Shapes that exercise scalars, empty arrays, odd sizes, tails of vectors and several threads.
inline std::vector<std::vector<int64_t>> test_shapes() {
  return {{}, {0}, {1}, {3}, {17}, {2, 0, 3}, {5, 7}, {1, 9}, {4, 1, 6}, {3, 5, 2, 7}, {67, 131}};
}

// Calls f once for each instruction set this machine has, and restores the one in use. All share
// their work among threads alike: ThreadSanitizer sees the last.
template <class F>
void for_each_isa(F f) {
  const CpuIsa before = cpu_isa();
  for (const CpuIsa isa : {CpuIsa::Baseline, CpuIsa::Avx2, CpuIsa::Avx512}) {
    if (isa > detected_cpu_isa() || (kThreadSanitizer && isa < detected_cpu_isa())) continue;
    set_cpu_isa(isa);
    INFO("instruction set: " << isa);
    f();
  }
  set_cpu_isa(before);
}

// Sets the device under test for a scope.
class OnDevice {
 public:
  explicit OnDevice(Device device) { test_device = device; }
  ~OnDevice() { test_device = kCPU; }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
};

// Calls f once for the CPU and, where there are GPUs, for the last: what forgets to select its
// device runs on the first, and fails.
template <class F>
void for_each_device(F f) {
  f();
  if (!cuda::is_available()) return;
  const OnDevice scope(Device(kCUDA, cuda::device_count() - 1));
  INFO("device: " << test_device);
  f();
}
// The same, with every instruction set of the CPU.
template <class F>
void for_each_isa_and_device(F f) {
  for_each_isa(f);
  for_each_device([&] {
    if (!test_device.is_cpu()) f();
  });
}

// Sets the number of threads for a scope.
class WithThreads {
 public:
  explicit WithThreads(int n) : before_(get_num_threads()) { set_num_threads(n); }
  ~WithThreads() { set_num_threads(before_); }
  WithThreads(const WithThreads&) = delete;
  WithThreads& operator=(const WithThreads&) = delete;

 private:
  int before_;
};

}  // namespace tarn::testing
