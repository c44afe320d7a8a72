/* SPDX-License-Identifier: MIT */
#include "node/host/bindings.h"

#include "node/host/host.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name, *original, *title;
} components[HOST_N_COMPONENTS] = {
	[HOST_IPV4] = {"ipv4", "ms_tcpip", "Internet Protocol Version 4 (TCP/IPv4)"},
	[HOST_IPV6] = {"ipv6", "ms_tcpip6", "Internet Protocol Version 6 (TCP/IPv6)"},
	[HOST_BRIDGE] = {"bridge", "ms_bridge", "Member of a Linux bridge"},
	[HOST_TEAM] = {"team", "ms_implat", "Member of a bond or a team"},
	[HOST_VIADUCT_SWITCH] = {"viaduct_switch", "vms_pp", "Viaduct virtual switch protocol"},
};

const char *host_component_name(enum host_component component)
{
	return components[component].name;
}

const char *host_component_title(enum host_component component)
{
	return components[component].title;
}

bool host_component_from_name(const char *name, enum host_component *ret_component)
{
	for (size_t i = 0; i < HOST_N_COMPONENTS; i++) {
		if (strcmp(components[i].name, name) == 0 ||
			strcmp(components[i].original, name) == 0) {
			*ret_component = (enum host_component)i;
			return true;
		}
	}
	return false;
}

int host_new(const char *state_dir, struct host **ret_host)
{
	struct host *host = calloc(1, sizeof(*host));
	int r;

	if (!host)
		return -ENOMEM;
	r = nic_state_load(state_dir, &host->state);
	if (r == 0)
		r = rtnl_open(&host->rtnl);
	if (r < 0) {
		host_free(host);
		return r;
	}
	*ret_host = host;
	return 0;
}

void host_free(struct host *host)
{
	if (!host)
		return;
	rtnl_close(host->rtnl);
	nic_state_free(host->state);
	free(host);
}

static bool is_remembered(const struct host *host, const char *nic, enum host_component component)
{
	return nic_state_get(host->state, nic, components[component].name);
}

void host_bindings_get(const struct host *host, const struct host_net *net,
	const struct host_nic *nic, const struct host_use *uses, size_t n_uses,
	struct host_bindings *ret_bindings)
{
	const struct host_nic *master = host_net_by_index(net, nic->master_ifindex);
	struct host_bindings b = {0};

	for (size_t i = 0; i < n_uses && !b.owner; i++) {
		if (strcmp(uses[i].uplink, nic->name) == 0)
			b.owner = uses[i].switch_name;
	}
	for (size_t i = 0; i < HOST_N_COMPONENTS; i++)
		b.remembered[i] = is_remembered(host, nic->name, (enum host_component)i);
	b.taken = nic_state_get(host->state, nic->name, "taken");
	b.enabled[HOST_IPV4] =
		nic_has_address(net, nic, AF_INET) ||
		(!b.owner && !b.taken && !nic->master_ifindex && !b.remembered[HOST_IPV4]);
	b.enabled[HOST_IPV6] = nic->ipv6;
	b.enabled[HOST_TEAM] = master && master->kind == HOST_NIC_TEAM;
	b.enabled[HOST_BRIDGE] = master && master->kind == HOST_NIC_BRIDGE;
	b.enabled[HOST_VIADUCT_SWITCH] = b.owner;
	if (master)
		snprintf(b.master, sizeof(b.master), "%s", master->name);
	*ret_bindings = b;
}

/* "ipv4, bridge" */
static bool list_others(const struct host_bindings *b, char *text, size_t size_bytes)
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < HOST_VIADUCT_SWITCH && len < size_bytes; i++) {
		if (b->enabled[i])
			len += (size_t)snprintf(text + len, size_bytes - len, "%s%s",
				len ? ", " : "", components[i].name);
	}
	return len > 0;
}

bool host_bindings_judge(const struct host_nic *nic, const struct host_bindings *b,
	const struct host_use *uses, size_t n_uses, char *problem, char *cure, size_t size_bytes)
{
	char others[64];

	for (size_t i = 0; b->owner && i < n_uses; i++) {
		if (strcmp(uses[i].uplink, nic->name) != 0 ||
			strcmp(uses[i].switch_name, b->owner) == 0)
			continue;
		snprintf(problem, size_bytes, "%s is the uplink of switch %s and of switch %s",
			nic->name, b->owner, uses[i].switch_name);
		snprintf(cure, size_bytes, "viaduct switch delete %s", uses[i].switch_name);
		return false;
	}
	if (b->owner && list_others(b, others, sizeof(others))) {
		snprintf(problem, size_bytes,
			"%s belongs to switch %s, but %s still enabled on it: %s", nic->name,
			b->owner, strchr(others, ',') ? "these are" : "this is", others);
		snprintf(cure, size_bytes, "viaduct nic bindings --repair %s", nic->name);
		return false;
	}
	if (!b->owner && b->taken) {
		snprintf(problem, size_bytes,
			"%s is kept empty for a switch, but no switch names it as its uplink",
			nic->name);
		snprintf(cure, size_bytes, "viaduct nic bindings --unbind %s", nic->name);
		return false;
	}
	return true;
}
