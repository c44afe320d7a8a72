/* SPDX-License-Identifier: MIT
 *
 * netprobe_udp.h - netprobe.h over UDP: a socket for each own address that is probed from, bound to
 * its interface, with a TTL of 1 - an answer by way of a router would say nothing about the
 * network. Threads: the loop's.
 */
#ifndef VIADUCT_CLUSTER_NETPROBE_UDP_H
#define VIADUCT_CLUSTER_NETPROBE_UDP_H

#include "base/loop.h"
#include "cluster/netprobe.h"

#define NETPROBE_PORT 5711

struct netprobe_udp;

int netprobe_udp_new(struct loop *loop, uint32_t self, void (*changed)(void *data), void *data,
	struct netprobe_udp **ret_probe);
void netprobe_udp_free(struct netprobe_udp *probe); /* NULL is fine */
/* As netprobe_set_paths(). A socket that cannot be had now is tried again by itself. */
int netprobe_udp_set_paths(
	struct netprobe_udp *probe, const struct netprobe_path *paths, size_t n_paths);
void netprobe_udp_fill_row(const struct netprobe_udp *probe, struct net_row *row);

#endif
