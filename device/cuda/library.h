// NVIDIA's libraries, opened at run time: a program that links Tarn starts on machines without
// them.
#pragma once

namespace tarn::cuda {

// Opens a shared library, "libcublasLt.so.13", for the rest of the process: in the folder that the
// environment variable TARN_CUDA_LIBS names, where the linker looks, in /usr/local/cuda/lib64.
// Throws DeviceError when it is nowhere.
void* open_library(const char* file_name);
// The address of a function of an open library. Throws DeviceError when the library has none.
void* find_function(void* library, const char* name);

}  // namespace tarn::cuda
