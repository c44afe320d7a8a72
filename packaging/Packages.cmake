# Two Debian packages of the two components. The programs' libraries are found by dpkg-shlibdeps.

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME viaduct)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "The Viaduct authors <viaduct@viaduct.invalid>")
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/package)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL node cli)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_CURRENT_SOURCE_DIR}/PackageVersion.cmake)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_NODE_PACKAGE_NAME viaduct-node)
set(CPACK_DEBIAN_NODE_DESCRIPTION "node of a cluster of Hyper-V-class virtual machines
Runs virtual machines with Hyper-V's synthetic devices over KVM, on nodes that
form a cluster: virtual switches, MAC addresses, live migration and failover
belong to all of them. This package has the node's service, viaductd, and the
programs that it runs: one for each virtual machine, one for virtual switches.")
set(CPACK_DEBIAN_NODE_PACKAGE_CONTROL_EXTRA
    ${CMAKE_CURRENT_SOURCE_DIR}/debian/postinst
    ${CMAKE_CURRENT_SOURCE_DIR}/debian/prerm
    ${CMAKE_CURRENT_SOURCE_DIR}/debian/postrm
    ${CMAKE_CURRENT_BINARY_DIR}/conffiles)
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/conffiles
     "${CMAKE_INSTALL_FULL_SYSCONFDIR}/default/viaductd\n${CMAKE_INSTALL_FULL_SYSCONFDIR}/logrotate.d/viaductd\n")

set(CPACK_DEBIAN_CLI_PACKAGE_NAME viaduct-cli)
set(CPACK_DEBIAN_CLI_DESCRIPTION "command line of a cluster of Hyper-V-class virtual machines
Administers clusters of viaduct-node, on a node or from elsewhere: virtual
machines, switches, networks, moves. Also the manual page, completions for bash
and zsh, the documentation and examples.")

include(CPack)
