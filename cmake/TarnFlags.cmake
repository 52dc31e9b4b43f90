# How Tarn's own code is compiled. Nothing here reaches a program that links Tarn::tarn.
add_library(tarn_flags INTERFACE)
target_compile_features(tarn_flags INTERFACE cxx_std_20)
set(cxx_flags
  -Wall -Wextra -Wpedantic
  $<$<BOOL:${TARN_WERROR}>:-Werror>
  # One formula gives one result wherever it is inlined; kernels/cpu opts out below.
  -ffp-contract=off
  $<$<CONFIG:Release>:-O2>
  # No file of the build tree may name the folder it was built in.
  "-ffile-prefix-map=${TARN_INCLUDE_DIR}/="
  "-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=tarn/")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND cxx_flags -march=x86-64-v2)
endif()
target_compile_options(tarn_flags INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:${cxx_flags}>"
  $<$<COMPILE_LANGUAGE:CUDA>:-Wno-deprecated-gpu-targets>
  $<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${TARN_WERROR}>>:-Werror=all-warnings>)

if(TARN_SANITIZE)
  target_compile_options(tarn_flags INTERFACE
    -fsanitize=${TARN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  # g++ 12 sees std::regex of its own library as uninitialised once a sanitizer is on. With more
  # memory (KiB) before it collects garbage it compiles a little faster.
  target_compile_options(tarn_flags INTERFACE
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized --param=ggc-min-heapsize=524288>)
  target_link_options(tarn_flags INTERFACE -fsanitize=${TARN_SANITIZE})
endif()

# tarn_add_layer(<name> [<layer below>]): every source under the folder, found anew when one is
# added.
function(tarn_add_layer layer)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${layer}/*.cpp")
  if(NOT sources)
    message(FATAL_ERROR "no sources under ${layer}/")
  endif()
  if(TARN_CUDA STREQUAL "OFF")
    list(FILTER sources EXCLUDE REGEX "/${layer}/cuda/")
  else()
    file(GLOB_RECURSE kernels CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${layer}/*.cu")
    tarn_cuda_sources(${kernels})
    list(APPEND sources ${kernels})
  endif()
  set(target tarn_${layer})
  add_library(${target} OBJECT ${sources})
  target_include_directories(${target} PUBLIC "${TARN_INCLUDE_DIR}")
  target_link_libraries(${target} PRIVATE tarn_flags tarn_cuda PUBLIC ${ARGN})
  if(BUILD_SHARED_LIBS)
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  endif()

  # Arithmetic loops: vectorised fully, and fused multiply-add wherever the machine has it.
  list(FILTER sources INCLUDE REGEX "/kernels/cpu/")
  set_property(SOURCE ${sources} APPEND PROPERTY COMPILE_OPTIONS
    "$<$<CONFIG:Release>:-O3>" -fno-math-errno -fno-trapping-math -ffp-contract=fast)
endfunction()
