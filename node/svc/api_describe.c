/* SPDX-License-Identifier: MIT
 *
 * api_describe.c - the whole cluster as people made it, in one answer: what a cluster's file is
 * compared with (node/deploy/differ.h). From the store alone, so it is one moment's, and complete
 * also while nodes are down.
 */
#include "node/svc/network.h"
#include "node/svc/node_limit.h"
#include "node/svc/svc.h"
#include "node/svc/switch.h"

#include <stdio.h>
#include <string.h>

static struct json *describe_nodes(struct svc *svc)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));
	struct json *list = json_array_new();

	for (size_t i = 0; i < n; i++) {
		struct json *node = json_object_new(), *addresses = json_array_new();

		json_set_string(node, "name", nodes[i].name);
		json_set_int(node, "id", nodes[i].id);
		for (size_t k = 0; k < ARRAY_LEN(nodes[i].ring_addr); k++) {
			if (nodes[i].ring_addr[k][0])
				json_append_string(addresses, nodes[i].ring_addr[k]);
		}
		json_set(node, "addresses", addresses);
		node_limit_show(svc, nodes[i].name, node);
		json_append(list, node);
	}
	return list;
}

struct describing {
	struct svc *svc;
	struct json *list;
};

static int describe_switch(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	static const char *const copied[] = {
		"type", "team", "bandwidth_mode", "link_bps", "logical"};
	struct describing *d = data;
	const char *node = strchr(key, '/') + 1, *name = strrchr(key, '/') + 1;
	struct json *entry = json_object_new();
	char node_name[SVC_NAME_MAX_LEN + 1];

	snprintf(node_name, sizeof(node_name), "%.*s", (int)(name - node - 1), node);
	json_set_string(entry, "node", node_name);
	json_set_string(entry, "name", name);
	json_set(entry, "uplinks", switch_uplinks(record));
	for (size_t i = 0; i < ARRAY_LEN(copied); i++) {
		if (json_get(record, copied[i]))
			json_set(entry, copied[i], json_copy(json_get(record, copied[i])));
	}
	json_set(entry, "adapters", switch_adapters(record, node_name, name));
	json_append(d->list, entry);
	return 0;
}

static int describe_volume(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct describing *d = data;
	struct json *entry = json_object_new();

	json_set_string(entry, "name", strchr(key, '/') + 1);
	json_set_string(entry, "path", json_get_string(record, "path", ""));
	json_append(d->list, entry);
	return 0;
}

static int describe_vm(
	const char *key, const struct json *config, uint64_t version _unused_, void *data)
{
	struct describing *d = data;
	const char *name = strchr(key, '/') + 1, *reason;
	char policy_key[SVC_NAME_MAX_LEN + 16];
	const struct json *policy;
	struct vm_view view;
	struct json *entry;

	if (api_vm_view(d->svc, name, &view) < 0)
		return 0;
	entry = json_copy(config);
	json_set_string(entry, "name", name);
	json_set_string(entry, "node", view.node.id ? view.node.name : "-");
	json_set_string(entry, "state", api_vm_state(&view, &reason));
	snprintf(policy_key, sizeof(policy_key), "policy/%s", name);
	if (cluster_get(d->svc->cluster, policy_key, &policy, NULL) == 0)
		json_set(entry, "policy", json_copy(policy));
	json_append(d->list, entry);
	return 0;
}

static struct json *describe(struct svc *svc, const char *prefix,
	int (*fn)(const char *key, const struct json *value, uint64_t version, void *data))
{
	struct describing d = {.svc = svc, .list = json_array_new()};

	cluster_for_each(svc->cluster, prefix, fn, &d);
	return d.list;
}

/* -> {node, nodes: [{name, id, addresses}], networks: as network.list, switches: [{node, name,
 * type, uplinks, adapters, ...}], volumes: [{name, path}], vms: [{name, node, state, configuration,
 * [policy]}]} */
void api_cluster_describe(struct api_call *call)
{
	struct json *result = json_object_new();

	json_set_string(result, "node", cluster_local_name(call->svc->cluster));
	json_set(result, "nodes", describe_nodes(call->svc));
	json_set(result, "networks", api_networks(call->svc));
	json_set(result, "switches", describe(call->svc, "switch/", describe_switch));
	json_set(result, "volumes", describe(call->svc, "volume/", describe_volume));
	json_set(result, "vms", describe(call->svc, "vm/", describe_vm));
	api_reply(call, result);
}
