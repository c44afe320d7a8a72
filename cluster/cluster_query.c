/* SPDX-License-Identifier: MIT */
#include "cluster/cluster_impl.h"

#include <stdio.h>
#include <string.h>

bool cluster_is_connected(const struct cluster *cluster)
{
	return cluster->connected;
}

bool cluster_is_quorate(const struct cluster *cluster)
{
	return cluster->connected && quorum_link_info(cluster->quorum)->quorate;
}

bool cluster_is_synced(const struct cluster *cluster)
{
	return cluster_is_quorate(cluster) && rs_is_synced(cluster->rs);
}

uint32_t cluster_local_id(const struct cluster *cluster)
{
	return cluster->local_id;
}

const char *cluster_local_name(const struct cluster *cluster)
{
	const struct cluster_node *node = member_find(&cluster->members, cluster->local_id);

	return node ? node->name : "";
}

static void ask_all(const struct cluster *cluster, struct member_table *ret_table)
{
	*ret_table = cluster->members;
	member_ask_store(ret_table, cluster->rs);
	for (size_t i = 0; i < ret_table->n_nodes; i++) {
		struct cluster_node *node = &ret_table->nodes[i];

		node->is_silent = node->is_member && node->has_service &&
				  node->id != cluster->local_id &&
				  cluster_node_parted_ns(cluster, node->id);
	}
}

size_t cluster_nodes(const struct cluster *cluster, struct cluster_node *ret_nodes, size_t max)
{
	struct member_table table;
	size_t n;

	ask_all(cluster, &table);
	n = MIN(table.n_nodes, max);
	memcpy(ret_nodes, table.nodes, n * sizeof(table.nodes[0]));
	return n;
}

bool cluster_acts_for_all(const struct cluster *cluster)
{
	struct member_table table;

	ask_all(cluster, &table);
	for (size_t i = 0; i < table.n_nodes; i++) {
		if (cluster_node_takes_part(&table.nodes[i]))
			return table.nodes[i].id == cluster->local_id;
	}
	return false;
}

int cluster_find_node(
	const struct cluster *cluster, const char *name, struct cluster_node *ret_node)
{
	struct member_table table;
	const struct cluster_node *node;

	ask_all(cluster, &table);
	node = member_find_name(&table, name);
	if (!node)
		return -ENOENT;
	*ret_node = *node;
	return 0;
}

void cluster_get_status(const struct cluster *cluster, struct cluster_status *ret_status)
{
	const struct rs_meta *meta = rs_meta(cluster->rs);
	struct cluster_status status = {
		.generation = rs_is_synced(cluster->rs) ? rs_epoch_generation(cluster->rs)
							: meta->generation,
		.store_version = meta->version,
		.n_keys = store_n_keys(rs_store(cluster->rs)),
		.store_error = cluster->db_error,
		.connect_error = cluster->connect_error,
		.protocol = rs_protocol(cluster->rs),
		.protocol_newest = cluster->protocol_newest,
		.protocol_floor = MAX(rs_floor(cluster->rs), (uint16_t)RS_WIRE_OLDEST),
		.protocol_needed = rs_needed(cluster->rs),
	};
	uint8_t digest[RS_DIGEST_BYTES];

	if (cluster->connected) {
		const struct quorum_info *info = quorum_link_info(cluster->quorum);

		status.expected_votes = info->expected_votes;
		status.total_votes = info->total_votes;
		status.quorum_votes = info->quorum_votes;
		status.nodes_needed = info->nodes_needed;
	}
	if (rs_known_digest(cluster->rs, digest)) {
		for (size_t i = 0; i < sizeof(digest); i++)
			snprintf(&status.digest[2 * i], 3, "%02x", digest[i]);
	}
	*ret_status = status;
}

int cluster_get(const struct cluster *cluster, const char *key, const struct json **ret_value,
	uint64_t *ret_version)
{
	return store_get(rs_store(cluster->rs), key, ret_value, ret_version);
}

int cluster_for_each(const struct cluster *cluster, const char *prefix,
	int (*fn)(const char *key, const struct json *value, uint64_t version, void *data),
	void *data)
{
	const struct store *store = rs_store(cluster->rs);
	size_t prefix_len = strlen(prefix);
	const struct store_entry *entry;
	int r;

	for (size_t i = store_lower_bound(store, prefix); (entry = store_at(store, i)); i++) {
		if (strncmp(entry->key, prefix, prefix_len) != 0)
			break;
		r = fn(entry->key, store_entry_json(entry), entry->version, data);
		if (r != 0)
			return r;
	}
	return 0;
}

static const struct cluster_node *node_without_protocol(const struct member_table *table)
{
	for (size_t i = 0; i < table->n_nodes; i++) {
		if (!table->nodes[i].has_service || table->nodes[i].protocol == 0)
			return &table->nodes[i];
	}
	return NULL;
}

int cluster_upgrade(struct cluster *cluster, unsigned *ret_version, struct cluster_node *ret_node,
	cluster_done_fn done, void *data)
{
	struct member_table table = cluster->members;
	const struct cluster_node *lowest = NULL, *missing;
	_cleanup_json_ struct json *record = NULL;
	unsigned newest = 0;
	uint64_t version = 0;

	member_ask_store(&table, cluster->rs);
	if (!cluster_is_synced(cluster) || table.n_nodes == 0)
		return -EHOSTDOWN;
	missing = node_without_protocol(&table);
	if (missing) {
		*ret_node = *missing;
		return -EUNATCH;
	}
	for (size_t i = 0; i < table.n_nodes; i++) {
		newest = MAX(newest, table.nodes[i].protocol);
		if (!lowest || table.nodes[i].protocol < lowest->protocol)
			lowest = &table.nodes[i];
	}
	*ret_version = newest;
	if (lowest->protocol < newest) {
		*ret_node = *lowest;
		return -EPROTONOSUPPORT;
	}
	if (newest <= rs_floor(cluster->rs))
		return -EALREADY;
	cluster_get(cluster, RS_PROTOCOL_KEY, NULL, &version);
	record = json_object_new();
	if (!record || json_set_int(record, "floor", newest) < 0)
		return -ENOMEM;
	return cluster_cas(cluster, RS_PROTOCOL_KEY, version, json_ref(record), done, data);
}

struct cluster_view {
	struct store_view *store;
};

int cluster_view_new(const struct cluster *cluster, struct cluster_view **ret_view)
{
	struct cluster_view *view = calloc(1, sizeof(*view));
	int r;

	if (!view)
		return -ENOMEM;
	r = rs_view(cluster->rs, &view->store);
	if (r < 0) {
		free(view);
		return r;
	}
	*ret_view = view;
	return 0;
}

void cluster_view_free(struct cluster_view *view)
{
	if (!view)
		return;
	store_view_free(view->store);
	free(view);
}

size_t cluster_view_n_keys(const struct cluster_view *view)
{
	return store_view_n_keys(view->store);
}

bool cluster_view_at(const struct cluster_view *view, size_t index, const char **ret_key,
	const struct json **ret_value, uint64_t *ret_version)
{
	const struct store_entry *entry = store_view_at(view->store, index);

	if (!entry)
		return false;
	*ret_key = entry->key;
	*ret_value = store_entry_json(entry);
	*ret_version = entry->version;
	return true;
}
