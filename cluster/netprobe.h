/* SPDX-License-Identifier: MIT
 *
 * netprobe.h - who is reached over which network. Each node sends a small datagram to each peer in
 * each subnet that both have addresses in four times a second, from its own address there, and the
 * peer sends it back.
 *
 *   0  u32  "VNP1"           little endian
 *   4  u8   1 request, 2 answer
 *   5  u8   zero, three times
 *   8  u32  sender's node id
 *  12  u32  receiver's node id
 *  16  u8   nonce, 16 bytes, random for each request
 *
 * An answer has the nonce of the last request or the one before: so it was seen by somebody on
 * that path. That is all it proves, and all that depends on it is which network is tried first;
 * what then goes over a network is authenticated by itself. An answer is as long as the request,
 * goes to the configured address of a peer only, and there are a bounded number of them a second:
 * nobody is made to send to strangers, or more than he got.
 *
 * A path is reached after its first answer, and again, once lost, after two in a row. It is lost
 * NETPROBE_LOST_NS after the last answer; a path that never was reached gets longer. Time in which
 * this node itself stood still does not count.
 *
 * Where a corosync link runs, the link tells as well, but late when it was lost shortly before.
 * There a probe only takes away: a path is lost that was reached before, while the same peer
 * answers over another one (else it is the peer's service that does not). Where port and link are
 * told apart by a firewall, the link counts.
 *
 * Pure: no descriptor, clock or randomness of its own; netprobe_udp.h has those. Datagrams are
 * hostile. Threads: one.
 */
#ifndef VIADUCT_CLUSTER_NETPROBE_H
#define VIADUCT_CLUSTER_NETPROBE_H

#include "cluster/net_records.h"

#define NETPROBE_BYTES     32
#define NETPROBE_TICK_NS   125000000ULL /* requests go out with every second one */
#define NETPROBE_LOST_NS   600000000ULL
#define NETPROBE_GRACE_NS  2000000000ULL
#define NETPROBE_MAX_PATHS NET_MAX_PROBED

struct netprobe;

/* One way from here to a peer. */
struct netprobe_path {
	struct net_subnet subnet;
	struct net_addr local, remote;
	uint32_t peer; /* node id */
	bool has_link; /* of corosync */
	char ifname[32];
};

struct netprobe_ops {
	/* May fail silently: a datagram may be lost at any time. */
	void (*send)(
		const struct netprobe_path *path, const void *bytes, size_t size_bytes, void *data);
	void (*random)(void *bytes, size_t size_bytes, void *data);
	/* What netprobe_fill_row() says is different now. */
	void (*changed)(void *data);
};

int netprobe_new(
	uint32_t self, const struct netprobe_ops *ops, void *data, struct netprobe **ret_probe);
void netprobe_free(struct netprobe *probe); /* NULL is fine */

/* Those that were there keep what is known of them. At most NETPROBE_MAX_PATHS; ordered by subnet.
 * -ENOMEM: as before. */
int netprobe_set_paths(
	struct netprobe *probe, const struct netprobe_path *paths, size_t n_paths, uint64_t now_ns);
/* Every NETPROBE_TICK_NS. */
void netprobe_tick(struct netprobe *probe, uint64_t now_ns);
void netprobe_receive(struct netprobe *probe, const struct net_addr *local,
	const struct net_addr *remote, const void *bytes, size_t size_bytes, uint64_t now_ns);
/* Into row->probed: the paths of which something is known. */
void netprobe_fill_row(const struct netprobe *probe, struct net_row *row);

/* Where this node (by index) should probe: every peer with a service and an interface in a subnet
 * of ours. Returns how many. */
size_t netprobe_find_paths(
	const struct net_input *in, size_t self, struct netprobe_path *ret_paths, size_t max);

#endif
