/* SPDX-License-Identifier: MIT
 *
 * cmap_link.h - the configured nodes, from corosync's cmap (cmap_link.c is its only user).
 *
 * `changed` and `lost` as in quorum_link.h. Threads: the loop's thread.
 */
#ifndef VIADUCT_CLUSTER_CMAP_LINK_H
#define VIADUCT_CLUSTER_CMAP_LINK_H

#include "base/loop.h"

#define CMAP_MAX_NODES    64
#define CMAP_NAME_MAX_LEN 63
#define CMAP_MAX_RINGS    8

struct cmap_link;

struct cmap_node {
	uint32_t id;
	char name[CMAP_NAME_MAX_LEN +
		  1]; /* nodelist.node.N.name, else ring 0's address, else "nodeID" */
	char ring_addr[CMAP_MAX_RINGS][64];
};

struct cmap_link_ops {
	void (*changed)(void *data);
	void (*lost)(int error, void *data);
};

int cmap_link_new(struct loop *loop, const struct cmap_link_ops *ops, void *data,
	struct cmap_link **ret_link);
void cmap_link_free(struct cmap_link *link);

/* knet_link_priority of each link, as far as a byte holds it; 0 where nothing is set. */
void cmap_link_priorities(struct cmap_link *link, uint8_t ret_priority[CMAP_MAX_RINGS]);

/* The nodes of now, ordered by id; -E2BIG for more than `max`. */
int cmap_link_nodes(struct cmap_link *link, struct cmap_node *ret_nodes, size_t max, size_t *ret_n);

#endif
