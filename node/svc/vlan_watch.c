/* SPDX-License-Identifier: MIT
 *
 * vlan_watch.c - a round goes through the node's external switches by name, one probe at a time.
 */
#include "node/svc/vlan_watch.h"

#include "base/clock.h"
#include "base/log.h"
#include "fabric/vlan.h"
#include "node/svc/svc.h"

#include <stdio.h>
#include <string.h>

#define ROUND_NS  (10 * NS_PER_SEC)
#define MAX_TRIED 3
#define KEY_BYTES (2 * SVC_NAME_MAX_LEN + 24)

struct vlan_watch {
	struct svc *svc;
	bool is_busy;
	uint64_t round_ns; /* when the last one ended */
	unsigned n_rounds;
	/* the switch at hand */
	char name[SVC_NAME_MAX_LEN + 1];
	uint64_t missing[BITMAP_WORDS(VLAN_N_VIDS)];
	struct json *tried;
	unsigned n_asked; /* peers, whether they could be tried or not */
};

static void next_peer(struct vlan_watch *watch);
static void next_switch(struct vlan_watch *watch);

int vlan_watch_new(struct svc *svc, struct vlan_watch **ret_watch)
{
	struct vlan_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	watch->svc = svc;
	*ret_watch = watch;
	return 0;
}

void vlan_watch_free(struct vlan_watch *watch)
{
	if (watch)
		json_unref(watch->tried);
	free(watch);
}

/* ---- the record ---- */

static void on_written(int error, uint64_t version _unused_, void *data _unused_)
{
	if (error < 0 && error != -ESTALE)
		log_debug("what VLANs a switch reaches was not written: %s", strerror(-error));
}

/* Nothing is cut, or nobody could be tried: no record. Another choice of peers alone is no news. */
static void write_record(struct vlan_watch *watch)
{
	struct cluster *cluster = watch->svc->cluster;
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(cluster, nodes, ARRAY_LEN(nodes));
	_cleanup_free_ char *cut = vlan_list_format(watch->missing);
	const struct json *old = NULL;
	struct json *record = NULL;
	char key[KEY_BYTES];
	uint64_t version = 0;

	snprintf(key, sizeof(key), "vlan/%s/%s", cluster_local_name(cluster), watch->name);
	(void)cluster_get(cluster, key, &old, &version);
	if (cut && cut[0] && json_length(watch->tried) > 0) {
		if (strcmp(json_get_string(old, "cut", ""), cut) == 0 &&
			vlan_record_counts(old, nodes, n))
			return;
		record = json_object_new();
		json_set_string(record, "cut", cut);
		json_set(record, "tried", json_ref(watch->tried));
	}
	if (old || record)
		cluster_cas(cluster, key, version, record, on_written, NULL);
}

/* ---- one switch ---- */

/* May the switch of that name be probed from here towards that node? */
static bool has_counterpart(struct vlan_watch *watch, const struct cluster_node *node)
{
	char reference[SVC_NAME_MAX_LEN + 1], there[SVC_NAME_MAX_LEN + 1];

	if (node->id == cluster_local_id(watch->svc->cluster) || !node->is_member ||
		!node->has_service)
		return false;
	switchd_reference(watch->svc, watch->name, reference, sizeof(reference));
	return switchd_resolve(watch->svc, node->name, reference, there, sizeof(there)) &&
	       reach_external_record(watch->svc, node->name, there);
}

/* The `nth` peer of this round: each round begins with another one. */
static bool find_peer(struct vlan_watch *watch, unsigned nth, char name[SVC_NAME_MAX_LEN + 1])
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(watch->svc->cluster, nodes, ARRAY_LEN(nodes)), n_peers = 0;

	for (size_t i = 0; i < n; i++) {
		if (has_counterpart(watch, &nodes[i]))
			nodes[n_peers++] = nodes[i];
	}
	if (nth >= n_peers)
		return false;
	snprintf(name, SVC_NAME_MAX_LEN + 1, "%s", nodes[(watch->n_rounds + nth) % n_peers].name);
	return true;
}

static void on_probed(const char *error, const struct reach_seen *seen, void *data)
{
	struct vlan_watch *watch = data;
	uint64_t there[BITMAP_WORDS(VLAN_N_VIDS)] = {0}, back[BITMAP_WORDS(VLAN_N_VIDS)] = {0};
	char peer[SVC_NAME_MAX_LEN + 1];

	/* A list without VLANs is no list; then nothing arrived. */
	if (!error && find_peer(watch, watch->n_asked - 1, peer)) {
		json_append_string(watch->tried, peer);
		(void)vlan_list_parse(seen->there, there);
		(void)vlan_list_parse(seen->back, back);
		for (size_t i = 0; i < ARRAY_LEN(there); i++)
			watch->missing[i] &= ~(there[i] & back[i]);
	}
	next_peer(watch);
}

static void next_peer(struct vlan_watch *watch)
{
	_cleanup_free_ char *vids = vlan_list_format(watch->missing);
	char peer[SVC_NAME_MAX_LEN + 1];

	if (vids && vids[0] && watch->n_asked < MAX_TRIED &&
		find_peer(watch, watch->n_asked, peer)) {
		watch->n_asked++;
		if (reach_start(watch->svc, peer, watch->name, vids, false, on_probed, watch) == 0)
			return;
	}
	write_record(watch);
	next_switch(watch);
}

/* ---- a round ---- */

static int find_next(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct vlan_watch *watch = data;
	const char *name = strrchr(key, '/') + 1;

	if (strcmp(name, watch->name) <= 0 ||
		strcmp(json_get_string(record, "type", ""), "external") != 0)
		return 0;
	snprintf(watch->name, sizeof(watch->name), "%s", name);
	return 1;
}

static int withdraw(
	const char *key, const struct json *record _unused_, uint64_t version, void *data)
{
	struct vlan_watch *watch = data;

	if (!reach_external_record(
		    watch->svc, cluster_local_name(watch->svc->cluster), strrchr(key, '/') + 1))
		cluster_cas(watch->svc->cluster, key, version, NULL, on_written, NULL);
	return 0;
}

static void next_switch(struct vlan_watch *watch)
{
	struct cluster *cluster = watch->svc->cluster;
	char prefix[KEY_BYTES];

	snprintf(prefix, sizeof(prefix), "switch/%s/", cluster_local_name(cluster));
	if (cluster_is_quorate(cluster) &&
		cluster_for_each(cluster, prefix, find_next, watch) == 1) {
		json_unref(watch->tried);
		watch->tried = json_array_new();
		watch->n_asked = 0;
		memset(watch->missing, 0, sizeof(watch->missing));
		reach_in_use(watch->svc, watch->name, watch->missing);
		bitmap_clear(watch->missing, 0);
		next_peer(watch);
		return;
	}
	snprintf(prefix, sizeof(prefix), "vlan/%s/", cluster_local_name(cluster));
	cluster_for_each(cluster, prefix, withdraw, watch);
	watch->is_busy = false;
	watch->round_ns = clock_mono_ns();
}

void vlan_watch_tick(struct vlan_watch *watch)
{
	if (watch->is_busy || !watch->svc->peer || !cluster_is_synced(watch->svc->cluster) ||
		(watch->n_rounds > 0 && clock_mono_ns() - watch->round_ns < ROUND_NS))
		return;
	watch->is_busy = true;
	watch->n_rounds++;
	watch->name[0] = '\0';
	next_switch(watch);
}
