/* SPDX-License-Identifier: MIT
 *
 * drain_impl.h - a drain, or a failback, under way, as its two files see it. It lives until all of
 * its steps are over, so whatever answers late still finds its step.
 */
#ifndef VIADUCT_NODE_SVC_DRAIN_IMPL_H
#define VIADUCT_NODE_SVC_DRAIN_IMPL_H

#include "node/svc/node.h"

enum step_state {
	STEP_QUEUED,
	STEP_MOVING,
	STEP_DONE,
	STEP_FAILED,
	STEP_BLOCKED,
	STEP_CANCELLED,
};

struct drain_step_run {
	struct drain *drain;
	enum drain_kind kind;
	enum step_state state;
	char vm[SVC_NAME_MAX_LEN + 1], from[SVC_NAME_MAX_LEN + 1], to[SVC_NAME_MAX_LEN + 1];
	unsigned percent;
	char why[208];
	char job_id[SVC_NAME_MAX_LEN + 32];
	struct job *job;       /* a move of this node that is not over */
	int64_t job_sequence;  /* of another node's, what was seen of it */
	unsigned n_unanswered; /* questions about it in a row */
};

struct drain {
	struct svc *svc;
	struct job *job;
	bool is_failback, is_cancelled, is_closing;
	char digest[DRAIN_DIGEST_LEN + 1];
	size_t n_steps;
	struct drain_step_run steps[];
};

/* A step has changed: say so; if all are over, end. */
void drain_changed(struct drain *drain);
/* Its move is over. drain_changed() is still the caller's. */
void drain_step_over(
	struct drain_step_run *step, enum job_state state, enum api_code code, const char *error);
/* drain_fetch.c: begin as many of the steps that wait as may be under way. */
void drain_fetch_next(struct drain *drain);

#endif
