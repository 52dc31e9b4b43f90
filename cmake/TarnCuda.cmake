# TARN_CUDA: ON compiles kernels/cuda with nvcc; EMULATE compiles the same sources with the C++
# compiler against tests/cuda_emulator, so that CUDA programs run on machines without a GPU; OFF
# leaves CUDA out. The default is ON where nvcc and the headers of its libraries are found.
include(cmake/NvidiaHeaders.cmake)

include(CheckLanguage)
if(NOT DEFINED TARN_CUDA)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER AND TARN_NVIDIA_INCLUDE_DIRS)
    set(default ON)
  else()
    set(default OFF)
  endif()
endif()
set(TARN_CUDA "${default}" CACHE STRING "CUDA kernels: ON, OFF or EMULATE")
set_property(CACHE TARN_CUDA PROPERTY STRINGS ON OFF EMULATE)

# What sources that talk to CUDA need; empty when TARN_CUDA is OFF.
add_library(tarn_cuda INTERFACE)
if(TARN_CUDA STREQUAL "OFF")
  return()
endif()
tarn_require_nvidia_headers()
target_include_directories(tarn_cuda SYSTEM INTERFACE ${TARN_NVIDIA_INCLUDE_DIRS})
target_compile_definitions(tarn_cuda INTERFACE TARN_CUDA=1)

if(TARN_CUDA STREQUAL "EMULATE")
  target_compile_definitions(tarn_cuda INTERFACE TARN_CUDA_EMULATE=1)
  # Its own curand_kernel.h comes first.
  target_include_directories(tarn_cuda SYSTEM BEFORE INTERFACE
    "${PROJECT_SOURCE_DIR}/tests/cuda_emulator/include")
  function(tarn_cuda_sources)
    set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX)
  endfunction()
else()
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80 90 CACHE STRING "GPU generations to compile for")
  endif()
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
  target_link_libraries(tarn_cuda INTERFACE CUDA::cudart_static)
  function(tarn_cuda_sources)
    set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CUDA)
    # The standard as an option: CMake 3.25 does not know nvcc 13's. Compressed code is a third as
    # large and unpacked when it is loaded.
    set_property(SOURCE ${ARGN} APPEND PROPERTY COMPILE_OPTIONS
      -std=c++20 --expt-relaxed-constexpr --compress-mode=size)
  endfunction()
endif()
