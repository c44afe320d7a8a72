/* SPDX-License-Identifier: MIT
 *
 * net_path.h - which cluster network carries what between two nodes, and why. Pure, like net.h.
 *
 * heartbeat   corosync's choice in passive mode: of the links that work the one with the highest
 *             priority, of equals the first
 * volume      redirected disk traffic: networks of the cluster, the lowest metric first
 * migration   the order that people set; without one by role and metric, where the network with
 *             the lowest metric - heartbeats, volumes - comes last
 * management  requests between node services: networks for clients first, then by metric
 */
#ifndef VIADUCT_CLUSTER_NET_PATH_H
#define VIADUCT_CLUSTER_NET_PATH_H

#include "cluster/net.h"

/* Every network once for this pair, into `ret_paths` (room for `n_nets`): first those that may be
 * used, as they are preferred - of them those that work are tried in this order -, then the others.
 * Returns how many. */
size_t net_path_plan(const struct net_input *in, const struct cluster_net *nets, size_t n_nets,
	enum cluster_class class, uint32_t from, uint32_t to, struct cluster_path *ret_paths);

#endif
