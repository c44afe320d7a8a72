/* SPDX-License-Identifier: MIT
 *
 * evict.c - node.evict: a node that is down or paused, and owns nothing, is taken out of the
 * cluster: first a note who it was, then corosync.conf of all others, then its records. Owner
 * records stay: their epochs go on.
 */
#include "node/svc/conf.h"
#include "node/svc/events.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define GONE_POLL_NS   (250 * NS_PER_MS)
#define GONE_MAX_POLLS 120
#define MAX_NAMED      5
#define MAX_RECORDS    4096

struct evict {
	struct api_call *call;
	struct cluster_node node;
	unsigned n_polls;
	struct json *keys; /* of records that go */
	size_t key_at;
};

static void evict_failed(struct evict *evict, const char *why)
{
	api_fail(evict->call, API_FAILED, "%s was not evicted: %s", evict->node.name, why);
	json_unref(evict->keys);
	free(evict);
}

/* ---- may it be? ---- */

struct owned {
	struct svc *svc;
	uint32_t node_id;
	char names[256];
	size_t n;
};

static int note_owned(
	const char *key, const struct json *config _unused_, uint64_t version _unused_, void *data)
{
	struct owned *owned = data;
	struct cluster_owner owner;
	size_t len = strlen(owned->names);

	if (cluster_owner_get(owned->svc->cluster, key, &owner) < 0 ||
		owner.node_id != owned->node_id)
		return 0;
	if (owned->n++ < MAX_NAMED)
		snprintf(owned->names + len, sizeof(owned->names) - len, "%s%.40s", len ? ", " : "",
			key + strlen("vm/"));
	return 0;
}

static bool is_paused(struct svc *svc, const char *node)
{
	const struct json *state;
	char key[SVC_NAME_MAX_LEN + 16];

	snprintf(key, sizeof(key), "nodestate/%s", node);
	return cluster_get(svc->cluster, key, &state, NULL) == 0 &&
	       strcmp(json_get_string(state, "state", ""), "paused") == 0;
}

/* False: the call has been failed. */
static bool owns_nothing(struct api_call *call, const struct cluster_node *node)
{
	struct owned owned = {.svc = call->svc, .node_id = node->id};

	cluster_for_each(call->svc->cluster, "vm/", note_owned, &owned);
	if (owned.n == 0)
		return true;
	api_fail(call, API_REFUSED,
		"%s owns %zu VM%s (%s%s); move them away with 'viaduct live-migrate', or start "
		"those that are off elsewhere with 'viaduct vm start VM --node NODE', or delete "
		"them",
		node->name, owned.n, owned.n == 1 ? "" : "s", owned.names,
		owned.n > MAX_NAMED ? ", ..." : "");
	return false;
}

static bool keeps_quorum(struct api_call *call, const struct cluster_node *node)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(call->svc->cluster, nodes, ARRAY_LEN(nodes)), n_up = 0;

	for (size_t i = 0; i < n; i++)
		n_up += nodes[i].is_member && nodes[i].id != node->id;
	if (n_up >= (n - 1) / 2 + 1)
		return true;
	api_fail(call, API_REFUSED,
		"without %s there would be %zu nodes with %zu of them up, which is no quorum; "
		"bring "
		"the others up first, or evict those that stay away",
		node->name, n - 1, n_up);
	return false;
}

static bool may_go(struct api_call *call, const struct cluster_node *node)
{
	struct svc *svc = call->svc;

	if (node->id == cluster_local_id(svc->cluster)) {
		api_fail(call, API_REFUSED,
			"%s is this node, and a node does not evict itself; type it on another one",
			node->name);
		return false;
	}
	if (!owns_nothing(call, node))
		return false;
	if (node->is_member && !is_paused(svc, node->name)) {
		api_fail(call, API_REFUSED,
			"%s is up and not paused, so VMs could come to it meanwhile; 'viaduct node "
			"pause %s' first, or shut it down",
			node->name, node->name);
		return false;
	}
	return keeps_quorum(call, node);
}

/* ---- its records ---- */

struct gathering {
	const char *node;
	struct svc *svc;
	struct json *keys;
};

/* "PREFIX/NODE" or "PREFIX/NODE/...": exactly this node's. */
static int gather(const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct gathering *g = data;
	const char *name = strchr(key, '/') + 1;
	size_t len = strlen(g->node);
	const struct json *adapters = json_get(record, "adapters");

	if (strncmp(name, g->node, len) != 0 || (name[len] && name[len] != '/'))
		return 0;
	if (json_length(g->keys) < MAX_RECORDS)
		json_append_string(g->keys, key);
	for (size_t i = 0; strncmp(key, "switch/", 7) == 0 && i < json_length(adapters); i++)
		cluster_mac_release(
			g->svc->cluster, json_get_string(json_at(adapters, i), "lease", ""));
	return 0;
}

