/* SPDX-License-Identifier: MIT
 *
 * net_ppi.h - per-packet information: the list in front of a frame that says what the other side's
 * offloads shall do, or have done. Internal to the network VSP.
 */
#ifndef VIADUCT_VMBUS_NET_PPI_H
#define VIADUCT_VMBUS_NET_PPI_H

#include "base/err.h"
#include "vmbus/proto/rndis.h"

/* What the guest may put in front of a frame: every kind once, and some we do not know. */
#define NET_PPI_MAX_BYTES 512

/* The kinds that matter to the host, as their u32 values of rndis.h. */
struct net_ppi {
	bool has_checksum, has_lso, has_vlan;
	uint32_t checksum, lso, vlan;
};

/* `list` is a copy of the guest's. -EBADMSG: an entry of no size, a misaligned one, one that leaves
 * the list or lacks its value, or two of one kind. */
int net_ppi_parse(const uint8_t *list, size_t size_bytes, struct net_ppi *ret_ppi);

/* Append an entry at list + *size_bytes; the caller has the room. `type`: enum rndis_ppi_type, or
 * RNDIS_PPI_PACKET_ID. */
void net_ppi_append(uint8_t *list, size_t *size_bytes, uint32_t type, uint32_t value);

/* Between the order of the PPI and that of the tag on a wire. */
uint16_t net_ppi_vlan_to_tci(uint32_t vlan);
uint32_t net_ppi_vlan_from_tci(uint16_t tci);
/* The value of RNDIS_PPI_PACKET_ID for one part of a coalesced packet. */
uint32_t net_ppi_packet_id(uint16_t id, bool first, bool last);

#endif
