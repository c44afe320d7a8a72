/* SPDX-License-Identifier: MIT
 *
 * api_network.c - cluster networks: list, names, roles and metrics.
 */
#include "node/svc/network.h"

#include <stdio.h>
#include <string.h>

#define MAX_METRIC 0x0fffffff

static const char *const net_state_names[] = {
	"Unknown", "Unavailable", "Down", "Partitioned", "Up"};
static const char *const interface_state_names[] = {
	"Unknown", "Unavailable", "Failed", "Unreachable", "Up"};
static const char *const class_names[] = {
	[CLUSTER_CLASS_HEARTBEAT] = "heartbeat",
	[CLUSTER_CLASS_VOLUME] = "volume",
	[CLUSTER_CLASS_MIGRATION] = "migration",
	[CLUSTER_CLASS_MANAGEMENT] = "management",
};

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

const char *network_state_name(int state)
{
	return name_of(net_state_names, ARRAY_LEN(net_state_names), state);
}

const char *network_interface_state_name(int state)
{
	return name_of(interface_state_names, ARRAY_LEN(interface_state_names), state);
}

const char *network_role_name(enum cluster_net_role role)
{
	for (size_t i = 0; i < ARRAY_LEN(role_names); i++) {
		if (role_names[i].role == role)
			return role_names[i].name;
	}
	return "None";
}

const char *network_class_name(enum cluster_class class)
{
	return class_names[class];
}

size_t network_find(const struct cluster_net *nets, size_t n, const char *name)
{
	size_t at = 0;

	while (at < n && strcmp(nets[at].name, name) != 0 && strcmp(nets[at].subnet, name) != 0)
		at++;
	return at;
}

/* ---- list ---- */

static const char *node_name(const struct cluster_node *nodes, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++) {
		if (nodes[i].id == id)
			return nodes[i].name;
	}
	return "?";
}

/* What the node has published about that adapter: all its addresses, and what it can do. */
static void add_adapter(
	struct cluster *cluster, const char *node, const char *adapter, struct json *entry)
{
	struct json *addresses = json_array_new();
	const struct json *record, *list;
	char key[SVC_NAME_MAX_LEN + 16];

	json_set(entry, "addresses", addresses);
	snprintf(key, sizeof(key), "netif/%s", node);
	if (cluster_get(cluster, key, &record, NULL) < 0)
		return;
	list = json_get(record, "interfaces");
	for (size_t i = 0; i < json_length(list); i++) {
		const struct json *item = json_at(list, i);
		_cleanup_json_ struct json *text = json_object_new();

		if (strcmp(json_get_string(item, "name", ""), adapter) != 0)
			continue;
		json_set_stringf(text, "text", "%.63s/%lld", json_get_string(item, "address", ""),
			(long long)json_get_int(item, "prefix", 0));
		json_append_string(addresses, json_get_string(text, "text", ""));
		json_set_int(entry, "speed_mbps", json_get_int(item, "speed_mbps", 0));
		json_set_bool(entry, "rdma", json_get_bool(item, "rdma", false));
		json_set_bool(entry, "rss", json_get_bool(item, "rss", false));
	}
}

static struct json *net_json(struct cluster *cluster, const struct cluster_net *net,
	const struct cluster_node *nodes, size_t n)
{
	struct json *entry = json_object_new();
	struct json *interfaces = json_array_new();

	json_set_string(entry, "name", net->name);
	json_set_string(entry, "state", network_state_name(net->state));
	json_set_string(entry, "reason", net->reason);
	json_set_int(entry, "metric", net->metric);
	json_set_bool(entry, "auto_metric", net->auto_metric);
	json_set_string(entry, "role", network_role_name(net->role));
	json_set_string(entry, "subnet", net->subnet);
	json_set_int(entry, "migration_order", net->migration_order);
	for (size_t k = 0; k < net->n_interfaces; k++) {
		const char *node = node_name(nodes, n, net->interfaces[k].node_id);
		struct json *i = json_object_new();

		json_set_string(i, "node", node);
		json_set_string(i, "adapter", net->interfaces[k].ifname);
		json_set_string(i, "address", net->interfaces[k].address);
		json_set_string(i, "state", network_interface_state_name(net->interfaces[k].state));
		add_adapter(cluster, node, net->interfaces[k].ifname, i);
		json_append(interfaces, i);
	}
	json_set(entry, "interfaces", interfaces);
	return entry;
}

struct json *api_networks(struct svc *svc)
{
	struct cluster *cluster = svc->cluster;
	struct cluster_net nets[CLUSTER_MAX_NETS];
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n_nets = cluster_nets(cluster, nets, ARRAY_LEN(nets));
	size_t n_nodes = cluster_nodes(cluster, nodes, ARRAY_LEN(nodes));
	struct json *list = json_array_new();

	for (size_t i = 0; i < n_nets; i++)
		json_append(list, net_json(cluster, &nets[i], nodes, n_nodes));
	return list;
}

/* {} -> {networks: [{name, state, reason, metric, auto_metric, role, subnet, migration_order,
 * interfaces: [{node, adapter, address, addresses, state, speed_mbps, rdma, rss}]}]} */
void api_network_list(struct api_call *call)
{
	struct json *result = json_object_new();

	json_set(result, "networks", api_networks(call->svc));
	api_reply(call, result);
}

/* ---- set ---- */

