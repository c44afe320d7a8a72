/* SPDX-License-Identifier: MIT
 *
 * cmap_link.h - the configured nodes, from corosync's cmap (cmap_link.c is its only user).
 *
 * `changed` and `lost` as in quorum_link.h. Threads: the loop's thread.
 */
#ifndef VIADUCT_CLUSTER_CMAP_LINK_H
#define VIADUCT_CLUSTER_CMAP_LINK_H

#include "base/worker.h"

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

/* What is configured. */
struct cmap_config {
	struct cmap_node nodes[CMAP_MAX_NODES]; /* by id */
	size_t n_nodes;
	/* knet_link_priority of each link, as far as a byte holds it; 0 where nothing is set. */
	uint8_t priority[CMAP_MAX_RINGS];
};

/* Blocks, through a connection of its own. -E2BIG: there are more nodes. */
int cmap_read(struct cmap_config *ret_config);

struct cmap_link_ops {
	void (*changed)(void *data); /* what cmap_read() reads */
	void (*lost)(int error, void *data);
};

/* Blocks: the worker's thread. */
int cmap_link_open(struct worker *worker, struct cmap_link **ret_link);
void cmap_link_close(struct cmap_link *link); /* one that was not started; also blocks */
/* From here on the loop's. */
int cmap_link_start(
	struct cmap_link *link, struct loop *loop, const struct cmap_link_ops *ops, void *data);
/* Started or not; the worker does what blocks. */
void cmap_link_free(struct cmap_link *link);

#endif
