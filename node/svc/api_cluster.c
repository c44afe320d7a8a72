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
	json_set_int(result, "generation", (int64_t)status.generation);
	json_set_int(result, "store_version", (int64_t)status.store_version);
	json_set_int(result, "store_keys", (int64_t)status.n_keys);
	json_set_string(result, "digest", status.digest);
	json_set(result, "nodes", nodes_json(call->svc));
	api_reply(call, result);
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

void api_network_list(struct api_call *call)
{
	struct cluster *cluster = call->svc->cluster;
	struct cluster_net nets[CLUSTER_MAX_NETS];
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n_nets = cluster_nets(cluster, nets, ARRAY_LEN(nets));
	size_t n_nodes = cluster_nodes(cluster, nodes, ARRAY_LEN(nodes));
	struct json *result = json_object_new();
	struct json *list = json_array_new();

	for (size_t i = 0; i < n_nets; i++)
		json_append(list, net_json(&nets[i], nodes, n_nodes));
	json_set(result, "networks", list);
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

/* ---- switches ---- */

void api_switch_create(struct api_call *call)
{
	const struct json *m = call->message;
	struct cluster *cluster = call->svc->cluster;
	const char *name = json_get_string(m, "name", "");
	const char *node = json_get_string(m, "node", cluster_local_name(cluster));
	const char *type = json_get_string(m, "type", "");
	const char *uplink = json_get_string(m, "uplink", NULL);
	bool external = strcmp(type, "external") == 0;
	int64_t vlan = json_get_int(m, "management", -1);
	struct cluster_node found;
	struct json *record;
	char key[2 * SVC_NAME_MAX_LEN + 16];
	int r;

	if (!svc_name_is_valid(name) ||
		(!external && strcmp(type, "internal") != 0 && strcmp(type, "private") != 0)) {
		api_fail(call, API_USAGE,
			"a switch needs a name (letters, digits, - _ .) and a type: external, "
			"internal or "
			"private");
		return;
	}
	if (external != (uplink != NULL)) {
		api_fail(call, API_USAGE,
			external ? "an external switch needs an uplink, the network adapter it is "
				   "bound to"
				 : "only an external switch has an uplink");
		return;
	}
	if (json_get(m, "management") &&
		(strcmp(type, "private") == 0 || vlan < 0 || vlan > 4094)) {
		api_fail(call, API_USAGE,
			"a management adapter has a VLAN of 0 (none) to 4094, and is not for "
			"private switches");
		return;
	}
	if (cluster_find_node(cluster, node, &found) < 0) {
		api_fail(call, API_NOT_FOUND, "there is no node '%.63s'", node);
		return;
	}
	if (!api_needs_quorum(call))
		return;
	record = json_object_new();
	json_set_string(record, "type", type);
	if (json_get(m, "management"))
		json_set_int(record, "management", vlan);
	if (external)
		json_set_string(record, "uplink", uplink);
	if (json_get_string(m, "logical", NULL))
		json_set_string(record, "logical", json_get_string(m, "logical", ""));
	snprintf(key, sizeof(key), "switch/%s/%s", node, name);
	r = cluster_cas(cluster, key, 0, record, on_changed, call);
	if (r < 0)
		api_fail_errno(call, r, "the switch was not made");
}

void api_switch_delete(struct api_call *call)
{
	struct cluster *cluster = call->svc->cluster;
	const char *name = json_get_string(call->message, "name", "");
	const char *node = json_get_string(call->message, "node", cluster_local_name(cluster));
	char key[2 * SVC_NAME_MAX_LEN + 16], text[SVC_NAME_MAX_LEN + 1];
	const struct json *record;
	struct vmproc *vp;
	uint64_t version;
	int r;

	snprintf(key, sizeof(key), "switch/%.63s/%.63s", node, name);
	if (cluster_get(cluster, key, &record, &version) < 0) {
		api_fail(call, API_NOT_FOUND, "%s has no switch '%.63s'", node, name);
		return;
	}
	if (strcmp(node, cluster_local_name(cluster)) != 0) {
		api_forward(call, node); /* only the node itself knows what is attached */
		return;
	}
	if (!api_needs_quorum(call))
		return;
	list_for_each(vp, &call->svc->vms, link) {
		const struct json *nics = json_get(vp->config, "nics");

		for (size_t i = 0; i < json_length(nics); i++) {
			const char *reference = json_get_string(json_at(nics, i), "switch", "");

			if (switchd_resolve(call->svc, node, reference, text, sizeof(text)) &&
				strcmp(text, name) == 0) {
				api_fail(call, API_CONFLICT, "switch %s is in use by %s", name,
					vp->name);
				return;
			}
		}
	}
	r = cluster_cas(cluster, key, version, NULL, on_changed, call);
	if (r < 0)
		api_fail_errno(call, r, "the switch was not deleted");
}

struct switch_listing {
	struct json *list;
	const struct json *live; /* of viaduct-vswitchd, for this node; or NULL */
	const char *node;
};

static int list_switch(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct switch_listing *l = data;
	struct json *entry = json_object_new();
	const char *node = strchr(key, '/') + 1;
	const char *name = strrchr(key, '/') + 1;
	bool local = strncmp(node, l->node, strlen(l->node)) == 0 && node[strlen(l->node)] == '/';

	json_set_string(entry, "name", name);
	json_set_stringf(entry, "node", "%.*s", (int)(name - node - 1), node);
	json_set_string(entry, "type", json_get_string(record, "type", ""));
	json_set_string(entry, "uplink", json_get_string(record, "uplink", ""));
	json_set_string(entry, "logical", json_get_string(record, "logical", ""));
	for (size_t i = 0; local && i < json_length(l->live); i++) {
		const struct json *live = json_at(l->live, i);

		if (strcmp(json_get_string(live, "name", ""), name) == 0)
			json_set(entry, "ports", json_copy(json_get(live, "ports")));
	}
	json_append(l->list, entry);
	return 0;
}

static void on_switches(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct api_call *call = data;
	struct switch_listing l = {
		.list = json_array_new(),
		.live = error < 0 ? NULL : json_get(reply, "switches"),
		.node = cluster_local_name(call->svc->cluster),
	};
	struct json *result = json_object_new();

	cluster_for_each(call->svc->cluster, "switch/", list_switch, &l);
	json_set(result, "switches", l.list);
	api_reply(call, result);
}

void api_switch_list(struct api_call *call)
{
	const char *node = json_get_string(call->message, "node", NULL);

	if (node && !call->from_peer && strcmp(node, cluster_local_name(call->svc->cluster)) != 0) {
		api_forward(call, node);
		return;
	}
	if (switchd_call(call->svc->switchd, "switch.list", NULL, on_switches, call) < 0)
		on_switches(-ENOTCONN, NULL, NULL, 0, call);
}
