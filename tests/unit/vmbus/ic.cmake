# Integration services and dynamic memory: their cores have no channel, so nothing of the bus is
# linked with them.
viaduct_module(vmbus_ic_cores
    SOURCES ${PROJECT_SOURCE_DIR}/vmbus/dynmem_core.c
            ${PROJECT_SOURCE_DIR}/vmbus/dynmem_policy.c
            ${PROJECT_SOURCE_DIR}/vmbus/dynmem_runs.c
            ${PROJECT_SOURCE_DIR}/vmbus/dynmem_state.c
            ${PROJECT_SOURCE_DIR}/vmbus/ic_core.c
            ${PROJECT_SOURCE_DIR}/vmbus/ic_heartbeat.c
            ${PROJECT_SOURCE_DIR}/vmbus/ic_shutdown.c
            ${PROJECT_SOURCE_DIR}/vmbus/ic_text.c
            ${PROJECT_SOURCE_DIR}/vmbus/ic_timesync.c
            ${PROJECT_SOURCE_DIR}/vmbus/ic_vss.c
            ${PROJECT_SOURCE_DIR}/vmbus/kvp_core.c
            ${PROJECT_SOURCE_DIR}/vmbus/kvp_wire.c
    LINK base)

foreach(name IN ITEMS core kvp text timesync vss)
    viaduct_test(test_vmbus_ic_${name}
        SOURCES test_ic_${name}.c ic_rig.c
        LINK vmbus_ic_cores)
endforeach()

foreach(name IN ITEMS core policy runs state)
    viaduct_test(test_vmbus_dynmem_${name}
        SOURCES test_dynmem_${name}.c dynmem_rig.c
        LINK vmbus_ic_cores)
endforeach()

# On the real bus.
foreach(name IN ITEMS dynmem_bus ic_bus)
    viaduct_test(test_vmbus_${name} SOURCES test_${name}.c ${bus_sources} LINK vmbus)
endforeach()
