/* SPDX-License-Identifier: MIT
 *
 * Changes of bindings that people ask for: checks, memory, deed, in this order.
 */
#include "node/host/host.h"

#include "node/host/sysctl.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct change {
	struct host *host;
	struct host_net net;
	const struct host_nic *nic;
	char *error;
	size_t size_bytes;
};

static int _printf_(3, 4) refuse(struct change *c, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(c->error, c->size_bytes, format, args);
	va_end(args);
	return code;
}

static int begin(
	struct change *c, struct host *host, const char *name, char *error, size_t size_bytes)
{
	int r;

	*c = (struct change){.host = host, .error = error, .size_bytes = size_bytes};
	r = host_net_read(&c->net);
	if (r < 0)
		return refuse(
			c, r, "the kernel does not tell its network adapters: %s", strerror(-r));
	c->nic = host_net_find(&c->net, name);
	if (!c->nic) {
		host_net_fini(&c->net);
		return refuse(c, -ENODEV, "there is no network adapter '%.15s'", name);
	}
	return 0;
}

static int save(struct change *c)
{
	int r = nic_state_save(c->host->state);

	if (r == 0)
		return 0;
	nic_state_reload(c->host->state);
	return refuse(c, r, "%s cannot be written, so nothing was changed: %s",
		nic_state_path(c->host->state), strerror(-r));
}

/* Forget, after everything is back. That it cannot be written does no harm. */
static void forget(struct change *c, const char *key)
{
	nic_state_put(c->host->state, c->nic->name, key, NULL);
	nic_state_save(c->host->state);
}

static int failed(struct change *c, int r, enum host_component component, const char *verb)
{
	return refuse(c, r, "%s of %s was not %s completely: %s; what it had is in %s",
		host_component_name(component), c->nic->name, verb, strerror(-r),
		nic_state_path(c->host->state));
}

/* ---- one component ---- */

static int check_routes(struct change *c, enum host_component component)
{
	int family = component == HOST_IPV4 ? AF_INET : AF_INET6;
	const struct host_route *route;
	char text[HOST_ADDRESS_TEXT];

	if (component != HOST_IPV4 && component != HOST_IPV6)
		return 0;
	route = nic_special_route(&c->net, c->nic, family);
	if (!route)
		return 0;
	return refuse(c, -EOPNOTSUPP,
		"the route to %s over %s has several paths or settings of its own, which could not "
		"be restored; remove it first",
		host_address_text(family, route->to, route->prefix_len, text), c->nic->name);
}

static int disable(struct change *c, enum host_component component)
{
	const char *nic = c->nic->name;
	int r = check_routes(c, component), disabled;

	if (r < 0)
		return r;
	if (component == HOST_IPV6 && sysctl_get_ipv6_disabled(nic, &disabled) < 0)
		return refuse(c, -EOPNOTSUPP, "this kernel has no IPv6, on no adapter");
	r = component_remember(c->host, &c->net, c->nic, component);
	if (r == -ENOENT)
		return refuse(c, -ENOENT, "%s is not in a %s", nic, host_component_name(component));
	if (r == 0)
		r = save(c);
	if (r < 0)
		return r;
	r = component_remove(c->host, &c->net, c->nic, component);
	return r < 0 ? failed(c, r, component, "disabled") : 0;
}

static int enable(struct change *c, enum host_component component)
{
	const char *nic = c->nic->name, *name = host_component_name(component);
	bool known = nic_state_get(c->host->state, nic, name);
	int r;

	if (nic_state_get(c->host->state, nic, "taken"))
		return refuse(c, -EBUSY,
			"%s belongs to switch %s and carries nothing else; unbind it first", nic,
			json_get_string(
				nic_state_get(c->host->state, nic, "taken"), "switch", "?"));
	if (!known && (component == HOST_BRIDGE || component == HOST_TEAM))
		return refuse(c, -ENOENT,
			"%s was in no %s that it could go back to; 'ip link set %s master NAME' "
			"puts it into one",
			nic, name, nic);
	if (!known && component == HOST_IPV4)
		return 0; /* nothing keeps it from having addresses */
	r = component_restore(c->host, &c->net, c->nic, component);
	if (r == -ENODEV && !(component == HOST_IPV4 || component == HOST_IPV6))
		return refuse(c, r, "the %s that %s was in does not exist any more", name, nic);
	if (r < 0)
		return failed(c, r, component, "restored");
	forget(c, name);
	return 0;
}

