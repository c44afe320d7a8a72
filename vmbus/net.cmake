# The network VSP: one NIC.
set(NET_SOURCES
    net_bufs.c
    net_offload.c
    net_oid.c
    net_packet.c
    net_ppi.c
    net_rndis.c
    net_rx.c
    net_segment.c
    net_state.c
    net_tx.c
    net_vsp.c
    net_work.c
    netvsp.c)