static bool may_be_name(struct api_call *call, const struct cluster_net *nets, size_t n, size_t at,
	const char *name)
{
	size_t same;

	if (!name[0] || strlen(name) > CLUSTER_NAME_MAX_LEN || strpbrk(name, ",/\n\r\t\033")) {
		api_fail(call, API_USAGE,
			"a network's name is 1 to %d characters, without ',' and '/'",
			CLUSTER_NAME_MAX_LEN);
		return false;
	}
	same = network_find(nets, n, name);
	if (same < n && same != at) {
		api_fail(call, API_CONFLICT, "network %s is called '%s' already", nets[same].subnet,
			name);
		return false;
	}
	return true;
}

static bool runs_link(struct cluster *cluster, const struct cluster_net *net)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(cluster, nodes, ARRAY_LEN(nodes));

	for (size_t i = 0; i < n; i++) {
		for (size_t link = 0; link < ARRAY_LEN(nodes[i].ring_addr); link++) {
			for (size_t k = 0; k < net->n_interfaces; k++) {
				if (strcmp(nodes[i].ring_addr[link], net->interfaces[k].address) ==
					0)
					return true;
			}
		}
	}
	return false;
}

/* The cluster must keep a network for what its nodes tell each other. */
static bool may_leave_cluster(
	struct api_call *call, const struct cluster_net *nets, size_t n, size_t at)
{
	size_t n_others = 0;

	for (size_t i = 0; i < n; i++)
		n_others += i != at && nets[i].role != CLUSTER_ROLE_NONE;
	if (n_others == 0) {
		api_fail(call, API_REFUSED,
			"%s is the last network that the cluster uses; give another one the role "
			"Cluster first",
			nets[at].name);
		return false;
	}
	if (runs_link(call->svc->cluster, &nets[at])) {
		api_fail(call, API_REFUSED,
			"heartbeats run over %s, so its role cannot be None; take its link out of "
			"corosync's configuration first",
			nets[at].name);
		return false;
	}
	return true;
}

static int find_role(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(role_names); i++) {
		if (strcasecmp(role_names[i].name, name) == 0)
			return (int)role_names[i].role;
	}
	return -1;
}

/* The record net/SUBNET holds what people set; what it does not name stays automatic. */
static void apply_settings(const struct json *m, struct json *record)
{
	const char *role = json_get_string(m, "role", NULL);
	const char *rename = json_get_string(m, "rename", NULL);

	if (role)
		json_set_int(record, "role", find_role(role));
	if (rename)
		json_set_string(record, "name", rename);
	if (json_get(m, "metric"))
		json_set_int(record, "metric", json_get_int(m, "metric", 0));
	if (json_get_bool(m, "auto_metric", false))
		json_delete(record, "metric");
}

static bool check_settings(
	struct api_call *call, const struct cluster_net *nets, size_t n, size_t at)
{
	const struct json *m = call->message;
	const char *role = json_get_string(m, "role", NULL);
	const char *rename = json_get_string(m, "rename", NULL);
	int64_t metric = json_get_int(m, "metric", 1);

	if (metric < 1 || metric > MAX_METRIC) {
		api_fail(call, API_USAGE, "a metric is 1 to %d, or auto", MAX_METRIC);
		return false;
	}
	if (role && find_role(role) < 0) {
		api_fail(call, API_USAGE, "'%.40s' is no role: None, Cluster or ClusterAndClient",
			role);
		return false;
	}
	if (rename && !may_be_name(call, nets, n, at, rename))
		return false;
	return !role || find_role(role) != CLUSTER_ROLE_NONE ||
	       may_leave_cluster(call, nets, n, at);
}

/* The place among the networks for migrations is in another record. */
static void on_set(int error, uint64_t version _unused_, void *data)
{
	struct api_call *call = data;
	_cleanup_free_ char *subnet = take_ptr(call->data);

	if (error < 0)
		api_fail_errno(call, error, "nothing was changed");
	else if (json_get(call->message, "migration_order"))
		network_place(call, subnet, json_get_int(call->message, "migration_order", 0));
	else
		api_reply(call, NULL);
}

/* {name, [role], [rename], [metric], [auto_metric], [migration_order]} */
void api_network_set(struct api_call *call)
{
	struct cluster *cluster = call->svc->cluster;
	const char *name = json_get_string(call->message, "name", "");
	struct cluster_net nets[CLUSTER_MAX_NETS];
	size_t n = cluster_nets(cluster, nets, ARRAY_LEN(nets)), at = network_find(nets, n, name);
	_cleanup_json_ struct json *record = NULL;
	const struct json *old = NULL;
	uint64_t version = 0;
	char key[80];
	int r;

	if (at == n) {
		api_fail(call, API_NOT_FOUND,
			"there is no cluster network '%.63s'; see 'viaduct cluster network list'",
			name);
		return;
	}
	if (!check_settings(call, nets, n, at) || !api_needs_quorum(call))
		return;
	snprintf(key, sizeof(key), "net/%s", nets[at].subnet);
	record = cluster_get(cluster, key, &old, &version) == 0 && json_is_object(old)
			 ? json_copy(old)
			 : json_object_new();
	apply_settings(call->message, record);
	call->data = strdup(nets[at].subnet);
	if (!call->data) {
		api_fail(call, API_FAILED, "out of memory");
		return;
	}
	if (old && json_is_equal(old, record)) {
		on_set(0, version, call);
		return;
	}
	r = cluster_cas(cluster, key, version, json_ref(record), on_set, call);
	if (r < 0)
		on_set(r, 0, call);
}
