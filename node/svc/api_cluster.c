/* SPDX-License-Identifier: MIT */
#include "node/svc/svc.h"

#include <stdio.h>
#include <string.h>

static const char *const net_state_names[] = {
	"Unknown", "Unavailable", "Down", "Partitioned", "Up"};
static const char *const interface_state_names[] = {
	"Unknown", "Unavailable", "Failed", "Unreachable", "Up"};

static const struct {
	enum cluster_net_role role;
	const char *name;
} role_names[] = {
	{CLUSTER_ROLE_NONE, "None"},
	{CLUSTER_ROLE_CLUSTER, "Cluster"},
	{CLUSTER_ROLE_CLUSTER_AND_CLIENT, "ClusterAndClient"},
};

/* Both enumerations begin at -1 (unknown). */
static const char *name_of(const char *const *names, size_t n, int value)
{
	return value >= -1 && value + 1 < (int)n ? names[value + 1] : "Unknown";
}

static const char *role_name(enum cluster_net_role role)
{
	for (size_t i = 0; i < ARRAY_LEN(role_names); i++) {
		if (role_names[i].role == role)
			return role_names[i].name;
	}
	return "None";
}

/* ---- cluster.status ---- */

static int count_one(
	const char *key _unused_, const struct json *value, uint64_t version _unused_, void *data)
{
	struct json *counts = data;
	const char *node = json_get_string(value, "node", "");

	json_set_int(counts, node, json_get_int(counts, node, 0) + 1);
	return 0;
}

static int count_running(const char *key, const struct json *value, uint64_t version, void *data)
{
	if (strcmp(json_get_string(value, "state", ""), "Off") == 0 ||
		strcmp(json_get_string(value, "state", ""), "Failed") == 0)
		return 0;
	return count_one(key, value, version, data);
}

static struct json *nodes_json(struct svc *svc)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));
	_cleanup_json_ struct json *vms = json_object_new();
	struct json *list = json_array_new();

	cluster_for_each(svc->cluster, "vmstate/", count_running, vms);
	for (size_t i = 0; i < n; i++) {
		struct json *entry = json_object_new();
		bool up = nodes[i].is_member;

		json_set_int(entry, "id", nodes[i].id);
		json_set_string(entry, "name", nodes[i].name);
		json_set_string(entry, "state",
			!up                     ? "Down"
			: !nodes[i].has_service ? "NoService"
			: !nodes[i].is_synced   ? "Joining"
						: "Up");
		json_set_int(entry, "protocol", nodes[i].protocol);
		json_set_string(entry, "address", nodes[i].ring_addr[0]);
		json_set_int(entry, "vms", up ? json_get_int(vms, nodes[i].name, 0) : 0);
		json_append(list, entry);
	}
	return list;
}

void api_cluster_status(struct api_call *call)
{
	struct cluster *cluster = call->svc->cluster;
	struct json *result = json_object_new();
	struct cluster_status status;

	cluster_get_status(cluster, &status);
	json_set_string(result, "node", cluster_local_name(cluster));
	json_set_bool(result, "connected", cluster_is_connected(cluster));
	json_set_bool(result, "quorate", cluster_is_quorate(cluster));
	json_set_bool(result, "synced", cluster_is_synced(cluster));
	json_set_int(result, "expected_votes", status.expected_votes);
	json_set_int(result, "total_votes", status.total_votes);
	json_set_int(result, "quorum_votes", status.quorum_votes);
	json_set_int(result, "nodes_needed", status.nodes_needed);
	json_set_int(result, "generation", (int64_t)status.generation);
	json_set_int(result, "store_version", (int64_t)status.store_version);
	json_set_int(result, "store_keys", (int64_t)status.n_keys);
	json_set_string(result, "digest", status.digest);
	json_set_bool(result, "is_second", status.connect_error == -EADDRINUSE);
	json_set_int(result, "longest_turn_us", (int64_t)(status.longest_turn_ns / 1000));
	json_set_string(
		result, "store_error", status.store_error ? strerror(-status.store_error) : "");
	json_set_int(result, "protocol", status.protocol);
	json_set_int(result, "protocol_newest", status.protocol_newest);
	json_set_int(result, "protocol_floor", status.protocol_floor);
	json_set_int(result, "protocol_needed", status.protocol_needed);
	json_set(result, "nodes", nodes_json(call->svc));
	if (call->svc->evicted)
		json_set(result, "evicted", json_copy(call->svc->evicted));
	api_reply(call, result);
}

/* ---- cluster.upgrade ---- */

static void on_upgraded(int error, uint64_t version _unused_, void *data)
{
	struct api_call *call = data;
	struct json *result;

	if (error < 0) {
		api_fail_errno(call, error, "the upgrade is not finished");
		return;
	}
	result = json_object_new();
	json_set_string(result, "note",
		"the upgrade is finished: nodes with an older version are kept out from now on");
	api_reply(call, result);
}

void api_cluster_upgrade(struct api_call *call)
{
	struct cluster_node node = {};
	struct json *result;
	unsigned version = 0;
	int r;

	if (!api_needs_quorum(call))
		return;
	r = cluster_upgrade(call->svc->cluster, &version, &node, on_upgraded, call);
	if (r == -EUNATCH) {
		api_fail(call, API_REFUSED,
			"node %s is not there to say which version of the store's protocol it "
			"speaks: start viaductd on it, or remove the node from the cluster",
			node.name);
	} else if (r == -EPROTONOSUPPORT) {
		api_fail(call, API_REFUSED,
			"node %s speaks version %u of the store's protocol, others speak %u: "
			"update viaduct on %s first",
			node.name, node.protocol, version, node.name);
	} else if (r == -EALREADY) {
		result = json_object_new();
		json_set_string(result, "note",
			"there is nothing to finish: all nodes have the newest version that the "
			"cluster uses");
		api_reply(call, result);
	} else if (r < 0) {
		api_fail_errno(call, r, "the upgrade is not finished");
	}
}

