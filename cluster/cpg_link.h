/* SPDX-License-Identifier: MIT
 *
 * cpg_link.h - one process group of corosync (CPG; cpg_link.c is its only user).
 *
 * Nothing here blocks: when corosync wants no message now (flow control, or a membership change
 * under way) messages wait in a queue, in order, and are offered again by a timer. The same goes
 * for joining.
 *
 * The connection is not repaired: `lost` is called once, as the last thing, and then the only thing
 * to do with the link is to free it - also from within `lost` and `turn_end`, not from within the
 * others.
 *
 * Threads: the loop's thread.
 */
#ifndef VIADUCT_CLUSTER_CPG_LINK_H
#define VIADUCT_CLUSTER_CPG_LINK_H

#include "base/worker.h"

struct cpg_link;

struct cpg_link_ops {
	/* Node ids ascend; one process a node is assumed. */
	void (*confchg)(const uint32_t *ids, size_t n_ids, void *data);
	void (*deliver)(uint32_t sender, const void *bytes, size_t size_bytes, void *data);
	/* After a batch of the above. */
	void (*turn_end)(void *data);
	void (*lost)(int error, void *data);
};

/* Blocks: the worker's thread. -ECONNREFUSED: corosync is not there (yet). */
int cpg_link_open(struct worker *worker, const char *group, struct cpg_link **ret_link);
void cpg_link_close(struct cpg_link *link); /* one that was not started; also blocks */
/* From here on the loop's; begins to join the group. */
int cpg_link_start(
	struct cpg_link *link, struct loop *loop, const struct cpg_link_ops *ops, void *data);
/* Started or not; the worker does what blocks. */
void cpg_link_free(struct cpg_link *link);

uint32_t cpg_link_local_id(const struct cpg_link *link);
/* Copies. If that or corosync fails, `lost` follows from the loop. */
void cpg_link_multicast(struct cpg_link *link, const void *bytes, size_t size_bytes);

#endif
