/* SPDX-License-Identifier: MIT
 *
 * netif.h - this node's interfaces, as they are now: the addresses of both families, without
 * loopback, link-local, temporary and not yet usable ones, ordered by name and family; of one
 * interface's IPv4 addresses the primary ones come first.
 */
#ifndef VIADUCT_CLUSTER_NETIF_H
#define VIADUCT_CLUSTER_NETIF_H

#include "cluster/net.h"

/* At most `max`; net_interface.node is 0. */
int netif_enumerate(struct net_interface *ret_interfaces, size_t max, size_t *ret_n);

#endif
