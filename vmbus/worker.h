/* SPDX-License-Identifier: MIT
 *
 * worker.h - a thread that others can wake, hold still and end: one per open channel, one for the
 * offers of sub-channels. Internal to vmbus/.
 *
 * The body is a loop that calls worker_checkpoint() on every turn; there it stands still while
 * anybody holds it parked. Parks nest. The body sleeps in poll(2) on the wake descriptor, which
 * everything that wants its attention writes to: the guest's doorbell, worker_wake(), and parking.
 *
 * Locks: worker_park() and worker_stop() wait for the body to reach its checkpoint, so their caller
 * must hold nothing that the body takes.
 *
 * Threads: worker_wake() any; worker_checkpoint(), worker_sleep() and worker_drain() the body; the
 * rest one at a time.
 */
#ifndef VIADUCT_VMBUS_WORKER_H
#define VIADUCT_VMBUS_WORKER_H

#include "base/thread.h"

struct worker {
	struct thread thread;
	int wake_fd; /* eventfd, from worker_init() to worker_fini() */
	bool woken;  /* atomic: wake_fd was written by worker_wake() and not yet answered for */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool held; /* atomic: n_parks || stopping, the checkpoint's quick look */
	unsigned n_parks;
	bool parked;
	bool stopping;
};

int worker_init(struct worker *worker);
void worker_fini(struct worker *worker);

/* `parked`: as if worker_park() had been called before. */
int worker_start(
	struct worker *worker, const char *name, bool parked, void (*body)(void *data), void *data);
/* Wait for the body to return; harmless when it does not run. Parks are forgotten. */
void worker_stop(struct worker *worker);

/* On return the body stands in its checkpoint. Without a running body: nothing. */
void worker_park(struct worker *worker);
void worker_unpark(struct worker *worker);

void worker_wake(struct worker *worker);

/* False: the body has to return. */
bool worker_checkpoint(struct worker *worker);
/* Sleep until woken, for a body that waits for nothing else. */
void worker_sleep(struct worker *worker);
/* Empty the wake descriptor after poll(2) said it is readable. */
void worker_drain(struct worker *worker);

#endif
