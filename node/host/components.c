/* SPDX-License-Identifier: MIT
 *
 * One component of an adapter: remembering, removing, restoring.
 */
#include "node/host/host.h"

#include "node/host/sysctl.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

static int family_of(enum host_component component)
{
	return component == HOST_IPV4 ? AF_INET : component == HOST_IPV6 ? AF_INET6 : AF_UNSPEC;
}

bool nic_has_address(const struct host_net *net, const struct host_nic *nic, int family)
{
	for (size_t i = 0; i < net->n_addresses; i++) {
		if (net->addresses[i].ifindex == nic->ifindex && net->addresses[i].family == family)
			return true;
	}
	return false;
}

const struct host_route *nic_special_route(
	const struct host_net *net, const struct host_nic *nic, int family)
{
	for (size_t i = 0; i < net->n_routes; i++) {
		if (net->routes[i].ifindex == nic->ifindex && net->routes[i].family == family &&
			net->routes[i].special && net->routes[i].protocol != RTPROT_RA)
			return &net->routes[i];
	}
	return NULL;
}

/* ---- remembering ---- */

/* The kernel makes link-local and router-announced addresses by itself, and connected routes. */
static bool is_of_a_person(const struct host_address *address)
{
	return address->family == AF_INET ||
	       (address->scope < RT_SCOPE_LINK && (address->flags & IFA_F_PERMANENT));
}

static bool route_is_of_a_person(const struct host_route *route)
{
	return route->protocol != RTPROT_KERNEL && route->protocol != RTPROT_RA &&
	       route->protocol != RTPROT_REDIRECT && !route->special;
}

static void append_once(struct json *array, struct json *value, const char *key)
{
	const char *text = json_get_string(value, key, "");

	for (size_t i = 0; i < json_length(array); i++) {
		const struct json *other = json_at(array, i);

		if (strcmp(json_get_string(other, key, ""), text) == 0 &&
			json_get_int(other, "metric", 0) == json_get_int(value, "metric", 0)) {
			json_unref(value);
			return;
		}
	}
	json_append(array, value);
}

static struct json *old_array(const struct json *old, const char *key)
{
	return json_get(old, key) ? json_copy(json_get(old, key)) : json_array_new();
}

static int remember_family(struct host *host, const struct host_net *net,
	const struct host_nic *nic, enum host_component component)
{
	const char *key = host_component_name(component);
	const struct json *old = nic_state_get(host->state, nic->name, key);
	struct json *addresses = old_array(old, "addresses"), *routes = old_array(old, "routes");
	struct json *value = json_object_new();
	int family = family_of(component);

	for (size_t i = 0; i < net->n_addresses; i++) {
		if (net->addresses[i].ifindex == nic->ifindex &&
			net->addresses[i].family == family && is_of_a_person(&net->addresses[i]))
			append_once(addresses, host_address_to_json(&net->addresses[i]), "address");
	}
	for (size_t i = 0; i < net->n_routes; i++) {
		if (net->routes[i].ifindex == nic->ifindex && net->routes[i].family == family &&
			route_is_of_a_person(&net->routes[i]))
			append_once(routes, host_route_to_json(&net->routes[i]), "to");
	}
	json_set(value, "addresses", addresses);
	json_set(value, "routes", routes);
	return nic_state_put(host->state, nic->name, key, value);
}

static const struct host_nic *master_of(
	const struct host_net *net, const struct host_nic *nic, enum host_component component)
{
	const struct host_nic *master = host_net_by_index(net, nic->master_ifindex);
	enum host_nic_kind kind = component == HOST_TEAM ? HOST_NIC_TEAM : HOST_NIC_BRIDGE;

	return master && master->kind == kind ? master : NULL;
}

int component_remember(struct host *host, const struct host_net *net, const struct host_nic *nic,
	enum host_component component)
{
	const struct host_nic *master;
	struct json *value;

	if (family_of(component) != AF_UNSPEC)
		return remember_family(host, net, nic, component);
	master = master_of(net, nic, component);
	if (!master)
		return -ENOENT;
	value = json_object_new();
	json_set_string(value, "master", master->name);
	return nic_state_put(host->state, nic->name, host_component_name(component), value);
}

/* ---- removing ---- */

