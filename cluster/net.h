/* SPDX-License-Identifier: MIT
 *
 * net.h - cluster networks, computed. Pure: records in, networks out, the same at every node that
 * has the same records.
 *
 * A network is an IPv4 subnet in which nodes have interfaces. Its state comes from the matrix of
 * corosync's links: each node reports which of its links reach which peers, and two nodes can talk
 * over a network if every report there is about this pair says so. A network that no link runs over
 * is Unknown, and says why: nothing measures it. States, roles and their rules are Windows'
 * (failover clustering, CLUSTER_NETWORK_STATE and CLUSTER_NETINTERFACE_STATE).
 *
 * The automatic metric is 40000 for cluster only, 80000 for cluster and client, 120000 for networks
 * that the cluster does not use, minus 16 a Gbit/s of the slowest interface, plus what makes it
 * unique.
 */
#ifndef VIADUCT_CLUSTER_NET_H
#define VIADUCT_CLUSTER_NET_H

#include "cluster/cluster.h"

#define NET_MAX_LINKS      8
#define NET_MAX_INTERFACES 256 /* of all nodes */
#define NET_MAX_METRIC     0x0fffffff

struct net_node {
	uint32_t id;
	char name[CLUSTER_NAME_MAX_LEN + 1];
	bool is_member;                       /* in the corosync membership */
	bool is_reporting;                    /* its daemon is there to keep its records current */
	uint32_t link_address[NET_MAX_LINKS]; /* IPv4 in host order, 0 for none */
	/* Its row of the matrix, by index of the peer. */
	bool reports[CLUSTER_MAX_NODES];    /* has said something about the peer that is current */
	uint8_t reaches[CLUSTER_MAX_NODES]; /* bit per link */
};

struct net_interface {
	size_t node; /* index */
	char ifname[32];
	uint32_t address; /* host order */
	unsigned prefix_len;
	uint32_t speed_mbps; /* 0: unknown */
};

struct net_override {
	uint32_t subnet;
	unsigned prefix_len;
	char name[CLUSTER_NAME_MAX_LEN + 1]; /* "" for the default */
	int role;                            /* -1 for the default */
	uint32_t metric;                     /* 0: automatic */
	int migration_order;                 /* 0: not listed */
};

struct net_input {
	struct net_node nodes[CLUSTER_MAX_NODES];
	size_t n_nodes;
	struct net_interface interfaces[NET_MAX_INTERFACES];
	size_t n_interfaces;
	struct net_override overrides[CLUSTER_MAX_NETS];
	size_t n_overrides;
};

/* At most `max` networks, ordered by subnet; returns how many. */
size_t net_compute(const struct net_input *in, struct cluster_net *ret_nets, size_t max);
/* Whether these two nodes reach each other over this network, as far as is known. */
bool net_can_talk(
	const struct net_input *in, const struct cluster_net *net, uint32_t a, uint32_t b);
/* As cluster_migration_nets(). */
size_t net_choose_migration(const struct net_input *in, const struct cluster_net *nets,
	size_t n_nets, uint32_t from, uint32_t to, struct cluster_net *ret_nets, size_t max);

static inline uint32_t net_mask(unsigned prefix_len)
{
	return prefix_len ? UINT32_MAX << (32 - prefix_len) : 0;
}

#endif
