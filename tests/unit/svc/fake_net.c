/* SPDX-License-Identifier: MIT
 *
 * fake_net.c - two cluster networks, and the way to host2.
 */
#include "tests/unit/svc/fake_svc.h"

#include <stdio.h>
#include <string.h>

/* 10.10.3.0/24 and 10.10.4.0/24 as the store names them; a link runs over the first. */
size_t cluster_nets(const struct cluster *cluster, struct cluster_net *ret_nets, size_t max)
{
	for (size_t i = 0; i < 2 && i < max; i++) {
		struct cluster_net *net = &ret_nets[i];
		const struct json *record = NULL;
		char key[80];

		memset(net, 0, sizeof(*net));
		snprintf(net->subnet, sizeof(net->subnet), "10.10.%zu.0/24", 3 + i);
		snprintf(key, sizeof(key), "net/%s", net->subnet);
		cluster_get(cluster, key, &record, NULL);
		snprintf(net->name, sizeof(net->name), "Cluster Network %zu", i + 1);
		if (json_get_string(record, "name", NULL))
			snprintf(net->name, sizeof(net->name), "%s",
				json_get_string(record, "name", ""));
		net->role = (enum cluster_net_role)json_get_int(
			record, "role", CLUSTER_ROLE_CLUSTER_AND_CLIENT);
		net->state = CLUSTER_NET_UP;
		net->n_interfaces = 1;
		net->interfaces[0].node_id = 1;
		strcpy(net->interfaces[0].ifname, "eth1");
		snprintf(net->interfaces[0].address, sizeof(net->interfaces[0].address),
			"10.10.%zu.1", 3 + i);
	}
	return MIN(max, (size_t)2);
}

/* The first is usable, the second is excluded. */
size_t cluster_paths(const struct cluster *cluster, enum cluster_class class _unused_,
	uint32_t from_node _unused_, uint32_t to_node _unused_, struct cluster_net *ret_nets,
	struct cluster_path *ret_paths)
{
	ret_paths[0] = (struct cluster_path){.net = 0, .is_allowed = true, .is_usable = true};
	strcpy(ret_paths[0].why, "metric 7");
	ret_paths[1] = (struct cluster_path){.net = 1};
	strcpy(ret_paths[1].why, "it is excluded from migrations");
	return cluster_nets(cluster, ret_nets, 2);
}

/* Both networks should be the second, and host2 is reached over the first. */
size_t cluster_uses(const struct cluster *cluster, uint32_t from_node _unused_,
	struct cluster_net *ret_nets, struct cluster_use *ret_uses)
{
	cluster_nets(cluster, ret_nets, 2);
	for (unsigned i = 0; i < CLUSTER_N_CLASSES; i++) {
		ret_uses[i] = (struct cluster_use){
			.class = (enum cluster_class)i, .peer = 2, .net = 0, .preferred = 1};
		strcpy(ret_uses[i].why, "host1 cannot reach host2 on it");
	}
	return CLUSTER_N_CLASSES;
}

size_t cluster_migration_nets(const struct cluster *cluster _unused_, uint32_t from _unused_,
	uint32_t to _unused_, struct cluster_net *ret_nets _unused_, size_t max _unused_)
{
	return fake.moves;
}

const char *peer_address(const struct peer *peer _unused_, const char *name _unused_)
{
	return "10.10.3.2";
}
