# aarch64.cmake - the toolchain of the build `aarch64`: Debian's cross compiler, and qemu-user for
# what it builds.
#
#   cmake --toolchain tests/support/aarch64.cmake -DWHORL_SYSROOT=FOLDER ...
#
# FOLDER holds unpacked Debian packages for arm64, as tests/support/sysroot.sh makes it.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)

set(WHORL_SYSROOT "" CACHE PATH "where the libraries for AArch64 are")
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES WHORL_SYSROOT)
if(NOT EXISTS "${WHORL_SYSROOT}/usr/include/ck_ring.h")
    message(FATAL_ERROR "WHORL_SYSROOT=${WHORL_SYSROOT} has no libraries in it")
endif()
set(CMAKE_SYSROOT ${WHORL_SYSROOT})
set(CMAKE_FIND_ROOT_PATH ${WHORL_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

set(ENV{PKG_CONFIG_DIR} "")
set(ENV{PKG_CONFIG_LIBDIR} ${WHORL_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${WHORL_SYSROOT})

set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L ${WHORL_SYSROOT})
