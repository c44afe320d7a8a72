/* SPDX-License-Identifier: MIT
 *
 * net_guest.h - the guest's side of a NIC with several queues, on top of net_rig: sub-channels,
 * receive-side scaling, coalesced packets.
 */
#ifndef VIADUCT_TESTS_NET_GUEST_H
#define VIADUCT_TESTS_NET_GUEST_H

#include "net_rig.h"
#include "vmbus/net_rss.h"

#define GUEST_HASH_TYPES                                                                           \
	(NDIS_HASH_TOEPLITZ | NDIS_HASH_IPV4 | NDIS_HASH_TCP_IPV4 | NDIS_HASH_IPV6 |               \
		NDIS_HASH_TCP_IPV6)

struct guest_rss {
	struct ndis_rss_params fixed;
	uint32_t table[128];
	uint8_t key[40];
};

/* As Linux: entry i is i % n_queues, some key. */
struct guest_rss guest_rss_make(unsigned n_queues);
/* Hand it over; the RNDIS status. */
uint32_t guest_rss_set(struct net_rig *rig, const struct guest_rss *rss);

/* Ask for `n_wanted` sub-channels: the completion says that `n_granted` come, they are offered. */
void guest_request_subs(struct net_rig *rig, unsigned n_wanted, unsigned n_granted);
/* Open all that were granted, and take the table that follows. */
void guest_open_subs(struct net_rig *rig);
/* All of it, and scaling over all queues. */
void guest_scale(struct net_rig *rig);
void guest_close_sub(struct net_rig *rig, unsigned queue);

/* Switch coalescing on; the rig negotiated it. */
void guest_coalesce(struct net_rig *rig, uint8_t v4, uint8_t v6);

/* The next packet on a queue; false: none. It must be of data. */
bool guest_take(struct net_rig *rig, unsigned queue, struct net_double_packet *ret_packet);
/* Give a packet back on a queue, without work. */
void guest_give_back(struct net_rig *rig, unsigned queue, const struct net_double_packet *packet);

/* A UDP or TCP frame of flow number `flow`: its ports and addresses differ, nothing else. */
void guest_flow_frame(struct frame *frame, unsigned flow, size_t payload_bytes);
/* The queue such a frame belongs to. */
unsigned guest_flow_queue(const struct net_rig *rig, const struct frame *frame);

/* The coalesced packets of a transfer packet put together as Linux 6.1 does it: a part without its
 * first is dropped, one that is last of its packet but not of its frame too. Returns how many
 * frames came out; the last is in *ret. */
unsigned guest_coalesced(
	struct net_rig *rig, const struct net_double_packet *packet, struct rig_received *ret);

#endif
