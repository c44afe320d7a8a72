/* SPDX-License-Identifier: MIT
 *
 * network_path.c - which network carries what: the cluster's list for migrations, the way a
 * migration would take, the classes of traffic.
 */
#include "node/svc/network.h"

#include <stdio.h>
#include <string.h>

const char *network_address_of(const struct cluster_net *net, uint32_t node_id)
{
	for (size_t i = 0; i < net->n_interfaces; i++) {
		if (net->interfaces[i].node_id == node_id)
			return net->interfaces[i].address;
	}
	return "";
}

size_t network_of_address(
	const struct cluster_net *nets, size_t n, uint32_t node_id, const char *address)
{
	size_t at = 0;

	while (at < n && strcmp(network_address_of(&nets[at], node_id), address) != 0)
		at++;
	return at;
}

/* ---- the list for migrations ---- */

static struct json *read_list(struct cluster *cluster, uint64_t *ret_version)
{
	const struct json *record;

	*ret_version = 0;
	if (cluster_get(cluster, CLUSTER_MIGRATION_KEY, &record, ret_version) == 0 &&
		json_is_object(record))
		return json_copy(record);
	return json_object_new();
}

/* Subnets as the names that they have now. */
static struct json *names_of(const struct cluster_net *nets, size_t n, const struct json *subnets)
{
	struct json *names = json_array_new();

	for (size_t i = 0; i < json_length(subnets); i++) {
		const char *subnet = json_string(json_at(subnets, i), "");
		size_t at = network_find(nets, n, subnet);

		json_append_string(names, at < n ? nets[at].name : subnet);
	}
	return names;
}

static struct json *list_json(struct cluster *cluster)
{
	struct cluster_net nets[CLUSTER_MAX_NETS];
	size_t n = cluster_nets(cluster, nets, ARRAY_LEN(nets));
	struct json *result = json_object_new();
	uint64_t version;
	_cleanup_json_ struct json *list = read_list(cluster, &version);

	json_set(result, "order", names_of(nets, n, json_get(list, "order")));
	json_set(result, "excluded", names_of(nets, n, json_get(list, "excluded")));
	json_set_bool(result, "strict", json_get_bool(list, "strict", false));
	return result;
}

static void on_listed(int error, uint64_t version _unused_, void *data)
{
	struct api_call *call = data;

	if (error < 0)
		api_fail_errno(call, error, "the list of networks for migrations was not changed");
	else
		api_reply(call, list_json(call->svc->cluster));
}

static void write_list(struct api_call *call, struct json *list, uint64_t version)
{
	int r = cluster_cas(
		call->svc->cluster, CLUSTER_MIGRATION_KEY, version, list, on_listed, call);

	if (r < 0)
		on_listed(r, 0, call);
}

static bool has(const struct json *list, const char *text)
{
	for (size_t i = 0; i < json_length(list); i++) {
		if (strcmp(json_string(json_at(list, i), ""), text) == 0)
			return true;
	}
	return false;
}

/* Names or subnets to subnets; NULL, and the call has been failed, when one is unknown or named
 * twice. */
static struct json *resolve(struct api_call *call, const struct json *names)
{
	struct cluster_net nets[CLUSTER_MAX_NETS];
	size_t n = cluster_nets(call->svc->cluster, nets, ARRAY_LEN(nets));
	_cleanup_json_ struct json *subnets = json_array_new();

	for (size_t i = 0; i < json_length(names); i++) {
		const char *name = json_string(json_at(names, i), "");
		size_t at = network_find(nets, n, name);

		if (at == n) {
			api_fail(call, API_NOT_FOUND,
				"there is no cluster network '%.63s'; see 'viaduct cluster network "
				"list'",
				name);
			return NULL;
		}
		if (has(subnets, nets[at].subnet)) {
			api_fail(call, API_USAGE, "network %s is named twice", nets[at].name);
			return NULL;
		}
		json_append_string(subnets, nets[at].subnet);
	}
	return take_ptr(subnets);
}

/* Without what the other list names. */
static void subtract(struct json *list, const char *key, const struct json *others)
{
	const struct json *old = json_get(list, key);
	struct json *left = json_array_new();

	for (size_t i = 0; i < json_length(old); i++) {
		const char *subnet = json_string(json_at(old, i), "");

		if (!has(others, subnet))
			json_append_string(left, subnet);
	}
	json_set(list, key, left);
}

static bool overlap(struct api_call *call, const struct json *order, const struct json *excluded)
{
	for (size_t i = 0; i < json_length(order); i++) {
		if (!has(excluded, json_string(json_at(order, i), "")))
			continue;
		api_fail(call, API_USAGE, "network %.63s cannot be both in the order and excluded",
			json_string(json_at(order, i), ""));
		return true;
	}
	return false;
}

