/* SPDX-License-Identifier: MIT
 *
 * net_row.h - one node's row of the matrix of links: what it reaches, by corosync's links and by
 * its own probes, and what has become of that. Pure values.
 */
#ifndef VIADUCT_CLUSTER_NET_ROW_H
#define VIADUCT_CLUSTER_NET_ROW_H

#include "cluster/net.h"

#define NET_MAX_PROBED 1024

struct net_row {
	struct net_addr address[NET_MAX_LINKS];
	struct {
		uint32_t id;
		uint8_t links; /* bit per link that works */
	} peers[CLUSTER_MAX_NODES];
	size_t n_peers;
	struct {
		struct net_subnet subnet;
		uint32_t id;
		bool is_lost;
	} probed[NET_MAX_PROBED]; /* ordered by subnet */
	size_t n_probed;
};

bool net_row_equal(const struct net_row *a, const struct net_row *b);
/* Something was lost of a peer that was reached before; a link or probe that is new and does not
 * work is no loss of a link, but one of what is probed. */
bool net_row_is_worse(const struct net_row *row, const struct net_row *before);
/* A peer that nothing reaches leaves the membership in a moment, and then it is down: until then
 * nothing is said of it. `is_latest`: the links were asked for after the last probes; what corosync
 * said before does not count against probes that are all lost. */
void net_row_leave_silent_out(struct net_row *row, bool is_latest);

#endif
