/* SPDX-License-Identifier: MIT
 *
 * failover.h - which VMs that have lost their node are started where, and in which order: a pure
 * function of a picture of the cluster (place.h). Whoever asks has made sure that none of them runs
 * any more (cluster_node_is_gone(), or their own node's word).
 *
 * High priority goes first, then medium, then low, each by name; a VM that gets a place takes it
 * from those after it. Same picture, same plan, on whatever node.
 *
 * Threads: none of its own.
 */
#ifndef VIADUCT_CLUSTER_FAILOVER_H
#define VIADUCT_CLUSTER_FAILOVER_H

#include "cluster/place.h"

#define FAILOVER_WHY_MAX_LEN 511

struct failover_vm {
	const char *name; /* in the picture */
	enum place_priority priority;
	unsigned n_restarts;   /* within its window */
	unsigned max_restarts; /* what its policy allows; 0: none */
	uint32_t avoid;        /* a node where it has just failed to start; 0: none */
};

struct failover_node {
	uint32_t id;
	const char *name;
};

struct failover_step {
	size_t vm;                          /* of those that were asked for */
	uint32_t to;                        /* 0: it stays where it is, off */
	bool is_final;                      /* `to` is 0, and that does not change by waiting */
	char why[FAILOVER_WHY_MAX_LEN + 1]; /* a clause; `to` is 0 */
};

/* One step for each of `vms`, in the order in which they are to be started; the picture is changed
 * by what is decided. `nodes` are those that reasons are given for. -ENOMEM. */
int failover_plan(struct place *place, const struct failover_vm *vms, size_t n_vms,
	const struct failover_node *nodes, size_t n_nodes, struct failover_step *ret_steps);

#endif
