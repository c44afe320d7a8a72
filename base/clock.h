/* SPDX-License-Identifier: MIT
 *
 * clock.h - monotonic time in nanoseconds. Cores that are tested with simulated time take `now_ns`
 * as a parameter and do not call this.
 */
#ifndef VIADUCT_BASE_CLOCK_H
#define VIADUCT_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_US  1000ULL
#define NS_PER_MS  1000000ULL
#define NS_PER_SEC 1000000000ULL

static inline uint64_t clock_mono_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

/* Goes on while the machine sleeps: for what must have ended when it wakes up. */
static inline uint64_t clock_boot_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

/* Wall clock, for records that people read; never for measuring. */
static inline uint64_t clock_real_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

#endif
