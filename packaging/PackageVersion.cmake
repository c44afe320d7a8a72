# Read by cpack itself: the node's package and the command line's go together in one version.
set(CPACK_DEBIAN_NODE_PACKAGE_DEPENDS
    "viaduct-cli (= ${CPACK_PACKAGE_VERSION}), corosync (>= 3.1), systemd (>= 252), init-system-helpers (>= 1.54)")
