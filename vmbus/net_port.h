/* SPDX-License-Identifier: MIT
 *
 * net_port.h - what lies on the far side of a NIC: its switch port, and what has passed. Internal
 * to the network VSP.
 */
#ifndef VIADUCT_VMBUS_NET_PORT_H
#define VIADUCT_VMBUS_NET_PORT_H

#include "base/bytes.h"
#include "base/eth_ops.h"

#include <pthread.h>

struct net_port {
	const struct eth_ops *ops;
	void *port;
	uint32_t caps;        /* enum eth_cap */
	pthread_mutex_t lock; /* the port's sending side */
};

/* One direction. Multicast includes no broadcast. */
struct net_traffic {
	uint64_t frames, bytes;
	uint64_t multicast_frames, multicast_bytes;
	uint64_t broadcast_frames, broadcast_bytes;
	uint64_t dropped;
};

/* Sent means by the guest, received means to the guest. A frame the other side takes whole counts
 * once. */
struct net_stats {
	struct net_traffic tx, rx;
	uint64_t n_protocol_errors;
};

static inline bool net_is_broadcast(const uint8_t destination[static ETH_ADDR_LEN])
{
	static const uint8_t broadcast[ETH_ADDR_LEN] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

	return memcmp(destination, broadcast, ETH_ADDR_LEN) == 0;
}

static inline void net_traffic_count(
	struct net_traffic *traffic, const uint8_t destination[static ETH_ADDR_LEN], size_t bytes)
{
	traffic->frames++;
	traffic->bytes += bytes;
	if (!(destination[0] & 1))
		return;
	if (net_is_broadcast(destination)) {
		traffic->broadcast_frames++;
		traffic->broadcast_bytes += bytes;
	} else {
		traffic->multicast_frames++;
		traffic->multicast_bytes += bytes;
	}
}

#endif
