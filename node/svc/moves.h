/* SPDX-License-Identifier: MIT
 *
 * moves.h - what leaves this node, so much at once as the cluster wants (setting/moves):
 * migrations, and VMs that do not run and become another node's. Each is a job; what has to wait
 * for its turn is in state "queued", where nothing was done yet and it can be cancelled.
 *
 * Threads: the loop's.
 */
#ifndef VIADUCT_NODE_SVC_MOVES_H
#define VIADUCT_NODE_SVC_MOVES_H

#include "node/svc/svc.h"

#define MOVES_MAX_PARALLEL 8
enum move_kind {
	MOVE_LIVE,
	MOVE_QUICK,
	MOVE_STOP,  /* turned off, then handed over */
	MOVE_OWNER, /* does not run: handed over */
};

struct move_request {
	const char *vm, *to;
	enum move_kind kind;
	const char *volume;                          /* of a quick one; NULL: the first */
	const struct json *options;                  /* of a live one; may be NULL */
	void (*notify)(struct job *job, void *data); /* as of struct job; may be NULL */
	void *data;
};
#define MOVES_WHY_BYTES 400 /* room for the longest sentence */
/* Begin it, or let it wait for its turn: the job says which. An -errno with a code and a sentence:
 * it cannot be, and there is no job to wait for; `notify` is not called any more. */
int moves_begin(struct svc *svc, const struct move_request *request, struct job **ret_job,
	enum api_code *ret_code, char *why, size_t size_bytes);
/* The job in which the VM waits or moves; NULL: in none. */
const struct job *moves_find(struct svc *svc, const char *vm);
/* A job has ended: in its next turn the loop begins what waits. */
void moves_next_soon(struct svc *svc);
/* So many at once (setting/moves). */
unsigned moves_limit(struct svc *svc);
unsigned moves_clamp(int64_t n); /* what a wish for so many becomes */
/* Bytes of memory that the last live migration moved in a second; 0: there was none. */
uint64_t moves_rate(const struct svc *svc);

/* handover.c: the job's VM, which does not run, becomes its target's. */
int handover_start(struct svc *svc, struct job *job, bool was_stopped);

#endif
