# Headers, library, slotshare.pc, and a CMake package slotshare::slotshare. Each folder installs
# its own programs.
include(CMakePackageConfigHelpers)

install(TARGETS slotshare EXPORT slotshare LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/slotshare DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT slotshare NAMESPACE slotshare:: FILE slotshare-config.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/slotshare)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/slotshare-config-version.cmake
                                 COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_BINARY_DIR}/slotshare-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/slotshare)
# Relative to itself: right wherever `cmake --install --prefix` puts it.
file(RELATIVE_PATH slotshare_pc_to_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(cmake/slotshare.pc.in ${CMAKE_BINARY_DIR}/slotshare.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/slotshare.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
