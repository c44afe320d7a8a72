/* SPDX-License-Identifier: MIT
 *
 * api_mac.c - MAC addresses in the cluster: who has which, and the pools they come from.
 */
#include "node/svc/mac.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* ---- who has one ---- */

/* The place of the adapter whose lease has that number among the VM's; -1: it has none such. */
static int64_t nic_of_lease(struct svc *svc, const char *vm, int64_t lease)
{
	const struct json *config, *nics;
	char key[SVC_NAME_MAX_LEN + 8];

	snprintf(key, sizeof(key), "vm/%s", vm);
	if (cluster_get(svc->cluster, key, &config, NULL) < 0)
		return -1;
	nics = json_get(config, "nics");
	for (size_t i = 0; i < json_length(nics); i++) {
		if (json_get_int(json_at(nics, i), "lease", (int64_t)i) == lease)
			return (int64_t)i;
	}
	return -1;
}

/* "vm/VM1/nic0" */
static bool parse_vm(const char *owner, char vm[SVC_NAME_MAX_LEN + 1], int64_t *ret_lease)
{
	long long lease;
	int end = 0;

	if (sscanf(owner, "vm/%63[^/]/nic%lld%n", vm, &lease, &end) != 2 || owner[end])
		return false;
	*ret_lease = lease;
	return true;
}

static void describe_owner(struct svc *svc, const char *owner, char *text, size_t size_bytes)
{
	char vm[SVC_NAME_MAX_LEN + 1];
	int64_t lease, nic;

	if (!parse_vm(owner, vm, &lease)) {
		snprintf(text, size_bytes, "%s", owner);
		return;
	}
	nic = nic_of_lease(svc, vm, lease);
	if (nic >= 0)
		snprintf(text, size_bytes, "network adapter %lld of VM %s", (long long)nic, vm);
	else
		snprintf(text, size_bytes, "VM %s, which has no such adapter any more", vm);
}

void mac_holder(struct svc *svc, const char *mac, char *text, size_t size_bytes)
{
	const char *owner = cluster_mac_owner(svc->cluster, mac);

	if (owner)
		describe_owner(svc, owner, text, size_bytes);
	else
		snprintf(text, size_bytes, "nobody");
}

/* "default has 16777216 of 16777216 in use, ..." */
static void describe_fill(struct svc *svc, char *text, size_t size_bytes)
{
	struct cluster_mac_pool pools[CLUSTER_MAX_MAC_POOLS];
	size_t n = cluster_mac_pools(svc->cluster, pools, ARRAY_LEN(pools));
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < n && len < size_bytes; i++) {
		if (pools[i].is_node)
			continue;
		len += (size_t)snprintf(text + len, size_bytes - len,
			"%s%s has %llu of %llu in use", len ? ", " : "", pools[i].name,
			(unsigned long long)pools[i].used, (unsigned long long)pools[i].size);
	}
}

void mac_fail(struct api_call *call, int error, const char *mac, const char *what)
{
	char text[256];

	if (error == -EADDRINUSE) {
		mac_holder(call->svc, mac, text, sizeof(text));
		api_fail(call, API_CONFLICT,
			"MAC %.20s belongs to %s; choose another, or none for a "
			"lease",
			mac, text);
	} else if (error == -ENOSPC) {
		describe_fill(call->svc, text, sizeof(text));
		api_fail(call, API_FULL,
			"%s: all pools are full: %s; add one with 'viaduct mac pool add'", what,
			text);
	} else {
		api_fail_errno(call, error, what);
	}
}

static void on_leased_again(int error, const char *mac, void *data _unused_)
{
	if (error < 0)
		log_warning("a MAC without a lease was not leased again: %s", strerror(-error));
	else
		log_info("MAC %s had no lease any more and has one again", mac);
}

bool mac_may_start(
	struct svc *svc, const char *vm, const struct json *config, char *text, size_t size_bytes)
{
	const struct json *nics = json_get(config, "nics");
	char lease[SVC_NAME_MAX_LEN + 24], holder[160];