void network_set_migration(struct api_call *call, const struct json *order,
	const struct json *excluded, const struct json *strict)
{
	_cleanup_json_ struct json *new_order = order ? resolve(call, order) : NULL;
	_cleanup_json_ struct json *new_excluded = NULL;
	_cleanup_json_ struct json *list = NULL;
	uint64_t version;

	if (order && !new_order)
		return;
	new_excluded = excluded ? resolve(call, excluded) : NULL;
	if ((excluded && !new_excluded) || overlap(call, new_order, new_excluded))
		return;
	list = read_list(call->svc->cluster, &version);
	if (new_order) {
		json_set(list, "order", json_ref(new_order));
		if (!new_excluded)
			subtract(list, "excluded", new_order);
	}
	if (new_excluded) {
		json_set(list, "excluded", json_ref(new_excluded));
		if (!new_order)
			subtract(list, "order", new_excluded);
	}
	if (strict)
		json_set(list, "strict", json_copy(strict));
	if (json_get_bool(list, "strict", false) && json_length(json_get(list, "order")) == 0) {
		api_fail(call, API_REFUSED,
			"strict mode takes only networks of the order, and the order is empty: no "
			"VM could move; give an order too");
		return;
	}
	write_list(call, json_ref(list), version);
}

void network_place(struct api_call *call, const char *subnet, int64_t place)
{
	_cleanup_json_ struct json *one = json_array_new();
	_cleanup_json_ struct json *list = NULL;
	struct json *order = json_array_new();
	const struct json *old;
	uint64_t version;

	list = read_list(call->svc->cluster, &version);
	json_append_string(one, subnet);
	subtract(list, "order", one);
	subtract(list, "excluded", one);
	old = json_get(list, "order");
	for (size_t i = 0; i <= json_length(old); i++) {
		if (place > 0 && (i + 1 == (size_t)place ||
					 (i == json_length(old) && (size_t)place > i + 1)))
			json_append_string(order, subnet);
		if (i < json_length(old))
			json_append_string(order, json_string(json_at(old, i), ""));
	}
	json_set(list, "order", order);
	if (place < 0)
		json_append_string(json_get(list, "excluded"), subnet);
	if (json_get_bool(list, "strict", false) && json_length(order) == 0) {
		api_fail(call, API_REFUSED,
			"it is the last network of the migration order, and strict mode takes no "
			"other; switch strict mode off first");
		return;
	}
	write_list(call, json_ref(list), version);
}

/* {[order: [NAME]], [excluded: [NAME]], [strict]} -> {order, excluded, strict} */
void api_network_migration(struct api_call *call)
{
	const struct json *order = json_get(call->message, "order");
	const struct json *excluded = json_get(call->message, "excluded");
	const struct json *strict = json_get(call->message, "strict");

	if (!order && !excluded && !strict) {
		api_reply(call, list_json(call->svc->cluster));
		return;
	}
	if ((order && !json_is_array(order)) || (excluded && !json_is_array(excluded)) ||
		(strict && !json_is_bool(strict))) {
		api_fail(call, API_USAGE,
			"\"order\" and \"excluded\" are lists of networks, \"strict\" is true or "
			"false");
		return;
	}
	if (api_needs_quorum(call))
		network_set_migration(call, order, excluded, strict);
}

/* ---- the way of a migration ---- */

static bool need_node(struct api_call *call, const char *key, struct cluster_node *ret_node)
{
	const char *name = json_get_string(call->message, key, "");

	if (cluster_find_node(call->svc->cluster, name, ret_node) == 0)
		return true;
	api_fail(call, API_NOT_FOUND, "there is no node '%.63s'; see 'viaduct cluster status'",
		name);
	return false;
}

/* {from, to} -> {strict, paths: [{network, subnet, [order], use, why}]}; use is "yes", "down" or
 * "refused" */
void api_network_path(struct api_call *call)
{
	struct cluster *cluster = call->svc->cluster;
	struct cluster_path paths[CLUSTER_MAX_NETS];
	struct cluster_net nets[CLUSTER_MAX_NETS];
	struct cluster_node from, to;
	struct json *result, *list;
	int64_t order = 0;
	size_t n;

	if (!need_node(call, "from", &from) || !need_node(call, "to", &to))
		return;
	if (from.id == to.id) {
		api_fail(call, API_USAGE, "a migration goes from one node to another");
		return;
	}
	result = list_json(cluster);
	list = json_array_new();
	n = cluster_paths(cluster, CLUSTER_CLASS_MIGRATION, from.id, to.id, nets, paths);
	for (size_t i = 0; i < n; i++) {
		struct json *entry = json_object_new();

		json_set_string(entry, "network", nets[paths[i].net].name);
		json_set_string(entry, "subnet", nets[paths[i].net].subnet);
		if (paths[i].is_usable)
			json_set_int(entry, "order", ++order);
		json_set_string(entry, "use",
			paths[i].is_usable    ? "yes"
			: paths[i].is_allowed ? "down"
					      : "refused");
		json_set_string(entry, "why", paths[i].why);
		json_append(list, entry);
	}
	json_set(result, "paths", list);
	api_reply(call, result);
}