/* Whatever went by itself, with what it depended on, is gone as well. */
static int unless_gone(int r)
{
	return r == -EADDRNOTAVAIL || r == -ESRCH || r == -ENOENT ? 0 : r;
}

static int remove_family(
	struct host *host, const struct host_net *net, const struct host_nic *nic, int family)
{
	int r = 0;

	/* Routes first: deleting an address may take them along, or leave them. */
	for (size_t i = 0; i < net->n_routes && r == 0; i++) {
		if (net->routes[i].ifindex == nic->ifindex && net->routes[i].family == family)
			r = unless_gone(rtnl_route(host->rtnl, RTNL_DELETE, &net->routes[i]));
	}
	for (size_t i = 0; i < net->n_addresses && r == 0; i++) {
		if (net->addresses[i].ifindex == nic->ifindex && net->addresses[i].family == family)
			r = unless_gone(rtnl_address(host->rtnl, RTNL_DELETE, &net->addresses[i]));
	}
	return r;
}

int component_remove(struct host *host, const struct host_net *net, const struct host_nic *nic,
	enum host_component component)
{
	int r;

	switch (component) {
	case HOST_IPV4:
		return remove_family(host, net, nic, AF_INET);
	case HOST_IPV6:
		/* The kernel takes addresses and routes along. */
		r = sysctl_set_ipv6_disabled(nic->name, 1);
		return r == -ENOENT ? 0 : r;
	case HOST_BRIDGE:
	case HOST_TEAM:
		return rtnl_set_master(host->rtnl, nic->ifindex, 0);
	default:
		return -EINVAL;
	}
}

/* ---- restoring ---- */

static int restore_family(struct host *host, const struct json *memory, const struct host_nic *nic)
{
	const struct json *addresses = json_get(memory, "addresses");
	const struct json *routes = json_get(memory, "routes");
	struct host_address address;
	struct host_route route;
	int r = 0;

	for (size_t i = 0; i < json_length(addresses) && r == 0; i++) {
		r = host_address_from_json(json_at(addresses, i), &address);
		address.ifindex = nic->ifindex;
		if (r == 0)
			r = rtnl_address(host->rtnl, RTNL_ADD, &address);
		if (r == -EEXIST)
			r = 0;
	}
	/* A route over a gateway needs the one that reaches the gateway: connected ones come with
	 * the addresses, narrow ones go first. */
	for (unsigned pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < json_length(routes) && r == 0; i++) {
			r = host_route_from_json(json_at(routes, i), &route);
			if (r < 0 || route.has_gateway != (pass == 1))
				continue;
			route.ifindex = nic->ifindex;
			r = rtnl_route(host->rtnl, RTNL_ADD, &route);
			if (r == -EEXIST)
				r = 0;
		}
	}
	return r;
}

static int restore_master(struct host *host, const struct host_net *net, const struct host_nic *nic,
	enum host_component component, const struct json *memory)
{
	const struct host_nic *master = host_net_find(net, json_get_string(memory, "master", ""));
	int r = 0;

	if (!master)
		return -ENODEV;
	if (nic->master_ifindex == master->ifindex)
		return 0;
	/* A bond takes only adapters that are down. */
	if (component == HOST_TEAM)
		r = rtnl_set_up(host->rtnl, nic->ifindex, false);
	if (r == 0)
		r = rtnl_set_master(host->rtnl, nic->ifindex, master->ifindex);
	if (component == HOST_TEAM && nic->up)
		rtnl_set_up(host->rtnl, nic->ifindex, true);
	return r;
}

int component_restore(struct host *host, const struct host_net *net, const struct host_nic *nic,
	enum host_component component)
{
	const struct json *memory =
		nic_state_get(host->state, nic->name, host_component_name(component));
	int r = 0;

	if (component == HOST_IPV6) {
		r = sysctl_set_ipv6_disabled(nic->name, 0);
		if (r == -ENOENT && json_length(json_get(memory, "addresses")) == 0)
			return 0; /* the kernel has no IPv6: nothing was taken */
	}
	if (r < 0)
		return r;
	if (family_of(component) != AF_UNSPEC)
		return restore_family(host, memory, nic);
	return restore_master(host, net, nic, component, memory);
}
