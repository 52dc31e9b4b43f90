#include "tarn/device/cuda/library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <string>

#include "tarn/device/check.h"

namespace tarn::cuda {

void* open_library(const char* file_name) {
  const char* folder = std::getenv("TARN_CUDA_LIBS");
  std::string reasons;
  for (const std::string& path :
       {folder ? str(folder, "/", file_name) : std::string(), std::string(file_name),
        str("/usr/local/cuda/lib64/", file_name)}) {
    if (path.empty()) continue;
    if (void* library = dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL)) return library;
    reasons += str("\n  ", dlerror());
  }
  throw DeviceError(str("[cuda] cannot open ", file_name, ":", reasons,
                        "\nHINT: set TARN_CUDA_LIBS to the folder that holds it"));
}

void* find_function(void* library, const char* name) {
  if (void* function = dlsym(library, name)) return function;
  throw DeviceError(str("[cuda] ", dlerror(), "\nHINT: the library is older than Tarn needs"));
}

}  // namespace tarn::cuda