void network_explain(struct svc *svc, const struct cluster_node *to, char *text, size_t size_bytes)
{
	struct cluster_path paths[CLUSTER_MAX_NETS];
	struct cluster_net nets[CLUSTER_MAX_NETS];
	size_t n = cluster_paths(svc->cluster, CLUSTER_CLASS_MIGRATION,
		cluster_local_id(svc->cluster), to->id, nets, paths);
	bool any_allowed = n > 0 && paths[0].is_allowed;
	int len = snprintf(
		text, size_bytes, "no cluster network may carry a migration to %s", to->name);

	for (size_t i = 0; i < n && (paths[i].is_allowed || !any_allowed); i++) {
		if (len < 0 || (size_t)len >= size_bytes)
			return;
		len += snprintf(text + len, size_bytes - (size_t)len, "%s %s: %s",
			i == 0 ? ";" : ",", nets[paths[i].net].name, paths[i].why);
	}
}

/* ---- classes of traffic ---- */

/* The entry of that class, network and reason; a new one if there is none. */
static struct json *class_entry(struct json *list, const struct cluster_use *use,
	const struct cluster_net *nets, const char *why)
{
	const char *class = network_class_name(use->class);
	const char *network = use->net >= 0 ? nets[use->net].name : "";
	struct json *entry;

	for (size_t i = 0; i < json_length(list); i++) {
		entry = json_at(list, i);
		if (strcmp(json_get_string(entry, "class", ""), class) == 0 &&
			strcmp(json_get_string(entry, "network", ""), network) == 0 &&
			strcmp(json_get_string(entry, "why", ""), why) == 0)
			return entry;
	}
	entry = json_object_new();
	json_set_string(entry, "class", class);
	json_set_string(entry, "network", network);
	json_set_string(entry, "why", why);
	json_set(entry, "peers", json_array_new());
	json_append(list, entry);
	return entry;
}

static void describe_use(
	const struct cluster_use *use, const struct cluster_net *nets, char *why, size_t size_bytes)
{
	if (use->preferred < 0)
		snprintf(why, size_bytes, "no network may be used for it");
	else if (use->net < 0)
		snprintf(why, size_bytes, "none works; the first should be %s, but %s",
			nets[use->preferred].name, use->why);
	else if (use->net != use->preferred)
		snprintf(why, size_bytes, "instead of %s: %s", nets[use->preferred].name, use->why);
	else
		snprintf(why, size_bytes, "%s", use->why);
}

/* Requests stay on a network that works, even when another would be taken by now. */
static void correct_management(struct svc *svc, const struct cluster_net *nets,
	struct cluster_use *use, const char *peer, char *why, size_t size_bytes)
{
	const char *address = svc->peer ? peer_address(svc->peer, peer) : NULL;
	size_t at = address ? network_of_address(nets, CLUSTER_MAX_NETS, use->peer, address)
			    : CLUSTER_MAX_NETS;

	if (use->class != CLUSTER_CLASS_MANAGEMENT || at == CLUSTER_MAX_NETS || use->net < 0 ||
		(size_t)use->net == at)
		return;
	snprintf(why, size_bytes, "it works; %s is taken when it fails", nets[use->net].name);
	use->net = (int)at;
}

/* {[node]} -> {node, classes: [{class, network, peers: [NAME], why}]} */
void api_network_classes(struct api_call *call)
{
	struct cluster *cluster = call->svc->cluster;
	const char *name = json_get_string(call->message, "node", cluster_local_name(cluster));
	struct cluster_use uses[CLUSTER_N_CLASSES * CLUSTER_MAX_NODES];
	struct cluster_node nodes[CLUSTER_MAX_NODES], node;
	struct cluster_net nets[CLUSTER_MAX_NETS];
	size_t n_nodes = cluster_nodes(cluster, nodes, ARRAY_LEN(nodes)), n;
	struct json *result, *list;

	if (cluster_find_node(cluster, name, &node) < 0) {
		api_fail(call, API_NOT_FOUND, "there is no node '%.63s'", name);
		return;
	}
	if (strcmp(name, cluster_local_name(cluster)) != 0) {
		api_forward(call, name);
		return;
	}
	result = json_object_new();
	list = json_array_new();
	memset(nets, 0, sizeof(nets));
	n = cluster_uses(cluster, node.id, nets, uses);
	for (size_t i = 0; i < n; i++) {
		char why[256];

		describe_use(&uses[i], nets, why, sizeof(why));
		for (size_t k = 0; k < n_nodes; k++) {
			struct json *entry;

			if (nodes[k].id != uses[i].peer)
				continue;
			correct_management(
				call->svc, nets, &uses[i], nodes[k].name, why, sizeof(why));
			entry = class_entry(list, &uses[i], nets, why);
			json_append_string(json_get(entry, "peers"), nodes[k].name);
		}
	}
	json_set_string(result, "node", node.name);
	json_set(result, "classes", list);
	api_reply(call, result);
}