	for (size_t i = 0; i < json_length(nics); i++) {
		const struct json *nic = json_at(nics, i);
		const char *mac = json_get_string(nic, "mac", "");
		const char *owner = cluster_mac_owner(svc->cluster, mac);

		vm_nic_lease(vm, nic, i, lease, sizeof(lease));
		if (!owner && mac[0]) {
			(void)cluster_mac_lease(svc->cluster, lease, mac, on_leased_again, NULL);
		} else if (owner && strcmp(owner, lease) != 0) {
			describe_owner(svc, owner, holder, sizeof(holder));
			snprintf(text, size_bytes,
				"the MAC %s of its network adapter %zu belongs to %s: two with one "
				"address would break both; remove the adapter and add another",
				mac, i, holder);
			return false;
		}
	}
	return true;
}

/* ---- mac.list ---- */

struct mac_listing {
	struct svc *svc;
	struct json *list;
	struct cluster_mac_pool pools[CLUSTER_MAX_MAC_POOLS];
	size_t n_pools;
};

static void add_vm(struct svc *svc, const char *owner, struct json *entry)
{
	struct cluster_owner record = {0};
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	char vm[SVC_NAME_MAX_LEN + 1], object[SVC_NAME_MAX_LEN + 8];
	int64_t lease;
	size_t n;

	if (!parse_vm(owner, vm, &lease))
		return;
	json_set_string(entry, "vm", vm);
	json_set_int(entry, "nic", nic_of_lease(svc, vm, lease));
	snprintf(object, sizeof(object), "vm/%s", vm);
	if (cluster_owner_get(svc->cluster, object, &record) < 0)
		return;
	n = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));
	for (size_t i = 0; i < n; i++) {
		if (nodes[i].id == record.node_id)
			json_set_string(entry, "node", nodes[i].name);
	}
}

static int list_one(
	const char *key, const struct json *value, uint64_t version _unused_, void *data)
{
	struct mac_listing *listing = data;
	const char *mac = key + strlen("mac/"), *owner = json_get_string(value, "owner", "");
	struct json *entry = json_object_new();
	char text[160];

	json_set_string(entry, "mac", mac);
	json_set_string(entry, "owner", owner);
	describe_owner(listing->svc, owner, text, sizeof(text));
	json_set_string(entry, "holder", text);
	json_set_bool(entry, "static", json_get_bool(value, "static", false));
	add_vm(listing->svc, owner, entry);
	for (size_t i = 0; i < listing->n_pools; i++) {
		const struct cluster_mac_pool *pool = &listing->pools[i];

		if (strcmp(mac, pool->first) >= 0 && strcmp(mac, pool->last) <= 0)
			json_set_string(entry, pool->is_node ? "range" : "pool", pool->name);
	}
	json_append(listing->list, entry);
	return 0;
}

/* {} -> {macs: [{mac, owner, holder, static, [vm, nic, node], [pool], [range]}]}; `range` is the
 * node whose range it is of */
void api_mac_list(struct api_call *call)
{
	struct json *result = json_object_new();
	struct mac_listing listing = {.svc = call->svc, .list = json_array_new()};

	listing.n_pools =
		cluster_mac_pools(call->svc->cluster, listing.pools, ARRAY_LEN(listing.pools));
	(void)cluster_for_each(call->svc->cluster, "mac/", list_one, &listing);
	json_set(result, "macs", listing.list);
	api_reply(call, result);
}

/* ---- pools ---- */

/* {} -> {pools: [{name, kind, first, last, addresses, used, free, set}]}; kind is "cluster" or
 * "node" */
