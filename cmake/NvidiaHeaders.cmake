# Finds NVIDIA's headers: TARN_NVIDIA_INCLUDE_DIRS, empty where they are not all there. The toolkit has
# them; a toolkit without cuBLAS and cuRAND is completed from TARN_NVIDIA_HEADERS_DIR/include.
set(TARN_NVIDIA_HEADERS_DIR "${PROJECT_SOURCE_DIR}/build/nvidia" CACHE PATH
  "Folder with include/ from cmake/fetch_nvidia_headers.sh")
set(TARN_NVIDIA_INCLUDE_DIRS "")
foreach(header IN ITEMS cuda_runtime_api.h cublasLt.h curand_kernel.h)
  string(MAKE_C_IDENTIFIER "TARN_DIR_OF_${header}" variable)
  find_path(${variable} ${header}
    HINTS ENV CUDA_PATH /usr/local/cuda "${TARN_NVIDIA_HEADERS_DIR}" PATH_SUFFIXES include)
  mark_as_advanced(${variable})
  if(NOT ${variable})
    set(TARN_NVIDIA_INCLUDE_DIRS "")
    return()
  endif()
  list(APPEND TARN_NVIDIA_INCLUDE_DIRS "${${variable}}")
endforeach()
list(REMOVE_DUPLICATES TARN_NVIDIA_INCLUDE_DIRS)
