/* SPDX-License-Identifier: MIT
 *
 * order.h - which adapter a protocol prefers. The order is that of the metrics of default and
 * connected routes: the smallest one is first. Moving an adapter gives every ranked one a metric of
 * its own, 10 for the first, 20 for the second, and so on; adapters without addresses and routes
 * have no rank.
 *
 * Planning is pure, so what would be done can be shown first. Routes that routers announce, and
 * those that cannot be written again as they are, keep their metrics.
 */
#ifndef VIADUCT_NODE_HOST_ORDER_H
#define VIADUCT_NODE_HOST_ORDER_H

#include "node/host/bindings.h"

#define HOST_METRIC_STEP 10

struct host_order_entry {
	char nic[HOST_NIC_NAME_MAX_LEN + 1];
	bool ranked;
	uint32_t metric; /* of its default route, or of its best connected one */
	bool has_default;
};
/* The adapters in order, those without a rank last, by name. `family` is AF_INET or AF_INET6;
 * `ret_entries` has room for net->n_nics. Returns how many. */
size_t host_order_list(
	const struct host_net *net, int family, struct host_order_entry *ret_entries);

enum host_move { HOST_MOVE_UP, HOST_MOVE_DOWN, HOST_MOVE_TOP, HOST_MOVE_BOTTOM };

/* One route, or one address with its connected route, gets another metric. */
struct host_order_step {
	char nic[HOST_NIC_NAME_MAX_LEN + 1];
	bool is_address;
	struct host_address address; /* as it is */
	struct host_route route;     /* as it is */
	uint32_t from, to;
};
/* -ENODEV: no such adapter; -ENOENT: it has no rank; -ENOMEM. The steps are free()d by the caller.
 */
int host_order_plan(const struct host_net *net, int family, const char *nic, enum host_move move,
	struct host_order_step **ret_steps, size_t *ret_n);
/* One step; the route is never away in between. */
int host_order_apply(struct host *host, const struct host_order_step *step);

#endif
