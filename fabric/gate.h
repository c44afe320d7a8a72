/* SPDX-License-Identifier: MIT
 *
 * gate.h - stops a number of threads where it suits them, and lets them go on. Each of them looks
 * at gate_is_closing() now and then, finishes what it had under way, and stops in gate_stop().
 *
 * To stop them: gate_close(), wake those that sleep, gate_wait(). Then none runs until gate_open().
 * Closing again right after opening stops each thread anew: none is counted that has not run since.
 *
 * Threads: closing and opening is one's, and none of those that are stopped.
 */
#ifndef VIADUCT_FABRIC_GATE_H
#define VIADUCT_FABRIC_GATE_H

#include "base/err.h"

#include <pthread.h>

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t stopped, opened;
	unsigned n_threads, n_stopped;
	uint64_t n_closed; /* times; atomic */
	uint64_t n_opened; /* the same; equal: it is open */
};

void gate_init(struct gate *gate, unsigned n_threads);
void gate_fini(struct gate *gate);

void gate_close(struct gate *gate);
void gate_wait(struct gate *gate);
void gate_open(struct gate *gate);

/* Of the threads. The value for gate_stop() if the gate is closing and this thread has not stopped
 * for it yet, or 0; `seen` is the value before. */
uint64_t gate_is_closing(const struct gate *gate, uint64_t seen);
void gate_stop(struct gate *gate, uint64_t closing);

#endif
