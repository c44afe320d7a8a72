/* SPDX-License-Identifier: MIT
 *
 * ethtool.h - what drivers say of adapters and let others set (SIOCETHTOOL); ethtool.c is the only
 * user of linux/ethtool.h here.
 *
 * Names are those of adapters in the caller's network namespace. -ENODEV: there is none;
 * -EOPNOTSUPP: its driver does not have this, or keeps it as it is.
 */
#ifndef VIADUCT_NODE_HOST_ETHTOOL_H
#define VIADUCT_NODE_HOST_ETHTOOL_H

#include "base/err.h"

struct nic_link {
	char driver[32];
	char bus[32];
	uint32_t speed_mbps; /* 0: unknown */
};
int nic_get_link(const char *nic, struct nic_link *ret_link);

enum nic_feature {
	NIC_TX_CHECKSUM, /* TCP and UDP alike */
	NIC_RX_CHECKSUM,
	NIC_TSO, /* large send, by the adapter */
	NIC_GSO, /* large send, cut by the kernel as late as possible */
	NIC_GRO, /* receive coalescing by the kernel */
	NIC_LRO, /* receive coalescing by the adapter */
	NIC_N_FEATURES,
};
int nic_get_feature(const char *nic, enum nic_feature feature, bool *ret_on);
int nic_set_feature(const char *nic, enum nic_feature feature, bool on);

/* Receive queues that traffic is spread over, and how many there could be. */
struct nic_channels {
	uint32_t rx, max_rx;
	bool combined; /* each is a transmit queue as well */
};
int nic_get_channels(const char *nic, struct nic_channels *ret_channels);
int nic_set_rx_channels(const char *nic, uint32_t n);
/* What the receive hash of TCP over IPv4 is made of: "addresses", "addresses and ports". */
int nic_get_rx_hash(const char *nic, const char **ret_text);

#endif
