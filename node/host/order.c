/* SPDX-License-Identifier: MIT */
#include "node/host/order.h"

#include "node/host/host.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>

/* A connected IPv6 route that says nothing of it has this one (IP6_RT_PRIO_ADDRCONF). */
#define IPV6_USUAL_METRIC 256

static bool is_movable(const struct host_route *route, int family)
{
	return route->family == family && !route->special && route->prefix_len == 0 &&
	       route->protocol != RTPROT_RA && route->protocol != RTPROT_REDIRECT;
}

/* Link-local prefixes are on every adapter alike and prefer none. */
static bool is_ranked(const struct host_address *address, int family)
{
	return address->family == family && address->scope < RT_SCOPE_LINK &&
	       !(address->flags & IFA_F_NOPREFIXROUTE);
}

static uint32_t metric_of(const struct host_address *address)
{
	return address->metric               ? address->metric
	       : address->family == AF_INET6 ? IPV6_USUAL_METRIC
					     : 0;
}

static void rank(const struct host_net *net, const struct host_nic *nic, int family,
	struct host_order_entry *entry)
{
	*entry = (struct host_order_entry){.metric = UINT32_MAX};
	memcpy(entry->nic, nic->name, sizeof(entry->nic));
	for (size_t i = 0; i < net->n_routes; i++) {
		const struct host_route *route = &net->routes[i];

		if (route->ifindex != nic->ifindex || !is_movable(route, family))
			continue;
		entry->metric = MIN(entry->metric, route->metric);
		entry->ranked = entry->has_default = true;
	}
	for (size_t i = 0; i < net->n_addresses && !entry->has_default; i++) {
		const struct host_address *address = &net->addresses[i];

		if (address->ifindex != nic->ifindex || !is_ranked(address, family))
			continue;
		entry->metric = MIN(entry->metric, metric_of(address));
		entry->ranked = true;
	}
}

static int by_metric(const void *a, const void *b)
{
	const struct host_order_entry *x = a, *y = b;

	if (x->ranked != y->ranked)
		return x->ranked ? -1 : 1;
	if (x->ranked && x->metric != y->metric)
		return x->metric < y->metric ? -1 : 1;
	/* Of two that the kernel likes equally, the one with a way out. */
	if (x->has_default != y->has_default)
		return x->has_default ? -1 : 1;
	return strcmp(x->nic, y->nic);
}

size_t host_order_list(const struct host_net *net, int family, struct host_order_entry *ret_entries)
{
	for (size_t i = 0; i < net->n_nics; i++)
		rank(net, &net->nics[i], family, &ret_entries[i]);
	if (net->n_nics)
		qsort(ret_entries, net->n_nics, sizeof(ret_entries[0]), by_metric);
	return net->n_nics;
}

static void move_entry(
	struct host_order_entry *entries, size_t n_ranked, size_t at, enum host_move move)
{
	struct host_order_entry moved = entries[at];
	size_t to = at;

	switch (move) {
	case HOST_MOVE_UP:
		to = at ? at - 1 : 0;
		break;
	case HOST_MOVE_DOWN:
		to = MIN(at + 1, n_ranked - 1);
		break;
	case HOST_MOVE_TOP:
		to = 0;
		break;
	case HOST_MOVE_BOTTOM:
		to = n_ranked - 1;
		break;
	}
	for (; at > to; at--)
		entries[at] = entries[at - 1];
	for (; at < to; at++)
		entries[at] = entries[at + 1];
	entries[to] = moved;
}

/* What has to change for this adapter to have that metric. */
static size_t plan_nic(const struct host_net *net, int family, const struct host_nic *nic,
	uint32_t metric, struct host_order_step *steps)
{
	size_t n = 0;

	for (size_t i = 0; i < net->n_addresses; i++) {
		const struct host_address *address = &net->addresses[i];

		if (address->ifindex != nic->ifindex || !is_ranked(address, family) ||
			metric_of(address) == metric)
			continue;
		steps[n] = (struct host_order_step){.is_address = true,
			.address = *address,
			.from = metric_of(address),
			.to = metric};
		memcpy(steps[n++].nic, nic->name, sizeof(steps->nic));
	}
	for (size_t i = 0; i < net->n_routes; i++) {
		const struct host_route *route = &net->routes[i];

		if (route->ifindex != nic->ifindex || !is_movable(route, family) ||
			route->metric == metric)
			continue;
		steps[n] = (struct host_order_step){
			.route = *route, .from = route->metric, .to = metric};
		memcpy(steps[n++].nic, nic->name, sizeof(steps->nic));
	}
	return n;
}

int host_order_plan(const struct host_net *net, int family, const char *nic, enum host_move move,
	struct host_order_step **ret_steps, size_t *ret_n)
{
	_cleanup_free_ struct host_order_entry *entries = calloc(net->n_nics + 1, sizeof(*entries));
	_cleanup_free_ struct host_order_step *steps =
		calloc(net->n_addresses + net->n_routes + 1, sizeof(*steps));
	size_t n_all, n_ranked = 0, at = 0, n = 0;

	if (!entries || !steps)
		return -ENOMEM;
	if (!host_net_find(net, nic))
		return -ENODEV;
	n_all = host_order_list(net, family, entries);
	while (n_ranked < n_all && entries[n_ranked].ranked)
		n_ranked++;
	while (at < n_ranked && strcmp(entries[at].nic, nic) != 0)
		at++;
	if (at == n_ranked)
		return -ENOENT;
	move_entry(entries, n_ranked, at, move);
	for (size_t i = 0; i < n_ranked; i++)
		n += plan_nic(net, family, host_net_find(net, entries[i].nic),
			(uint32_t)(i + 1) * HOST_METRIC_STEP, steps + n);
	*ret_steps = take_ptr(steps);
	*ret_n = n;
	return 0;
}

int host_order_apply(struct host *host, const struct host_order_step *step)
{
	struct host_address address = step->address;
	struct host_route route = step->route;
	int r;

	if (step->is_address) {
		address.metric = step->to;
		return rtnl_address(host->rtnl, RTNL_REPLACE, &address);
	}
	route.metric = step->to;
	r = rtnl_route(host->rtnl, RTNL_ADD, &route);
	return r < 0 ? r : rtnl_route(host->rtnl, RTNL_DELETE, &step->route);
}
