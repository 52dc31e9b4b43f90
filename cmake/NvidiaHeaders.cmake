# TARN_NVIDIA_INCLUDE_DIRS: one folder with NVIDIA's headers of CUDA 13: cuda_runtime_api.h,
# cuda_bf16.h, cuda_fp16.h, cublasLt.h, curand_kernel.h and what they include.
#
# cmake/fetch_nvidia_headers.sh DIR leaves them in
#   DIR/include/*.h, DIR/include/{crt,nv,cooperative_groups}/...   (versions: DIR/versions)
# and TARN_NVIDIA_HEADERS_DIR says which DIR. A complete CUDA toolkit does as well; one without
# cuBLAS or cuRAND is passed over, since headers of two versions do not mix.
set(TARN_NVIDIA_HEADERS_DIR "${CMAKE_CURRENT_LIST_DIR}/../build/nvidia" CACHE PATH
    "Where cmake/fetch_nvidia_headers.sh has put NVIDIA's headers")

set(TARN_NVIDIA_INCLUDE_DIRS "")
find_package(CUDAToolkit QUIET)
foreach(dir IN ITEMS "${TARN_NVIDIA_HEADERS_DIR}/include" ${CUDAToolkit_INCLUDE_DIRS})
  if(EXISTS "${dir}/cuda_runtime_api.h" AND EXISTS "${dir}/cublasLt.h"
     AND EXISTS "${dir}/curand_kernel.h")
    set(TARN_NVIDIA_INCLUDE_DIRS "${dir}")
    break()
  endif()
endforeach()
function(tarn_require_nvidia_headers)
  if(NOT TARN_NVIDIA_INCLUDE_DIRS)
    message(FATAL_ERROR
      "NVIDIA's headers are not in ${TARN_NVIDIA_HEADERS_DIR}, nor in a CUDA toolkit with cuBLAS "
      "and cuRAND. They take a minute to fetch:\n"
      "  cmake/fetch_nvidia_headers.sh ${TARN_NVIDIA_HEADERS_DIR}")
  endif()
endfunction()
