# The network VSP against a channel double: its sources are built once more, so that nothing of the
# real channel is linked.
include(${PROJECT_SOURCE_DIR}/vmbus/net.cmake)
list(TRANSFORM NET_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/vmbus/ OUTPUT_VARIABLE net_paths)
viaduct_module(vmbus_net_double
    SOURCES ${net_paths} ${CMAKE_CURRENT_LIST_DIR}/net_double.c ${CMAKE_CURRENT_LIST_DIR}/net_up.c
    LINK base)
target_include_directories(vmbus_net_double PUBLIC ${CMAKE_CURRENT_LIST_DIR})

foreach(name IN ITEMS bufs offload oid packet ppi queues rndis rsc rss rx segment state state_queues tx
        tx_limits vlan vsp netvsp)
    if(EXISTS ${CMAKE_CURRENT_LIST_DIR}/test_net_${name}.c)
        viaduct_test(test_vmbus_net_${name}
            SOURCES test_net_${name}.c net_frames.c net_guest.c net_rig.c
            LINK vmbus_net_double)
    endif()
endforeach()

# And on the real bus.
foreach(name IN ITEMS bus bus_queues)
    viaduct_test(test_vmbus_net_${name}
        SOURCES test_net_${name}.c net_bus_rig.c fake_guest.c guest_ring.c net_frames.c
        LINK vmbus)
endforeach()

# Against the guest library's NIC.
if(TARGET guest_pure)
    viaduct_test(test_vmbus_net_vsc
        SOURCES test_net_vsc.c net_frames.c
        LINK vmbus guest_pure)
endif()
