/* SPDX-License-Identifier: MIT
 *
 * net_vsp.h - one synthetic NIC without its thread: the NVSP state machine and, behind it, RNDIS
 * and the two directions of frames. Internal to vmbus/; netvsp.c gives it a lock, a channel and a
 * unit.
 *
 * NVSP: CLOSED -channel opened-> OPEN -INIT-> NEGOTIATED; every message goes through one table
 * (net_vsp.c) of {type, smallest size, lowest version, phases, answer, handler}. What the table or
 * a handler refuses counts as a protocol error, changes nothing, and is completed with a status
 * that says so when the guest waits for a completion.
 *
 * Every packet that asks for a completion gets exactly one, on the channel it came from.
 * Completions wait in a queue while the ring is full; a packet is taken from the ring only when
 * there is room for its completion, and not while the one before waits for the port: order is kept,
 * nothing is dropped.
 *
 * It calls the vmbus_channel_*, vmbus_gpadl_* and vmbus_ranges_* functions of channel.h and the
 * port's eth_ops, and nothing else outside. Threads: none; the caller's lock.
 */
#ifndef VIADUCT_VMBUS_NET_VSP_H
#define VIADUCT_VMBUS_NET_VSP_H

#include "vmbus/net_rx.h"
#include "vmbus/net_tx.h"

#define NET_MAX_COMPLETIONS 64

/* How much one call of net_vsp_work() does in each direction. */
#define NET_RING_BURST 64
#define NET_PORT_BURST 64

enum net_phase {
	NET_CLOSED,
	NET_OPEN, /* no version yet */
	NET_NEGOTIATED,
};

struct net_completion {
	uint64_t transaction_id;
	uint32_t size_bytes;
	uint8_t bytes[NVSP_MESSAGE_BYTES];
};

struct net_vsp_config {
	uint8_t mac[ETH_ADDR_LEN];
	uint32_t mtu_bytes;
	bool link_up;
	const struct eth_ops *eth;
	void *port;
};

struct net_vsp {
	struct net_vsp_config config;
	struct net_port port;
	struct net_stats stats;

	struct vmbus_channel *channel; /* NULL when closed */
	bool broken;                   /* its rings do not hold together */
	enum net_phase phase;
	uint32_t version;           /* NVSP_VERSION_*, 0 until negotiated */
	uint32_t guest_frame_bytes; /* NDIS_CONFIG: the guest's MTU and an Ethernet header */
	uint64_t guest_caps;

	struct net_recv_buf recv;
	struct net_send_buf send;
	struct net_rndis rndis;
	struct net_tx tx;
	struct net_rx rx;
	bool rx_blocked; /* frames wait for sections or for the ring, not the other way round */

	struct net_completion completions[NET_MAX_COMPLETIONS];
	unsigned n_completions;
};

int net_vsp_new(const struct net_vsp_config *config, struct net_vsp **ret_vsp);
void net_vsp_free(struct net_vsp *vsp);

/* The guest opened the channel, closed it, or tears down a GPADL. */
void net_vsp_open(struct net_vsp *vsp, struct vmbus_channel *channel);
void net_vsp_close(struct net_vsp *vsp);
void net_vsp_gpadl_gone(struct net_vsp *vsp, uint32_t gpadl_id);

/* As vmbus_device_ops has them (net_work.c). */
bool net_vsp_work(struct net_vsp *vsp);
bool net_vsp_arm(struct net_vsp *vsp);

bool net_vsp_has_version(uint32_t version);
/* The packet in vsp->tx.packet, which was just taken from the ring (net_vsp.c). */
void net_vsp_handle_packet(struct net_vsp *vsp);
/* Queue the completion of that packet, if it wants one; there is room for it (net_vsp.c). */
void net_vsp_complete(struct net_vsp *vsp, const void *answer, size_t size_bytes);

/* State: everything the guest can tell (net_state.c). Restore wants a fresh vsp of the same
 * configuration, and the channel with its GPADLs restored before: `channel` when it is open, else
 * NULL. -EBADMSG: it does not hold together; -ENOMEM; the vsp is then closed. */
#define NET_STATE_VERSION 1
void net_vsp_save(const struct net_vsp *vsp, struct buf *out);
int net_vsp_restore(struct net_vsp *vsp, struct reader *in, struct vmbus_channel *channel);

#endif
