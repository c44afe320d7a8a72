/* SPDX-License-Identifier: MIT
 *
 * node.h - nodes as people see them: paused, drained, resumed; and VMs that become another node's
 * without having run meanwhile.
 *
 * nodestate/NODE has what people want of a node and what came of it:
 *
 *   state    "up", "paused": it takes no VM, neither by a move nor by a start
 *   drain    "none", "running", "done", "failed" with `reason`
 *   since    when `state` or `drain` became so
 *   job      of the drain
 *   target   the only node that might take its VMs; absent: all
 *   moved    [{vm, to}]: what drains took away since it was paused, to bring back
 *
 * A node's own service writes it; another one only while there is none.
 */
#ifndef VIADUCT_NODE_SVC_NODE_H
#define VIADUCT_NODE_SVC_NODE_H

#include "cluster/drain.h"
#include "node/svc/moves.h"

/* ---- node_state.c ---- */

/* It takes no VM, neither by a move nor by a start. */
bool node_is_paused(struct svc *svc, const char *node);

const struct json *node_state(struct svc *svc, const char *node); /* lent, or NULL: up */
/* A copy to change, with all that there is. */
struct json *node_state_copy(struct svc *svc, const char *node);
/* `drain` becomes `status` now. */
void node_state_set_drain(struct json *state, const char *status, const char *reason);
/* Write it (takes over); `fn` as of cluster_cas(), also for what is known at once. What is under
 * way of this node's own is what node_state_copy() gives. */
void node_state_write(
	struct svc *svc, const char *node, struct json *state, cluster_done_fn fn, void *data);
/* This node's own, until it is written, however long there is no quorum. Takes over. */
void node_state_say(struct svc *svc, struct json *state);
/* From time to time: what could not be written; and a drain that ended with a former life of this
 * service has failed. */
void node_state_keep(struct svc *svc);

/* ---- drain_make.c: the plan ---- */

struct drain_wish {
	uint32_t target_id;       /* 0: the best node for each VM */
	bool force;               /* stop what cannot be moved */
	const struct json *moved; /* bring these back; NULL: give away all that is here */
	bool by_policy;           /* of these, what policy/VM wants */
};
/* 0, or -errno with a sentence. */
int drain_make(struct svc *svc, const struct drain_wish *wish, struct drain_plan **ret_plan,
	char *error, size_t size_bytes);
struct json *drain_plan_json(struct svc *svc, const struct drain_plan *plan);

/* ---- drain_run.c: what was planned is done ---- */

/* A job that takes the plan's steps, and says in nodestate what came of them. One at a time:
 * -EBUSY; -ENOMEM. `is_failback`: VMs come from other nodes. */
int drain_start(
	struct svc *svc, const struct drain_plan *plan, bool is_failback, struct job **ret_job);
const struct job *drain_job(const struct svc *svc); /* NULL: none is under way */
/* What moves goes on moving; what waits stays. */
void drain_cancel(struct svc *svc);

/* ---- handover.c: VMs that do not run ---- */

/* The VM becomes this node's, as it is: off or saved. `fn` once, perhaps before this returns;
 * `error` NULL: it did, or was. */
typedef void (*vm_take_fn)(const char *error, enum api_code code, void *data);
void vm_take(struct svc *svc, const char *name, vm_take_fn fn, void *data);

#endif
