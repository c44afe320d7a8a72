# The storage VSP against channel doubles: its sources are built once more, so that nothing of the
# real channel is linked.
include(${PROJECT_SOURCE_DIR}/vmbus/stor.cmake)
list(TRANSFORM STOR_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/vmbus/ OUTPUT_VARIABLE stor_paths)
viaduct_module(vmbus_stor_double
    SOURCES
        ${stor_paths}
        ${CMAKE_CURRENT_LIST_DIR}/stor_double.c
        ${CMAKE_CURRENT_LIST_DIR}/stor_rig.c
        ${CMAKE_CURRENT_LIST_DIR}/stor_unit.c
    LINK base)
target_include_directories(vmbus_stor_double PUBLIC ${CMAKE_CURRENT_LIST_DIR})

foreach(name IN ITEMS block channel dvd inquiry mode plug random request state vstor)
    if(EXISTS ${CMAKE_CURRENT_LIST_DIR}/test_stor_${name}.c)
        viaduct_test(test_vmbus_stor_${name}
            SOURCES test_stor_${name}.c
            LINK vmbus_stor_double)
    endif()
endforeach()

# And on the real bus.
if(EXISTS ${CMAKE_CURRENT_LIST_DIR}/test_stor_bus.c)
    viaduct_test(test_vmbus_stor_bus
        SOURCES test_stor_bus.c fake_guest.c guest_ring.c
        LINK vmbus)
endif()
