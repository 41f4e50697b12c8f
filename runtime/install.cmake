# What `cmake --install` puts where, in two components:
#
#   runtime       libwhorl.so.0 and libwhorl-locks.so.0, for programs that run
#   development   headers, libwhorl.so, libwhorl.a, libwhorl-locks.so, whorl.pc, whorl-locks.pc,
#                 and what find_package(whorl) reads
#
# Nothing that is installed holds the prefix, so that the tree may be installed elsewhere than it
# was configured for, and moved. The one exception is a system's own prefix, /usr, where pkg-config
# has to recognise its standard directories, and put a sysroot before them.
include(CMakePackageConfigHelpers)

set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/whorl)
set(pc_folder ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# whorl::shared, whorl::static and whorl::locks come from files of their own: each may be left out.
set_target_properties(whorl_shared PROPERTIES EXPORT_NAME shared)
set_target_properties(whorl_static PROPERTIES EXPORT_NAME static)
install(TARGETS whorl_shared EXPORT whorl-shared
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
                COMPONENT runtime NAMELINK_COMPONENT development)
install(TARGETS whorl_static EXPORT whorl-static
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
set_target_properties(whorl_locks PROPERTIES EXPORT_NAME locks)
set_target_properties(whorl_locks_library PROPERTIES EXPORT_NAME locks-library)
install(TARGETS whorl_locks whorl_locks_library EXPORT whorl-locks
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
                COMPONENT runtime NAMELINK_COMPONENT development)
install(EXPORT whorl-locks NAMESPACE whorl:: FILE whorl-locks.cmake
        DESTINATION ${config_folder} COMPONENT development)
install(EXPORT whorl-shared NAMESPACE whorl:: FILE whorl-shared.cmake
        DESTINATION ${config_folder} COMPONENT development)
install(EXPORT whorl-static NAMESPACE whorl:: FILE whorl-static.cmake
        DESTINATION ${config_folder} COMPONENT development)

configure_package_config_file(whorl-config.cmake.in ${PROJECT_BINARY_DIR}/whorl-config.cmake
                              INSTALL_DESTINATION ${config_folder} NO_SET_AND_CHECK_MACRO)
# As the soname: what was built for 0.x runs with, and builds against, every later 0.y.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/whorl-config-version.cmake
                                 COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/whorl-config.cmake
              ${PROJECT_BINARY_DIR}/whorl-config-version.cmake
        DESTINATION ${config_folder} COMPONENT development)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        COMPONENT development FILES_MATCHING PATTERN "*.h")

# The way from whorl.pc to the prefix, and from there to the libraries and headers. A folder that
# was given as an absolute path stays where it is.
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr" OR IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(pc_prefix ${CMAKE_INSTALL_PREFIX})
else()
    file(RELATIVE_PATH pc_way /prefix/${pc_folder} /prefix)
    string(REGEX REPLACE "/$" "" pc_way ${pc_way})
    set(pc_prefix "\${pcfiledir}/${pc_way}")
endif()
foreach(folder LIBDIR INCLUDEDIR)
    set(pc_${folder} "\${prefix}/${CMAKE_INSTALL_${folder}}")
    if(IS_ABSOLUTE "${CMAKE_INSTALL_${folder}}")
        set(pc_${folder} ${CMAKE_INSTALL_${folder}})
    endif()
endforeach()
configure_file(whorl.pc.in ${PROJECT_BINARY_DIR}/whorl.pc @ONLY)
configure_file(whorl-locks.pc.in ${PROJECT_BINARY_DIR}/whorl-locks.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/whorl.pc ${PROJECT_BINARY_DIR}/whorl-locks.pc DESTINATION ${pc_folder} COMPONENT development)

# gdb loads NAME-gdb.py beside NAME, or at the same path under its own share/gdb/auto-load, which is
# where a system's packages have to put it. Only there does it trust the file by itself.
set(gdb_script ${CMAKE_CURRENT_SOURCE_DIR}/debug/whorl-gdb.py)
set(gdb_name libwhorl.so.${PROJECT_VERSION}-gdb.py)
configure_file(${gdb_script} ${PROJECT_BINARY_DIR}/${gdb_name} COPYONLY)
install(FILES ${gdb_script} DESTINATION ${CMAKE_INSTALL_DATADIR}/whorl COMPONENT development)
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    install(CODE "
        set(folder \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}\")
        if(CMAKE_INSTALL_PREFIX STREQUAL \"/usr\")
            set(folder \"/usr/share/gdb/auto-load\${folder}\")
        endif()
        file(INSTALL DESTINATION \"\${folder}\" TYPE FILE RENAME \"${gdb_name}\"
             FILES \"${gdb_script}\")" COMPONENT development)
endif()
