/* SPDX-License-Identifier: MIT
 *
 * net_rndis.h - the control half of RNDIS: what a guest asks and sets on its NIC, and what it is
 * told. A pure state machine: a message goes in, answers wait in a queue until the VSP has put them
 * into the receive buffer. Internal to the network VSP.
 *
 * States: not ready -INITIALIZE-> ready -HALT-> not ready. Messages go through a table
 * (net_rndis.c) of {type, smallest size, states, handler}, object identifiers through another
 * (net_oid.c).
 *
 * Link: `link_up` is what is so, `link_told` what the guest knows. The difference becomes one
 * indication when there is room in the queue and the guest has given back the one before: a link
 * that flaps cannot fill the queue, nor the guest's own, which it works off at one in two seconds;
 * the last state wins. A guest ignores indications until its interface exists; the first packet
 * filter after one repeats it.
 *
 * Hostile: messages are private copies; a request that names bytes outside itself gets an answer
 * with an error status, a message too short to be answered is refused whole.
 */
#ifndef VIADUCT_VMBUS_NET_RNDIS_H
#define VIADUCT_VMBUS_NET_RNDIS_H

#include "vmbus/net_offload.h"
#include "vmbus/net_port.h"
#include "vmbus/net_rss.h"

/* The largest request, parameters included, and the largest answer. */
#define NET_RNDIS_MAX_BYTES        8192
#define NET_RNDIS_ANSWER_MAX_BYTES 256
#define NET_RNDIS_MAX_ANSWERS      16

/* Promises of INITIALIZE_COMPLETE. */
#define NET_RNDIS_PACKETS_PER_MESSAGE 8
#define NET_RNDIS_ALIGNMENT_FACTOR    3

#define NET_LINK_SPEED_100BPS 100000000U /* 10 Gbit/s */

#define NET_MULTICAST_LIST_LEN 32

struct net_rndis_answer {
	bool is_link; /* an indication: net_rndis_link_taken() when the guest gives it back */
	uint32_t size_bytes;
	uint8_t bytes[NET_RNDIS_ANSWER_MAX_BYTES];
};

struct net_rndis {
	/* Constant. */
	uint8_t permanent_mac[ETH_ADDR_LEN];
	uint32_t mtu_bytes;
	uint32_t port_caps; /* enum eth_cap and NET_CAP_*, less what is withheld */
	uint32_t withheld;  /* enum netvsp_offload bits */
	unsigned n_queues;
	bool allow_mac_change;
	const struct net_stats *stats;

	/* The NIC's, whatever the guest does. */
	bool link_up;

	/* The guest's. */
	uint32_t ndis_version; /* (major << 16) + minor, from NVSP */
	bool rsc;              /* it understands coalesced packets, from NVSP */
	bool ready;
	bool link_told;
	bool link_repeat;       /* told while the packet filter was 0 */
	bool link_with_guest;   /* an indication is not yet given back */
	uint32_t packet_filter; /* NDIS_PACKET_TYPE_*; 0: receive nothing */
	uint8_t mac[ETH_ADDR_LEN];
	struct net_offload offload;
	struct net_rss rss;
	bool has_multicast_list; /* without one NDIS_PACKET_TYPE_MULTICAST means all */
	uint32_t n_multicast;
	uint8_t multicast[NET_MULTICAST_LIST_LEN][ETH_ADDR_LEN];
	struct net_rndis_answer answers[NET_RNDIS_MAX_ANSWERS];
	unsigned first_answer, n_answers;
};

/* As the guest finds it when it opens the channel; the constants and link_up are kept. */
void net_rndis_reset(struct net_rndis *rndis);

/* What the guest said of itself in NVSP. Coalescing ends with its saying that it knows it not. */
void net_rndis_understands_rsc(struct net_rndis *rndis, bool understands);

/* A message of the guest. 0: handled, with an answer queued if it has one; -EBUSY: the queue is
 * full; -EBADMSG: not a control message, or too short for one, or not allowed now and without an
 * answer. */
int net_rndis_handle(struct net_rndis *rndis, const void *message, size_t size_bytes);

/* The oldest answer, or NULL; makes a link indication if one is due. */
const struct net_rndis_answer *net_rndis_answer(struct net_rndis *rndis);
void net_rndis_answer_sent(struct net_rndis *rndis);
/* The guest gave back, or lost, the link indication that was sent last. */
void net_rndis_link_taken(struct net_rndis *rndis);

/* What the adapter can do for this guest: enum eth_cap and NET_CAP_*. */
static inline uint32_t net_rndis_caps(const struct net_rndis *rndis)
{
	return rndis->port_caps | (rndis->rsc ? NET_CAP_RSC : 0);
}

/* Does the packet filter let a frame to this address through? */
bool net_rndis_accepts(
	const struct net_rndis *rndis, const uint8_t destination[static ETH_ADDR_LEN]);

#endif
