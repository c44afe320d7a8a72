/* SPDX-License-Identifier: MIT
 *
 * thread.h - a named thread whose start is synchronous: thread_start() returns after `fn` runs.
 * The owner tells the thread to end through a means of its own (an eventfd, a flag) and then calls
 * thread_join(). All signals are blocked in it except those unblocked by itself.
 */
#ifndef VIADUCT_BASE_THREAD_H
#define VIADUCT_BASE_THREAD_H

#include "base/err.h"

#include <pthread.h>

struct thread {
	pthread_t id;
	bool running;
};

/* `name`: at most 15 characters. */
int thread_start(struct thread *t, const char *name, void (*fn)(void *data), void *data);
/* Harmless when not running. */
void thread_join(struct thread *t);
/* In place of thread_join(), for one that ends by itself, perhaps much later. */
void thread_detach(struct thread *t);

#endif
