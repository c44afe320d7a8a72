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
	return cluster_is_quorate(cluster) && rs_mode(cluster->rs) == RS_SYNCED;
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

size_t cluster_nodes(const struct cluster *cluster, struct cluster_node *ret_nodes, size_t max)
{
	struct member_table table = cluster->members;
	size_t n = MIN(table.n_nodes, max);

	member_ask_store(&table, cluster->rs);
	memcpy(ret_nodes, table.nodes, n * sizeof(table.nodes[0]));
	return n;
}

int cluster_find_node(
	const struct cluster *cluster, const char *name, struct cluster_node *ret_node)
{
	struct member_table table = cluster->members;
	const struct cluster_node *node;

	member_ask_store(&table, cluster->rs);
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
		.generation = meta->generation,
		.store_version = meta->version,
		.n_keys = store_n_keys(rs_store(cluster->rs)),
		.store_error = cluster->db_error,
	};
	uint8_t digest[RS_DIGEST_BYTES];

	if (cluster->connected) {
		const struct quorum_info *info = quorum_link_info(cluster->quorum);

		status.expected_votes = info->expected_votes;
		status.total_votes = info->total_votes;
		status.quorum_votes = info->quorum_votes;
	}
	if (rs_digest(cluster->rs, digest) == 0) {
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
		r = fn(entry->key, entry->json, entry->version, data);
		if (r != 0)
			return r;
	}
	return 0;
}
