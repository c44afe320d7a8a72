/* SPDX-License-Identifier: MIT */
#include "node/host/nic.h"

#include "node/host/ethtool.h"
#include "node/host/rtnl.h"
#include "node/host/sysctl.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

const char *host_nic_kind_name(enum host_nic_kind kind)
{
	static const char *const names[] = {
		[HOST_NIC_PHYSICAL] = "physical",
		[HOST_NIC_VIRTUAL] = "virtual",
		[HOST_NIC_BRIDGE] = "bridge",
		[HOST_NIC_TEAM] = "team",
		[HOST_NIC_TAP] = "tap",
		[HOST_NIC_VETH] = "veth",
	};

	return names[kind];
}

bool host_nic_name_is_valid(const char *name)
{
	size_t len = strlen(name);

	if (len < 1 || len > HOST_NIC_NAME_MAX_LEN || strcmp(name, ".") == 0 ||
		strcmp(name, "..") == 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isgraph((unsigned char)name[i]) || strchr("/:", name[i]))
			return false;
	}
	return true;
}

void host_net_fini(struct host_net *net)
{
	free(net->nics);
	free(net->addresses);
	free(net->routes);
	memset(net, 0, sizeof(*net));
}

static int order_by_index(const void *a, const void *b)
{
	const struct host_nic *x = a, *y = b;

	return x->ifindex < y->ifindex ? -1 : x->ifindex > y->ifindex;
}

/* What other sources than rtnetlink know of an adapter. */
static void complete(struct host_nic *nic)
{
	struct nic_link link;
	int disabled;

	nic->ipv6 = sysctl_get_ipv6_disabled(nic->name, &disabled) == 0 && !disabled;
	if (nic_get_link(nic->name, &link) < 0)
		return;
	snprintf(nic->driver, sizeof(nic->driver), "%s", link.driver);
	if (!nic->bus[0])
		snprintf(nic->bus, sizeof(nic->bus), "%s", link.bus);
	nic->speed_mbps = nic->carrier ? link.speed_mbps : 0;
}

int host_net_read(struct host_net *ret_net)
{
	struct host_net net = {0};
	struct rtnl *rtnl;
	int r = rtnl_open(&rtnl);

	if (r < 0)
		return r;
	r = rtnl_read(rtnl, &net);
	rtnl_close(rtnl);
	if (r < 0) {
		host_net_fini(&net);
		return r;
	}
	if (net.n_nics)
		qsort(net.nics, net.n_nics, sizeof(net.nics[0]), order_by_index);
	for (size_t i = 0; i < net.n_nics; i++)
		complete(&net.nics[i]);
	*ret_net = net;
	return 0;
}

const struct host_nic *host_net_find(const struct host_net *net, const char *name)
{
	for (size_t i = 0; i < net->n_nics; i++) {
		if (strcmp(net->nics[i].name, name) == 0)
			return &net->nics[i];
	}
	return NULL;
}

const struct host_nic *host_net_by_index(const struct host_net *net, int ifindex)
{
	for (size_t i = 0; i < net->n_nics; i++) {
		if (net->nics[i].ifindex == ifindex)
			return &net->nics[i];
	}
	return NULL;
}