void api_mac_pool_list(struct api_call *call)
{
	struct cluster_mac_pool pools[CLUSTER_MAX_MAC_POOLS];
	size_t n = cluster_mac_pools(call->svc->cluster, pools, ARRAY_LEN(pools));
	struct json *result = json_object_new(), *list = json_array_new();

	for (size_t i = 0; i < n; i++) {
		struct json *entry = json_object_new();

		json_set_string(entry, "name", pools[i].name);
		json_set_string(entry, "kind", pools[i].is_node ? "node" : "cluster");
		json_set_string(entry, "first", pools[i].first);
		json_set_string(entry, "last", pools[i].last);
		json_set_int(entry, "addresses", (int64_t)pools[i].size);
		json_set_int(entry, "used", (int64_t)pools[i].used);
		json_set_int(entry, "free", (int64_t)(pools[i].size - pools[i].used));
		json_set_bool(entry, "set", pools[i].is_set);
		json_append(list, entry);
	}
	json_set(result, "pools", list);
	api_reply(call, result);
}

static void on_changed(int error, uint64_t version _unused_, void *data)
{
	struct api_call *call = data;

	if (error < 0)
		api_fail_errno(call, error, "the pools were not changed");
	else
		api_reply(call, NULL);
}

static void change(struct api_call *call, enum cluster_mac_change what, const char *name,
	const char *first, const char *last)
{
	char error[512];
	int r;

	if (!api_needs_quorum(call))
		return;
	r = cluster_mac_change(call->svc->cluster, what, name, first, last, error, sizeof(error),
		on_changed, call);
	if (r == 0)
		return;
	if (!error[0])
		on_changed(r, 0, call);
	else
		api_fail(call,
			r == -EINVAL   ? API_USAGE
			: r == -ENOENT ? API_NOT_FOUND
			: r == -EEXIST ? API_CONFLICT
				       : API_REFUSED,
			"%s", error);
}

/* {name, first, last} */
void api_mac_pool_add(struct api_call *call)
{
	const struct json *m = call->message;

	change(call, CLUSTER_MAC_POOL_ADD, json_get_string(m, "name", ""),
		json_get_string(m, "first", NULL), json_get_string(m, "last", NULL));
}

/* The end of a range that is not named stays. */
static const char *end_of(
	struct api_call *call, const char *name, bool is_node, const char *key, char text[18])
{
	struct cluster_mac_pool pools[CLUSTER_MAX_MAC_POOLS];
	const char *wanted = json_get_string(call->message, key, NULL);
	size_t n;

	if (wanted)
		return wanted;
	n = cluster_mac_pools(call->svc->cluster, pools, ARRAY_LEN(pools));
	for (size_t i = 0; i < n; i++) {
		if (pools[i].is_node == is_node && strcmp(pools[i].name, name) == 0) {
			snprintf(text, 18, "%s",
				strcmp(key, "first") == 0 ? pools[i].first : pools[i].last);
			return text;
		}
	}
	return NULL;
}

/* {[name], [node], [first], [last], [auto]}: a pool, or without a name the range of a node (this
 * one) */
void api_mac_pool_set(struct api_call *call)
{
	const char *pool = json_get_string(call->message, "name", NULL);
	const char *name = pool ? pool
				: json_get_string(call->message, "node",
					  cluster_local_name(call->svc->cluster));
	bool is_auto = json_get_bool(call->message, "auto", false);
	char texts[2][18];
	const char *first, *last;

	if (pool && is_auto) {
		api_fail(call, API_USAGE, "only the range of a node has an automatic form");
		return;
	}
	if (!is_auto && !json_get(call->message, "first") && !json_get(call->message, "last")) {
		api_fail(call, API_USAGE, "say what shall be the first or the last address");
		return;
	}
	first = is_auto ? NULL : end_of(call, name, !pool, "first", texts[0]);
	last = is_auto ? NULL : end_of(call, name, !pool, "last", texts[1]);
	change(call, pool ? CLUSTER_MAC_POOL_SET : CLUSTER_MAC_NODE_SET, name, first, last);
}

/* {name} */
void api_mac_pool_remove(struct api_call *call)
{
	change(call, CLUSTER_MAC_POOL_REMOVE, json_get_string(call->message, "name", ""), NULL,
		NULL);
}
