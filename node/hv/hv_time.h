/* SPDX-License-Identifier: MIT
 *
 * hv_time.h - partition reference time: 100 ns units, a linear function of the guest's TSC.
 *
 *	reference time = ((guest TSC * scale) >> 64) + offset
 *
 * which is also the formula of the reference TSC page, so that the page, the MSR and the host agree
 *to the tick. The time stands still while the partition is stopped (TLFS: while its VPs are
 *suspended) and goes on from where it stood, on another host too: it never jumps back, and a guest
 *that must know the time of day hears it from time synchronisation.
 */
#ifndef VIADUCT_NODE_HV_HV_TIME_H
#define VIADUCT_NODE_HV_HV_TIME_H

#include <stdbool.h>
#include <stdint.h>

#define HV_TIME_TICKS_PER_SEC 10000000ULL

struct hv_time {
	uint64_t tsc_hz;     /* constant */
	uint64_t scale;      /* constant */
	int64_t tsc_offset;  /* guest TSC minus host TSC, while running */
	int64_t offset;      /* while running */
	uint64_t stopped_at; /* reference time, while stopped */
	bool is_running;
};

static inline uint64_t hv_time_host_tsc(void)
{
	/* The fence keeps the read behind whatever came before it. */
	__builtin_ia32_lfence();
	return __builtin_ia32_rdtsc();
}

void hv_time_init(struct hv_time *time, uint64_t tsc_hz);
void hv_time_start(struct hv_time *time, int64_t tsc_offset, uint64_t host_tsc);
void hv_time_stop(struct hv_time *time, uint64_t host_tsc);
uint64_t hv_time_at(const struct hv_time *time, uint64_t host_tsc);

#endif
