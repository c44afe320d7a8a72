# Picture, keyboard and mouse, without a bus.
foreach(name IN ITEMS synthvid synthkbd synthmouse)
    viaduct_test(test_vmbus_${name} SOURCES test_${name}.c ui_rig.c LINK vmbus)
endforeach()

# And on the real one.
foreach(name IN ITEMS synthvid_bus synthinput_bus)
    viaduct_test(test_vmbus_${name}
        SOURCES test_${name}.c ui_bus_rig.c fake_guest.c guest_ring.c
        LINK vmbus)
endforeach()
