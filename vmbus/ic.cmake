# Integration services and dynamic memory.
set(IC_SOURCES
    dynmem.c
    dynmem_core.c
    dynmem_policy.c
    dynmem_runs.c
    dynmem_state.c
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
