/* SPDX-License-Identifier: MIT
 *
 * worker.h - a thread for calls that may block, such as questions to another process: jobs are done
 * one after the other, and the loop hears of each.
 *
 * A job is a part of its owner's object: giving one away needs no memory and cannot fail. It and
 * what it touches are the thread's from worker_do() until `done`.
 */
#ifndef VIADUCT_BASE_WORKER_H
#define VIADUCT_BASE_WORKER_H

#include "base/list.h"
#include "base/loop.h"

struct worker;

struct worker_job {
	void (*work)(struct worker_job *job); /* by the thread */
	/* By the loop, afterwards; NULL: nobody has to know, and `work` may free it. */
	void (*done)(struct worker_job *job);
	/* By the thread in place of `done` when the worker was freed meanwhile; NULL: nothing is
	 * left. */
	void (*drop)(struct worker_job *job);
	struct list siblings; /* the worker's */
	bool is_ours;         /* the worker has it */
};

/* `name`: of the thread, at most 15 characters. */
int worker_new(struct loop *loop, const char *name, struct worker **ret_worker);
/* What was given is still done, then the thread ends; no `done` is called any more. Waits for that
 * for a second at most, so that a process that ends does not cut it off; what takes longer goes on
 * without. Before the loop is freed; NULL is fine. */
void worker_free(struct worker *worker);

/* From the loop's thread. `job` is not under way. */
void worker_do(struct worker *worker, struct worker_job *job);
/* It was given and is not done; for the loop's thread. */
bool worker_has(const struct worker_job *job);

#endif
