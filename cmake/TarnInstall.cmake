include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/Tarn")

install(TARGETS tarn tarn_torch EXPORT TarnTargets)
# Finds a shared libtarn wherever the two are moved together.
set_target_properties(tarn-ckpt PROPERTIES
  INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
install(TARGETS tarn-ckpt)
install(EXPORT TarnTargets NAMESPACE Tarn:: DESTINATION "${package_dir}")
install(FILES tarn.h fwd.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/tarn")
# Kernel bodies stay inside the library: their headers are no part of the interface.
foreach(layer IN LISTS TARN_LAYERS)
  install(DIRECTORY ${layer} DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/tarn"
          FILES_MATCHING PATTERN "*.h" PATTERN "cpu" EXCLUDE PATTERN "cuda" EXCLUDE)
endforeach()
install(DIRECTORY compat DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/tarn")

configure_package_config_file(cmake/TarnConfig.cmake.in "${PROJECT_BINARY_DIR}/TarnConfig.cmake"
  INSTALL_DESTINATION "${package_dir}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/TarnConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES
  "${PROJECT_BINARY_DIR}/TarnConfig.cmake"
  "${PROJECT_BINARY_DIR}/TarnConfigVersion.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/TarnOpenMP.cmake"
  DESTINATION "${package_dir}")