int host_component_disable(struct host *host, const char *nic, enum host_component component,
	char *error, size_t size_bytes)
{
	struct change c;
	int r = begin(&c, host, nic, error, size_bytes);

	if (r < 0)
		return r;
	r = component == HOST_VIADUCT_SWITCH ? -EINVAL : disable(&c, component);
	host_net_fini(&c.net);
	return r;
}

int host_component_enable(struct host *host, const char *nic, enum host_component component,
	char *error, size_t size_bytes)
{
	struct change c;
	int r = begin(&c, host, nic, error, size_bytes);

	if (r < 0)
		return r;
	r = component == HOST_VIADUCT_SWITCH ? -EINVAL : enable(&c, component);
	host_net_fini(&c.net);
	return r;
}

/* ---- an adapter for a switch ---- */

static bool has_address(const struct change *c, const char *text)
{
	uint8_t wanted[16] = {0};
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;

	if (inet_pton(family, text, wanted) != 1)
		return false;
	for (size_t i = 0; i < c->net.n_addresses; i++) {
		const struct host_address *a = &c->net.addresses[i];

		if (a->ifindex == c->nic->ifindex && a->family == family &&
			memcmp(a->local, wanted, sizeof(wanted)) == 0)
			return true;
	}
	return false;
}

static int check_take(struct change *c, const struct host_take *take)
{
	const char *nic = c->nic->name;

	if (c->nic->kind == HOST_NIC_BRIDGE)
		return refuse(c, -EOPNOTSUPP, "%s is a bridge, not an adapter for a switch", nic);
	for (size_t i = 0; i < take->n_essential && !take->force; i++) {
		if (has_address(c, take->essential[i]))
			return refuse(c, -EBUSY,
				"%s carries %s, this node's address in the cluster; --force takes "
				"it all the same",
				nic, take->essential[i]);
	}
	for (size_t i = 0; i < c->net.n_routes && !take->force; i++) {
		if (c->net.routes[i].ifindex == c->nic->ifindex && !c->net.routes[i].prefix_len)
			return refuse(c, -EBUSY,
				"%s has the default route: without it this node may be out of "
				"reach; --force takes it all the same",
				nic);
	}
	if (c->nic->master_ifindex && !take->force)
		return refuse(c, -EBUSY,
			"%s is in a bridge or a team; disable that first, or --force takes it "
			"out of it",
			nic);
	return 0;
}

static struct json *taken_record(struct change *c, const struct host_take *take)
{
	const struct json *old = nic_state_get(c->host->state, c->nic->name, "taken");
	struct json *components = old ? json_copy(json_get(old, "components")) : json_array_new();
	struct json *record = json_object_new();

	json_set_string(record, "switch", take->switch_name);
	json_set_bool(record, "up", json_get_bool(old, "up", c->nic->up));
	json_set_bool(record, "arp", json_get_bool(old, "arp", c->nic->arp));
	json_set(record, "components", components);
	return record;
}

static bool lists(const struct json *components, const char *name)
{
	for (size_t i = 0; i < json_length(components); i++) {
		if (strcmp(json_string(json_at(components, i), ""), name) == 0)
			return true;
	}
	return false;
}

/* What the adapter has and the switch does not want. */
static bool is_in_the_way(const struct change *c, enum host_component component)
{
	const struct host_nic *master = host_net_by_index(&c->net, c->nic->master_ifindex);

	switch (component) {
	case HOST_IPV4:
		return nic_has_address(&c->net, c->nic, AF_INET);
	case HOST_IPV6:
		return c->nic->ipv6;
	case HOST_BRIDGE:
		return master && master->kind == HOST_NIC_BRIDGE;
	case HOST_TEAM:
		return master && master->kind == HOST_NIC_TEAM;
	default:
		return false;
	}
}

