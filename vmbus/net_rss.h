/* SPDX-License-Identifier: MIT
 *
 * net_rss.h - receive-side scaling: the Toeplitz hash of a frame's addresses and ports, and the
 * guest's table that makes a queue of it. Internal to the network VSP.
 *
 * Which addresses and ports count is the guest's hash information: with the type of TCP (or UDP)
 * set, both ends' ports count for it, else, and for fragments, the IP addresses alone when the type
 * of IP is set. Frames that no type covers have no hash and go to queue 0.
 *
 * Hostile: parameters are a private copy; nothing is taken over unless all of it holds together.
 */
#ifndef VIADUCT_VMBUS_NET_RSS_H
#define VIADUCT_VMBUS_NET_RSS_H

#include "vmbus/net_packet.h"
#include "vmbus/proto/rndis.h"

#define NET_MAX_QUEUES 8

/* Addresses of IPv6 and two ports. */
#define NET_RSS_INPUT_MAX_BYTES 36

struct net_rss {
	bool enabled;
	uint32_t hash_information; /* NDIS_HASH_* */
	uint8_t key[NDIS_RSS_KEY_MAX_BYTES];
	uint32_t n_entries; /* a power of two; 0: there is no table */
	uint8_t table[NDIS_RSS_TABLE_MAX_ENTRIES];

	/* Made from the key: what each value of each four bits of the input adds. */
	uint32_t nibbles[2 * NET_RSS_INPUT_MAX_BYTES][16];
};

/* The value of OID_GEN_RECEIVE_SCALE_PARAMETERS. -EINVAL: it does not hold together, or names a
 * queue from `n_queues` on; then nothing changes. */
int net_rss_set(struct net_rss *rss, unsigned n_queues, const uint8_t *params, size_t size_bytes);
/* After `key` was written by somebody else. */
void net_rss_prepare(struct net_rss *rss);

/* The hash of an IP packet, when scaling is on and covers it. */
bool net_rss_hash(const struct net_rss *rss, const uint8_t *frame, const struct net_layers *layers,
	uint32_t *ret_hash);
/* The queue for this hash; scaling is on. */
unsigned net_rss_queue(const struct net_rss *rss, uint32_t hash);

#endif
