# OpenMP::OpenMP_CXX, for building the library and (the package config includes this file) for
# programs that link its static form. OpenMP is g++'s own; clang 14 on Debian has it in
# libomp-14-dev.
if(NOT TARGET OpenMP::OpenMP_CXX)
  find_package(OpenMP QUIET COMPONENTS CXX)
endif()
if(NOT TARGET OpenMP::OpenMP_CXX)
  add_library(OpenMP::OpenMP_CXX INTERFACE IMPORTED)
  if(CMAKE_FIND_PACKAGE_NAME STREQUAL "Tarn")
    # A compiler without OpenMP can still link what another compiled: with g++'s runtime, which it
    # finds by name.
    set_target_properties(OpenMP::OpenMP_CXX PROPERTIES INTERFACE_LINK_LIBRARIES gomp)
  else()
    message(WARNING "OpenMP was not found: each parallel loop will start its own threads")
  endif()
endif()
