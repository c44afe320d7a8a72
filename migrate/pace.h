/* SPDX-License-Identifier: MIT
 *
 * pace.h - the bandwidth limit of a job: a token bucket shared by its sending threads, kept as the
 * time at which the bytes sent so far are paid for. Thread-safe; the clock is the caller's.
 */
#ifndef VIADUCT_MIGRATE_PACE_H
#define VIADUCT_MIGRATE_PACE_H

#include "base/err.h"

#include <pthread.h>

struct pace {
	uint64_t bytes_per_s; /* constant; 0 = no limit */
	pthread_mutex_t lock;
	uint64_t paid_until_ns; /* under lock */
};

void pace_init(struct pace *pace, uint64_t bytes_per_s);
void pace_fini(struct pace *pace);
/* `bytes` are about to be sent at `now_ns`: how long to wait before. Idle time is saved up for at
 * most 10 ms. */
uint64_t pace_take(struct pace *pace, uint64_t bytes, uint64_t now_ns);

#endif
