/* SPDX-License-Identifier: MIT
 *
 * mcast_parse.h - what a frame says about IP multicast groups: IGMP, MLD, and the messages that
 * give a multicast router away. Layouts: fabric/igmp.h.
 *
 * Hostile. A message counts as a whole or not at all: one that is cut off, whose counts contradict
 * its length, whose checksum is wrong (RFC 4541, 2.1.1), or that came through a router or to one
 * receiver only says nothing. Records and types that are not known are passed over, as RFC 3376,
 * 4.2.12 asks.
 *
 * Sources are not told apart: who wants a group from some source wants the group, and who blocks a
 * source may still want it from another. Pure.
 */
#ifndef VIADUCT_FABRIC_MCAST_PARSE_H
#define VIADUCT_FABRIC_MCAST_PARSE_H

#include "fabric/headers.h"

#define MCAST_MAX_RECORDS 64 /* looked at in one report */

enum mcast_kind {
	MCAST_NOTHING,
	MCAST_QUERY,  /* a general one: all hosts are asked for all their groups */
	MCAST_ROUTER, /* a multicast router is there */
	MCAST_REPORT, /* groups are joined and left; perhaps none that can be pruned */
};

struct mcast_change {
	uint8_t group[HEADERS_IP_BYTES]; /* as in struct headers; mcast_group_mac() is true */
	bool join;                       /* or goes on; false: leaves */
};

struct mcast_message {
	enum mcast_kind kind;
	bool ipv6;
	uint64_t response_ns; /* MCAST_QUERY: hosts answer within it */

	/* MCAST_REPORT */
	unsigned n_changes;
	bool more; /* there are records behind the last that was looked at */
	struct mcast_change changes[MCAST_MAX_RECORDS];
};

/* `headers` are those of `frame`; IGMP and PIM are where l4_at and l4_bytes say. Writes all of
 * `ret` that goes with the kind. */
void mcast_parse(const struct headers *headers, const uint8_t *frame, size_t size_bytes,
	struct mcast_message *ret);

/* The Ethernet address of a group (RFC 1112, 6.4; RFC 2464, 7). False: not a group, or one that no
 * host needs to report and so is never pruned; `ret_mac` is then not written. */
bool mcast_group_mac(
	bool ipv6, const uint8_t group[HEADERS_IP_BYTES], uint8_t ret_mac[ETH_ADDR_LEN]);
/* Is `mac` the address of groups that may be pruned, and of which protocol? */
bool mcast_mac_is_group(const uint8_t mac[ETH_ADDR_LEN], bool *ret_ipv6);

#endif
