/* SPDX-License-Identifier: MIT
 *
 * net_offload.h - between the offloads of a switch port and those NDIS speaks of: what the adapter
 * can do, and what the guest has switched on. Internal to the network VSP.
 *
 * Checksums towards the guest need nothing of the port: the VSP tells what it has been told or has
 * computed. Checksums and segmentation from the guest are offered when the port takes them.
 * Coalesced packets are offered when the guest said that it knows them, and stay off until it
 * switches them on. The NIC's configuration may withhold any of these. Coalescing goes with being
 * told of checksums: no guest's stack joins packets that it has yet to check.
 */
#ifndef VIADUCT_VMBUS_NET_OFFLOAD_H
#define VIADUCT_VMBUS_NET_OFFLOAD_H

#include "base/err.h"
#include "vmbus/proto/rndis.h"

enum {
	NET_OFFLOAD_TX = 1,
	NET_OFFLOAD_RX = 2,
	NET_OFFLOAD_BOTH = 3,
};

struct net_offload {
	uint8_t ip4, tcp4, udp4, tcp6, udp6; /* checksums: NET_OFFLOAD_* */
	bool lso4, lso6;
	bool rsc4, rsc6;
};

/* Beside enum eth_cap in `caps`: the guest understands coalesced packets. */
#define NET_CAP_RSC (1U << 16)
/* The guest is to check checksums, and to coalesce, itself. */
#define NET_CAP_NO_RX_CSUM (1U << 17)
#define NET_CAP_NO_RSC     (1U << 18)

/* What is left of `caps` when enum netvsp_offload bits of it are withheld. */
uint32_t net_offload_withhold(uint32_t caps, uint32_t withheld);
/* Nothing in it is withheld. */
bool net_offload_is_granted(const struct net_offload *offload, uint32_t withheld);

/* Everything that these capabilities allow. */
struct net_offload net_offload_capable(uint32_t caps);

/* The NDIS object that says so, in the form of the guest's NDIS version ((major << 16) + minor) and
 * not above `limit_bytes`. Returns its size. */
size_t net_offload_describe(const struct net_offload *offload, uint32_t ndis_version,
	size_t limit_bytes, struct ndis_offload *ret_object);

/* The guest's wish; what is beyond `caps` stays off. `params` is a copy. -EINVAL: too short,
 * not such an object, or values that do not exist; then nothing changes. */
int net_offload_set(
	struct net_offload *offload, uint32_t caps, const uint8_t *params, size_t size_bytes);

#endif
