/* SPDX-License-Identifier: MIT
 *
 * net_port.h - what lies on the far side of a NIC: its switch port, and what it has counted so far.
 * Internal to the network VSP; owned by its worker.
 */
#ifndef VIADUCT_VMBUS_NET_PORT_H
#define VIADUCT_VMBUS_NET_PORT_H

#include "base/eth_ops.h"

struct net_port {
	const struct eth_ops *ops;
	void *port;
	uint32_t caps; /* enum eth_cap */
};

/* Sent means by the guest, received means to the guest. A frame the port takes whole counts once.
 */
struct net_stats {
	uint64_t tx_frames, tx_bytes, tx_dropped;
	uint64_t rx_frames, rx_bytes, rx_dropped;
	uint64_t n_protocol_errors;
};

#endif
