/* SPDX-License-Identifier: MIT
 *
 * gap.h - the blackout as the guest saw it: the longest time between two readings of the TSC, taken
 * wherever the guest polls and after every instruction that can be long on its own account (a byte
 * to the serial port). Nothing is taken out of the measure but sleep, so it means something only
 * while the guest does not sleep, that is while the memory workload runs.
 */
#ifndef VIADUCT_VMBUS_GUEST_GAP_H
#define VIADUCT_VMBUS_GUEST_GAP_H

#include "vmbus/guest/mem.h"

struct gap {
	uint64_t last_tsc;
	uint64_t second_max_tsc;
	uint64_t max_tsc;
};

static inline void gap_sample(struct gap *gap, uint64_t tsc)
{
	uint64_t width = tsc - gap->last_tsc;

	gap->last_tsc = tsc;
	if (width > gap->second_max_tsc)
		gap->second_max_tsc = width;
}

/* The guest slept: what lies behind does not count. */
static inline void gap_skip(struct gap *gap, uint64_t tsc)
{
	gap->last_tsc = tsc;
}

/* Ends a second: returns its maximum. */
static inline uint64_t gap_end_second(struct gap *gap)
{
	uint64_t second = gap->second_max_tsc;

	gap->max_tsc = MAX_OF(gap->max_tsc, second);
	gap->second_max_tsc = 0;
	return second;
}

/* The maximum since the last take, which it resets. */
static inline uint64_t gap_take(struct gap *gap)
{
	uint64_t max = MAX_OF(gap->max_tsc, gap->second_max_tsc);

	gap->max_tsc = 0;
	gap->second_max_tsc = 0;
	return max;
}

#endif
