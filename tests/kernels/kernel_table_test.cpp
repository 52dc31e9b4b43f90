#include "tarn/kernels/kernel_table.h"

#include <cstring>
#include <iterator>
#include <string>

#include "tarn/device/check.h"
#include "tarn/kernels/op_list.h"
#include "tarn/tests/kernels/array.h"

namespace tarn::testing {
namespace {

struct A {};
struct B {};
struct C {};
static_assert(List<>::size == 0);
static_assert(List<A, B, C>::size == 3);
static_assert(index_of<A, List<A, B, C>> == 0);
static_assert(index_of<C, List<A, B, C>> == 2);

TEST_CASE("every device has every kernel") {
  for_each_device([] {
    const KernelTable& table = tested();
    CHECK(std::string(table.device_name) == (test_device.is_cpu() ? "CPU" : "CUDA"));
    // Every entry after the name is one pointer to a function.
    const char* entries[(sizeof(KernelTable) - sizeof(table.device_name)) / sizeof(void*)];
    std::memcpy(entries, reinterpret_cast<const char*>(&table) + sizeof(table.device_name),
                sizeof(entries));
    for (size_t i = 0; i < std::size(entries); ++i) {
      INFO("entry " << i);
      CHECK(entries[i] != nullptr);
    }
  });
}

TEST_CASE("a device that is not there and a kernel that a device lacks are named") {
  CHECK_THROWS_AS(kernels(Device("cuda:100")), DeviceError);
  CHECK_THROWS_WITH_TEXT(kernels(Device("cuda:100")), "cuda:100 was asked for, but ");
  KernelTable half{};
  half.device_name = "CUDA";
  CHECK_THROWS_AS(missing_kernel("matmul", half), NotImplementedError);
  CHECK_THROWS_WITH_TEXT(missing_kernel("matmul", half), "[matmul] no CUDA kernel");
}

}  // namespace
}  // namespace tarn::testing
