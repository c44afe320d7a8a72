/* SPDX-License-Identifier: MIT */
#include "cluster/member.h"

#include <string.h>

void member_configure(struct member_table *table, const struct cmap_node *nodes, size_t n_nodes)
{
	struct member_table next = {};

	for (size_t i = 0; i < n_nodes && i < CLUSTER_MAX_NODES; i++) {
		const struct cluster_node *old = member_find(table, nodes[i].id);
		struct cluster_node *node = &next.nodes[next.n_nodes++];

		if (old)
			*node = *old;
		node->id = nodes[i].id;
		memcpy(node->name, nodes[i].name, sizeof(node->name));
		memcpy(node->ring_addr, nodes[i].ring_addr, sizeof(node->ring_addr));
	}
	*table = next;
}

void member_set_present(struct member_table *table, const uint32_t *ids, size_t n_ids)
{
	for (size_t i = 0; i < table->n_nodes; i++) {
		struct cluster_node *node = &table->nodes[i];

		node->is_member = false;
		for (size_t j = 0; j < n_ids; j++)
			node->is_member = node->is_member || node->id == ids[j];
	}
}

void member_ask_store(struct member_table *table, const struct rs *rs)
{
	for (size_t i = 0; i < table->n_nodes; i++) {
		struct cluster_node *node = &table->nodes[i];

		node->has_service = rs_has_member(rs, node->id);
		node->is_synced = rs_member_is_synced(rs, node->id);
		node->protocol = rs_member_newest(rs, node->id);
	}
}

const struct cluster_node *member_find(const struct member_table *table, uint32_t id)
{
	for (size_t i = 0; i < table->n_nodes; i++) {
		if (table->nodes[i].id == id)
			return &table->nodes[i];
	}
	return NULL;
}

const struct cluster_node *member_find_name(const struct member_table *table, const char *name)
{
	for (size_t i = 0; i < table->n_nodes; i++) {
		if (strcmp(table->nodes[i].name, name) == 0)
			return &table->nodes[i];
	}
	return NULL;
}
