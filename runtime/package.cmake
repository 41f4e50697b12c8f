# cpack makes two Debian packages, libwhorl0 and libwhorl-dev, of the components in install.cmake.
#
# They are built anew, in the folder `package` of the build, as packages have to be: for /usr, with
# the system's own places for libraries, optimised, without tests and sanitizers. So it does not
# matter for what the build was configured in which cpack is called.
option(WHORL_PACKAGE "this build is the one that is packaged: cpack sets it" OFF)
mark_as_advanced(WHORL_PACKAGE)
if(WHORL_PACKAGE)
    foreach(package libwhorl0 libwhorl-dev)
        set(component runtime)
        if(package STREQUAL "libwhorl-dev")
            set(component development)
        endif()
        install(FILES ${PROJECT_SOURCE_DIR}/LICENSE RENAME copyright
                DESTINATION share/doc/${package} COMPONENT ${component})
    endforeach()
    return()
endif()

set(package_build ${PROJECT_BINARY_DIR}/package)
configure_file(package-build.cmake.in ${PROJECT_BINARY_DIR}/package-build.cmake @ONLY)
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_BINARY_DIR}/package-build.cmake)
set(CPACK_INSTALL_CMAKE_PROJECTS "${package_build};whorl;ALL;/")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME whorl)
set(CPACK_PACKAGE_VENDOR "The whorl authors")
set(CPACK_PACKAGE_CONTACT "The whorl authors <maintainers@whorl.invalid>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL runtime development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libwhorl${PROJECT_VERSION_MAJOR})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
# A trigger tells ldconfig. The scripts that would call it, which cpack writes on its own account,
# give way to files of the same names: files that are not there, as it then warns.
file(WRITE ${PROJECT_BINARY_DIR}/triggers "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA "${PROJECT_BINARY_DIR}/triggers"
    ${PROJECT_BINARY_DIR}/none/postinst ${PROJECT_BINARY_DIR}/none/postrm)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_RUNTIME_DESCRIPTION "This package has the shared library.
One event loop per core, and tasks that any idle loop may take over; futures,
gather, timeouts and cancellation that work across threads.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libwhorl-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libhwloc-dev") # of the static library
set(CPACK_COMPONENT_DEVELOPMENT_DEPENDS runtime)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON) # of the same version
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION "This package has what programs are built with.
Headers, the static library, and what pkg-config and CMake read to find them.
The shared library is in libwhorl${PROJECT_VERSION_MAJOR}.")
include(CPack)
