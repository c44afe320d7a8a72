/* SPDX-License-Identifier: MIT
 *
 * turn_meter.h - how long the turns of a thread take, and how much of that it was at work or waited
 * for something: time in which it only waited for a processor, which others had, is told apart
 * (run_delay of /proc/thread-self/schedstat; where there is none, all time counts). A turn costs
 * some 2 us. Threads: begin, end and what is between them are of one thread.
 */
#ifndef VIADUCT_BASE_TURN_METER_H
#define VIADUCT_BASE_TURN_METER_H

#include "base/err.h"

struct turn_meter;

/* For the calling thread. */
int turn_meter_new(struct turn_meter **ret_meter);
void turn_meter_free(struct turn_meter *meter);

/* NULL is fine: nothing is measured. */
void turn_meter_begin(struct turn_meter *meter);
void turn_meter_end(struct turn_meter *meter);

/* Since the start or the last reset; zero while there was no turn. */
struct turn_times {
	uint64_t longest_ns;
	uint64_t longest_own_ns; /* without waiting for a processor */
};
struct turn_times turn_meter_read(const struct turn_meter *meter);
void turn_meter_reset(struct turn_meter *meter);

#endif
