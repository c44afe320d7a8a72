# Integration services and dynamic memory.
set(IC_SOURCES
    ic.c
    ic_core.c
    ic_heartbeat.c
    ic_shutdown.c
    ic_text.c
    ic_timesync.c
    ic_unit.c
    ic_vss.c
    kvp_core.c
    kvp_wire.c)
