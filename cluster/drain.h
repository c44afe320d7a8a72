/* SPDX-License-Identifier: MIT
 *
 * drain.h - how a node gives its VMs away, or gets them back: a pure function of a picture of the
 * cluster (place.h) to a plan. What `--dry-run` shows is what a drain does, step by step.
 *
 * Order: VMs that run before those that do not; among them by priority, high first; then the larger
 * first, because a large one finds room only while there is some in one piece; then by name. So the
 * same picture gives the same plan on whatever node, and whatever order VMs are named in.
 *
 * Every VM is in the plan exactly once. A step reckons with those before it: no target is given
 * more than it has room for. What can be moved to no node is in the plan as blocked, with all
 * reasons of all nodes; it keeps nobody behind it from moving.
 *
 * Threads: none of its own.
 */
#ifndef VIADUCT_CLUSTER_DRAIN_H
#define VIADUCT_CLUSTER_DRAIN_H

#include "cluster/place.h"

#define DRAIN_DIGEST_LEN  16
#define DRAIN_MAX_REASONS 128 /* of one VM, from all nodes */

enum drain_kind {
	DRAIN_LIVE,
	DRAIN_QUICK, /* where no network may carry a live migration */
	DRAIN_STOP,  /* turned off, then another node's: only by force */
	DRAIN_OWNER, /* it does not run: another node becomes its owner */
	DRAIN_BLOCKED,
};
const char *drain_kind_name(enum drain_kind kind); /* "live", "quick", ... */

struct drain_vm {
	const char *name; /* as in the picture */
	uint32_t node_id; /* where it is now */
	bool runs;        /* needs memory wherever it is; a paused one does */
	enum place_priority priority;
	uint64_t memory_bytes;
	uint64_t dirty_bytes_per_s; /* what its guest writes; 0: not known */
	const char *why_not; /* nothing can be done with it now, not even by force; "": it can */
	const char *why_not_move; /* it cannot be moved while it runs; "": it can */
};

struct drain_node {
	uint32_t id;
	const char *name;
	bool takes;              /* up and not paused */
	const char *why_no_live; /* no live migration to it: a clause; "": possible */
};

struct drain_request {
	uint32_t except;    /* the node that gives its VMs away; 0: none */
	uint32_t target_id; /* the only node that may take them; 0: the best one for each */
	bool force;
	const char *why_no_quick;  /* a clause; "": quick migrations are possible */
	uint64_t link_bytes_per_s; /* what a migration moves; 0: not known */
	const struct drain_node *nodes;
	size_t n_nodes;
	const struct drain_vm *vms;
	size_t n_vms;
};

struct drain_step {
	char vm[PLACE_NAME_MAX_LEN + 1];
	enum drain_kind kind;
	enum place_priority priority;
	uint64_t memory_bytes;
	uint32_t from_id, target_id;  /* target 0 of a blocked one */
	unsigned seconds;             /* estimate */
	struct place_reason *reasons; /* why it is blocked, or stopped */
	size_t n_reasons;
};

struct drain_plan {
	size_t n_steps;
	char digest[DRAIN_DIGEST_LEN + 1]; /* of order, VMs, kinds and targets */
	struct drain_step steps[];
};

/* `place` has the VMs of the request; they are moved in it (place_move) as the plan decides.
 * -ENOMEM; -EINVAL: a name is too long. */
int drain_plan(
	struct place *place, const struct drain_request *request, struct drain_plan **ret_plan);
void drain_plan_free(struct drain_plan *plan); /* NULL is fine */

#endif
