// Compiled into something where Tarn is built with CUDA.
#if defined(TARN_CUDA_EMULATE)
#include "tarn/device/cuda/library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "tarn/device/check.h"
#include "tarn/tests/support/catch.h"

namespace tarn::cuda {
namespace {

TEST_CASE("a library that is nowhere is named with the remedy") {
  CHECK_THROWS_AS(open_library("libtarn_no_such_library.so.1"), DeviceError);
  CHECK_THROWS_WITH_TEXT(open_library("libtarn_no_such_library.so.1"),
                         "[cuda] cannot open libtarn_no_such_library.so.1");
  CHECK_THROWS_WITH_TEXT(open_library("libtarn_no_such_library.so.1"), "HINT: set TARN_CUDA_LIBS");
}

TEST_CASE("libraries are opened where the linker looks, and first in TARN_CUDA_LIBS") {
  void* const library = open_library("libm.so.6");
  REQUIRE(library != nullptr);
  CHECK(find_function(library, "cos") != nullptr);
  CHECK_THROWS_WITH_TEXT(find_function(library, "tarn_no_such_function"), "tarn_no_such_function");
  // Under a name that only the folder has.
  Dl_info info;
  REQUIRE(dladdr(find_function(library, "cos"), &info) != 0);
  const auto folder = std::filesystem::temp_directory_path() / "tarn_cuda_library_test";
  std::filesystem::create_directories(folder);
  std::filesystem::remove(folder / "libtarn_other_name.so");
  std::filesystem::create_symlink(info.dli_fname, folder / "libtarn_other_name.so");
  REQUIRE(setenv("TARN_CUDA_LIBS", folder.c_str(), 1) == 0);
  CHECK(open_library("libtarn_other_name.so") != nullptr);
  CHECK(open_library("libm.so.6") != nullptr);
  REQUIRE(unsetenv("TARN_CUDA_LIBS") == 0);
  CHECK_THROWS_AS(open_library("libtarn_other_name.so"), DeviceError);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace tarn::cuda
#endif
