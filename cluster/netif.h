/* SPDX-License-Identifier: MIT
 *
 * netif.h - this node's interfaces, as they are now: IPv4 addresses of interfaces that are up,
 * without loopback and link-local ones, ordered by name and address, one for each subnet of an
 * interface.
 */
#ifndef VIADUCT_CLUSTER_NETIF_H
#define VIADUCT_CLUSTER_NETIF_H

#include "cluster/net.h"

/* At most `max`; net_interface.node is 0. */
int netif_enumerate(struct net_interface *ret_interfaces, size_t max, size_t *ret_n);

#endif