static struct json *records_of(struct svc *svc, const char *node)
{
	static const char *const prefixes[] = {"node/", "peer/", "netif/", "links/", "nodepolicy/",
		"nodestate/", "offload/", "switch/", "switchstate/"};
	struct gathering g = {.node = node, .svc = svc, .keys = json_array_new()};

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		cluster_for_each(svc->cluster, prefixes[i], gather, &g);
	return g.keys;
}

static void delete_next(struct evict *evict);

static void on_deleted(int error, uint64_t version _unused_, void *data)
{
	struct evict *evict = data;

	if (error < 0)
		log_warning("%s of the evicted node was not deleted: %s",
			json_string(json_at(evict->keys, evict->key_at), ""), strerror(-error));
	evict->key_at++;
	delete_next(evict);
}

static void delete_next(struct evict *evict)
{
	struct svc *svc = evict->call->svc;
	const char *key = json_string(json_at(evict->keys, evict->key_at), NULL);
	struct json *result;
	int r;

	if (key) {
		r = cluster_cas(svc->cluster, key, CLUSTER_ANY_VERSION, NULL, on_deleted, evict);
		if (r < 0)
			on_deleted(r, 0, evict);
		return;
	}
	events_add(svc, EVENT_WARNING, "node.evicted", evict->node.name,
		"was evicted from the cluster");
	result = json_object_new();
	json_set_stringf(result, "note",
		"%s is no node any more. What was its own - switches, adapters, facts - is gone.%s",
		evict->node.name,
		evict->node.is_member
			? " It stops its corosync by itself."
			: " When it comes back, it is refused; 'viaduct node join' makes it a node "
			  "again.");
	api_reply(evict->call, result);
	json_unref(evict->keys);
	free(evict);
}

/* ---- the steps ---- */

/* Until it has left it may write its records again. */
static void wait_until_gone(void *data)
{
	struct evict *evict = data;
	struct svc *svc = evict->call->svc;
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));
	bool is_there = !cluster_is_synced(svc->cluster) || !cluster_is_quorate(svc->cluster);

	for (size_t i = 0; i < n; i++)
		is_there |= nodes[i].id == evict->node.id;
	if (is_there && ++evict->n_polls < GONE_MAX_POLLS) {
		loop_timer_add(svc->loop, GONE_POLL_NS, wait_until_gone, evict, NULL);
		return;
	}
	if (is_there) {
		evict_failed(evict, "corosync still has it; evict it again");
		return;
	}
	evict->keys = records_of(svc, evict->node.name);
	delete_next(evict);
}

static void on_conf_changed(const char *error, void *data)
{
	struct evict *evict = data;

	if (error)
		evict_failed(evict, error);
	else
		wait_until_gone(evict);
}

static void on_noted(int error, uint64_t version _unused_, void *data)
{
	struct evict *evict = data;
	char why[300];

	if (error < 0)
		evict_failed(evict, strerror(-error));
	else if (conf_change(evict->call->svc, NULL, evict->node.name, on_conf_changed, evict, why,
			 sizeof(why)) < 0)
		evict_failed(evict, why);
}

/* Who it was, so that it can be told when it comes back. */
static struct json *note_of(struct svc *svc, const struct cluster_node *node)
{
	struct json *note = json_object_new();
	const struct json *peer;
	char key[SVC_NAME_MAX_LEN + 8];

	snprintf(key, sizeof(key), "peer/%s", node->name);
	json_set_int(note, "id", node->id);
	json_set_int(note, "at", (int64_t)time(NULL));
	if (cluster_get(svc->cluster, key, &peer, NULL) == 0)
		json_set_string(note, "key", json_get_string(peer, "key", ""));
	return note;
}

/* {node} -> {note} */
void api_node_evict(struct api_call *call)
{
	struct svc *svc = call->svc;
	const char *name = json_get_string(call->message, "name", "");
	char key[SVC_NAME_MAX_LEN + 16];
	struct cluster_node node;
	struct evict *evict;
	int r;

	if (!api_needs_quorum(call))
		return;
	if (cluster_find_node(svc->cluster, name, &node) < 0) {
		api_fail(call, API_NOT_FOUND,
			"there is no node '%.63s'; see 'viaduct cluster status'", name);
		return;
	}
	if (!may_go(call, &node))
		return;
	evict = calloc(1, sizeof(*evict));
	if (!evict) {
		api_fail(call, API_FAILED, "out of memory");
		return;
	}
	evict->call = call;
	evict->node = node;
	snprintf(key, sizeof(key), "evicted/%s", name);
	r = cluster_cas(
		svc->cluster, key, CLUSTER_ANY_VERSION, note_of(svc, &node), on_noted, evict);
	if (r < 0)
		evict_failed(evict, strerror(-r));
}
