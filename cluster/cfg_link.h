/* SPDX-License-Identifier: MIT
 *
 * cfg_link.h - which of corosync's links reach which nodes, asked of its cfg service (cfg_link.c is
 * its only user). There is no event for it; asking takes some 50 us a node. Threads: the loop's
 * thread.
 */
#ifndef VIADUCT_CLUSTER_CFG_LINK_H
#define VIADUCT_CLUSTER_CFG_LINK_H

#include "base/err.h"
#include "cluster/net_records.h"

struct cfg_link;

int cfg_link_new(struct cfg_link **ret_link);
void cfg_link_free(struct cfg_link *link);

/* This node's row, for the given peers: configured nodes only, corosync may not be asked about
 * others. Peers it knows nothing about are left out. */
int cfg_link_row(
	struct cfg_link *link, const uint32_t *peers, size_t n_peers, struct net_row *ret_row);

/* Have all members read corosync.conf again; and stop this node's corosync. They wait for
 * corosync's answer, a few milliseconds. */
int cfg_link_reload(struct cfg_link *link);
int cfg_link_shutdown(struct cfg_link *link);

#endif