static int take_nic(struct change *c, const struct host_take *take)
{
	struct json *record = taken_record(c, take), *components = json_get(record, "components");
	bool in_the_way[HOST_N_COMPONENTS] = {false};
	int r = 0;

	for (int i = 0; i < HOST_N_COMPONENTS && r == 0; i++) {
		in_the_way[i] = is_in_the_way(c, i);
		if (!in_the_way[i])
			continue;
		r = check_routes(c, i);
		if (r == 0)
			r = component_remember(c->host, &c->net, c->nic, i);
		if (!lists(components, host_component_name(i)))
			json_append_string(components, host_component_name(i));
	}
	if (r < 0) {
		json_unref(record);
		nic_state_reload(c->host->state);
		return r;
	}
	r = nic_state_put(c->host->state, c->nic->name, "taken", record);
	if (r == 0)
		r = save(c);
	if (r < 0)
		return r;
	for (int i = HOST_N_COMPONENTS - 1; i >= 0; i--) {
		r = in_the_way[i] ? component_remove(c->host, &c->net, c->nic, i) : 0;
		if (r < 0)
			return failed(c, r, i, "taken away");
	}
	r = rtnl_set_arp(c->host->rtnl, c->nic->ifindex, false);
	if (r == 0)
		r = rtnl_set_up(c->host->rtnl, c->nic->ifindex, true);
	return r < 0 ? refuse(c, r, "%s cannot be brought up: %s", c->nic->name, strerror(-r)) : 0;
}

int host_nic_take(struct host *host, const char *nic, const struct host_take *take, char *error,
	size_t size_bytes)
{
	struct change c;
	int r = begin(&c, host, nic, error, size_bytes);

	if (r < 0)
		return r;
	r = check_take(&c, take);
	if (r == 0)
		r = take_nic(&c, take);
	host_net_fini(&c.net);
	return r;
}

int host_nic_may_take(struct host *host, const char *nic, const struct host_take *take, char *error,
	size_t size_bytes)
{
	struct change c;
	int r = begin(&c, host, nic, error, size_bytes);

	if (r < 0)
		return r;
	r = check_take(&c, take);
	host_net_fini(&c.net);
	return r;
}

static int give_back(struct change *c)
{
	const struct json *taken = nic_state_get(c->host->state, c->nic->name, "taken");
	_cleanup_json_ struct json *components = NULL;
	int r;

	if (!taken)
		return refuse(c, -ENOENT, "%s was not taken for a switch", c->nic->name);
	components = json_copy(json_get(taken, "components"));
	r = rtnl_set_arp(c->host->rtnl, c->nic->ifindex, json_get_bool(taken, "arp", true));
	if (r == 0)
		r = rtnl_set_up(c->host->rtnl, c->nic->ifindex, json_get_bool(taken, "up", true));
	if (r < 0)
		return refuse(
			c, r, "%s cannot be set up as it was: %s", c->nic->name, strerror(-r));
	for (int i = 0; i < HOST_VIADUCT_SWITCH; i++) {
		if (!lists(components, host_component_name(i)))
			continue;
		r = component_restore(c->host, &c->net, c->nic, i);
		if (r < 0)
			return failed(c, r, i, "restored");
	}
	for (int i = 0; i < HOST_VIADUCT_SWITCH; i++) {
		if (lists(components, host_component_name(i)))
			nic_state_put(c->host->state, c->nic->name, host_component_name(i), NULL);
	}
	forget(c, "taken");
	return 0;
}

int host_nic_give_back(struct host *host, const char *nic, char *error, size_t size_bytes)
{
	struct change c;
	int r = begin(&c, host, nic, error, size_bytes);

	if (r < 0)
		return r;
	r = give_back(&c);
	host_net_fini(&c.net);
	return r;
}
