/* SPDX-License-Identifier: MIT
 *
 * member.h - the table of configured nodes: who they are (nodelist), who of them corosync counts
 * in, and what the replicated store knows of their daemons. Ordered by id.
 */
#ifndef VIADUCT_CLUSTER_MEMBER_H
#define VIADUCT_CLUSTER_MEMBER_H

#include "cluster/cluster.h"
#include "cluster/cmap_link.h"
#include "cluster/rs.h"

_Static_assert(CMAP_NAME_MAX_LEN == CLUSTER_NAME_MAX_LEN, "names fit");
_Static_assert(CMAP_MAX_NODES == CLUSTER_MAX_NODES, "nodes fit");

struct member_table {
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n_nodes;
};

/* Take over the configuration; who is a member stays as it was. */
void member_configure(struct member_table *table, const struct cmap_node *nodes, size_t n_nodes);
void member_set_present(struct member_table *table, const uint32_t *ids, size_t n_ids);
/* Fill in has_service, is_synced and protocol. */
void member_ask_store(struct member_table *table, const struct rs *rs);

const struct cluster_node *member_find(const struct member_table *table, uint32_t id);
const struct cluster_node *member_find_name(const struct member_table *table, const char *name);

#endif