/* ---- networks ---- */

static const char *node_name(const struct cluster_node *nodes, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++) {
		if (nodes[i].id == id)
			return nodes[i].name;
	}
	return "?";
}

static struct json *net_json(
	const struct cluster_net *net, const struct cluster_node *nodes, size_t n)
{
	struct json *entry = json_object_new();
	struct json *interfaces = json_array_new();

	json_set_string(entry, "name", net->name);
	json_set_string(
		entry, "state", name_of(net_state_names, ARRAY_LEN(net_state_names), net->state));
	json_set_string(entry, "reason", net->reason);
	json_set_int(entry, "metric", net->metric);
	json_set_bool(entry, "auto_metric", net->auto_metric);
	json_set_string(entry, "role", role_name(net->role));
	json_set_string(entry, "subnet", net->subnet);
	json_set_int(entry, "migration_order", net->migration_order);
	for (size_t k = 0; k < net->n_interfaces; k++) {
		struct json *i = json_object_new();

		json_set_string(i, "node", node_name(nodes, n, net->interfaces[k].node_id));
		json_set_string(i, "adapter", net->interfaces[k].ifname);
		json_set_string(i, "address", net->interfaces[k].address);
		json_set_string(i, "state",
			name_of(interface_state_names, ARRAY_LEN(interface_state_names),
				net->interfaces[k].state));
		json_append(interfaces, i);
	}
	json_set(entry, "interfaces", interfaces);
	return entry;
}

struct json *api_networks(struct svc *svc)
{
	struct cluster_net nets[CLUSTER_MAX_NETS];
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n_nets = cluster_nets(svc->cluster, nets, ARRAY_LEN(nets));
	size_t n_nodes = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));
	struct json *list = json_array_new();

	for (size_t i = 0; i < n_nets; i++)
		json_append(list, net_json(&nets[i], nodes, n_nodes));
	return list;
}

void api_network_list(struct api_call *call)
{
	struct json *result = json_object_new();

	json_set(result, "networks", api_networks(call->svc));
	api_reply(call, result);
}

static void on_changed(int error, uint64_t version _unused_, void *data)
{
	struct api_call *call = data;

	if (error < 0)
		api_fail_errno(call, error, "nothing was changed");
	else
		api_reply(call, NULL);
}

/* The record net/SUBNET holds what people set; what it does not name stays automatic. */
static bool apply_settings(struct api_call *call, struct json *record)
{
	const struct json *m = call->message;
	const char *role = json_get_string(m, "role", NULL);
	const char *rename = json_get_string(m, "rename", NULL);

	if (role) {
		for (size_t i = 0; i < ARRAY_LEN(role_names); i++) {
			if (strcmp(role_names[i].name, role) == 0) {
				json_set_int(record, "role", role_names[i].role);
				role = NULL;
				break;
			}
		}
	}
	if (role) {
		api_fail(call, API_USAGE, "'%.40s' is no role: None, Cluster or ClusterAndClient",
			role);
		return false;
	}
	if (rename)
		json_set_string(record, "name", rename);
	if (json_get(m, "metric"))
		json_set_int(record, "metric", json_get_int(m, "metric", 0));
	if (json_get_bool(m, "auto_metric", false))
		json_delete(record, "metric");
	if (json_get(m, "migration_order"))
		json_set_int(record, "migration_order", json_get_int(m, "migration_order", 0));
	return true;
}

void api_network_set(struct api_call *call)
{
	struct cluster *cluster = call->svc->cluster;
	const char *name = json_get_string(call->message, "name", "");
	const char *rename = json_get_string(call->message, "rename", NULL);
	int64_t metric = json_get_int(call->message, "metric", 1);
	struct cluster_net nets[CLUSTER_MAX_NETS];
	size_t n = cluster_nets(cluster, nets, ARRAY_LEN(nets)), at;
	const struct json *old;
	uint64_t version = 0;
	struct json *record;
	char key[80];
	int r;

	for (at = 0; at < n; at++) {
		if (strcmp(nets[at].name, name) == 0 || strcmp(nets[at].subnet, name) == 0)
			break;
	}
	if (at == n) {
		api_fail(call, API_NOT_FOUND, "there is no cluster network '%.63s'", name);
		return;
	}
	if (metric < 1 || metric > 0x0fffffff ||
		(rename && (!rename[0] || strlen(rename) > CLUSTER_NAME_MAX_LEN))) {
		api_fail(call, API_USAGE, "a metric is 1 to 268435455, a name 1 to %d characters",
			CLUSTER_NAME_MAX_LEN);
		return;
	}
	if (!api_needs_quorum(call))
		return;
	snprintf(key, sizeof(key), "net/%s", nets[at].subnet);
	record =
		cluster_get(cluster, key, &old, &version) == 0 ? json_copy(old) : json_object_new();
	if (!apply_settings(call, record)) {
		json_unref(record);
		return;
	}
	r = cluster_cas(cluster, key, version, record, on_changed, call);
	if (r < 0)
		api_fail_errno(call, r, "nothing was changed");
}
