/* SPDX-License-Identifier: MIT
 *
 * net.h - cluster networks, computed. Pure: records in, networks out, the same at every node that
 * has the same records.
 *
 * A network is an IP subnet in which nodes have interfaces. Its state comes from the matrix of who
 * reaches whom: where a corosync link of both nodes runs over it, each node reports whether that
 * link works, and everywhere, whether its probes are answered (netprobe.h). Two nodes can talk over
 * a network if nobody who reports about this pair says that they cannot. States, roles and their
 * rules are Windows' (failover clustering, CLUSTER_NETWORK_STATE and CLUSTER_NETINTERFACE_STATE):
 *
 *   network    Unavailable: every node with an interface there is down. Down: no two nodes there
 *              can talk. Partitioned: some pair cannot. Up: all can.
 *   interface  Unavailable: its node is down. Failed: it reaches nobody. Unreachable: it misses a
 *              peer that is neither Failed nor Unavailable. Up: it reaches all such peers.
 *
 * The automatic metric is 40000 for cluster only, 80000 for cluster and client, 120000 for networks
 * that the cluster does not use, minus 19200 if all its interfaces do RDMA, minus 9600 if all have
 * several receive queues (RSS), minus 16 a Gbit/s of the slowest interface, plus what makes it
 * unique.
 */
#ifndef VIADUCT_CLUSTER_NET_H
#define VIADUCT_CLUSTER_NET_H

#include "cluster/cluster.h"
#include "cluster/net_addr.h"

#define NET_MAX_LINKS      8
#define NET_MAX_INTERFACES 1024 /* of all nodes */
#define NET_MAX_METRIC     0x0fffffff

_Static_assert(CLUSTER_MAX_NODES <= 64, "a set of nodes is 64 bits");

/* What a node's probes say about one subnet; bits by index of the peer. */
struct net_probed {
	struct net_subnet subnet;
	uint64_t reached, lost;
};

struct net_node {
	uint32_t id;
	char name[CLUSTER_NAME_MAX_LEN + 1];
	bool is_member;    /* in the corosync membership */
	bool is_reporting; /* its daemon is there to keep its records current */
	struct net_addr link_address[NET_MAX_LINKS];
	/* Its row of the matrix, by index of the peer. */
	bool reports[CLUSTER_MAX_NODES];    /* has said something about its links to the peer */
	uint8_t reaches[CLUSTER_MAX_NODES]; /* bit per link */
	struct net_probed probed[CLUSTER_MAX_NETS];
	size_t n_probed;
};

struct net_interface {
	size_t node; /* index */
	char ifname[32];
	struct net_addr address;
	unsigned prefix_len;
	uint32_t speed_mbps; /* 0: unknown */
	bool is_down;        /* switched off: it makes no network, and reaches nobody */
	bool has_rdma, has_rss;
};

/* What people have set. */
struct net_override {
	struct net_subnet subnet;
	char name[CLUSTER_NAME_MAX_LEN + 1]; /* "" for the default */
	int role;                            /* -1 for the default */
	uint32_t metric;                     /* 0: automatic */
};

/* One list for the cluster: which networks migrations take. */
struct net_migration {
	struct net_subnet order[CLUSTER_MAX_NETS]; /* the first is tried first */
	size_t n_order;
	struct net_subnet excluded[CLUSTER_MAX_NETS];
	size_t n_excluded;
	bool strict; /* none but those of the order */
};

struct net_input {
	struct net_node nodes[CLUSTER_MAX_NODES];
	size_t n_nodes;
	struct net_interface interfaces[NET_MAX_INTERFACES];
	size_t n_interfaces;
	struct net_override overrides[CLUSTER_MAX_NETS];
	size_t n_overrides;
	struct net_migration migration;
	uint8_t link_priority[NET_MAX_LINKS]; /* corosync's knet_link_priority: highest first */
};

/* At most `max` networks, ordered by subnet; returns how many. */
size_t net_compute(const struct net_input *in, struct cluster_net *ret_nets, size_t max);

enum net_talk { NET_TALK_UNKNOWN = -1, NET_TALK_NO, NET_TALK_YES };
/* Whether these two members with an interface there reach each other over this network. */
enum net_talk net_talk(
	const struct net_input *in, const struct cluster_net *net, uint32_t a, uint32_t b);
/* The index of a node; in->n_nodes for none. */
size_t net_find_node(const struct net_input *in, uint32_t id);
/* The link that both nodes have in that subnet, -1 for none. */
int net_pair_link(const struct net_input *in, const struct net_subnet *subnet, size_t a, size_t b);

#endif
