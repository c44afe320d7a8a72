/* SPDX-License-Identifier: MIT
 *
 * shifted_clock.so - for LD_PRELOAD: the wall clock of a process is ahead by as many seconds as the
 * file $SHIFTED_CLOCK says, an int64_t that may be changed at any time. Only that clock, as when
 * people set it: libfaketime cannot be had without timers of other clocks, set to an absolute time,
 * being moved as well.
 */
#include "base/clock.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define SMALLEST_WALL_S 1000000000 /* 2001; no machine has run for that long */
#define EXPORTED        __attribute__((visibility("default")))

static const volatile int64_t no_shift;
static const volatile int64_t *shift_s = &no_shift;
static int (*real_clock_gettime)(clockid_t clock, struct timespec *now);

__attribute__((constructor)) static void map_shift(void)
{
	const char *path = getenv("SHIFTED_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *map;

	real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(*shift_s), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		shift_s = map;
}

EXPORTED int clock_gettime(clockid_t clock, struct timespec *now)
{
	int r = real_clock_gettime ? real_clock_gettime(clock, now)
				   : (int)syscall(SYS_clock_gettime, clock, now);

	if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += *shift_s;
	return r;
}

EXPORTED int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec t;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &t);
	now->tv_sec = t.tv_sec;
	now->tv_usec = t.tv_nsec / 1000;
	return 0;
}

EXPORTED time_t time(time_t *ret)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (ret)
		*ret = t.tv_sec;
	return t.tv_sec;
}

/* The kernel waits by its own clock. libknet and libqb read the wall clock and wait for it; what is
 * a smaller number is by CLOCK_MONOTONIC. */
EXPORTED int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
	const struct timespec *restrict until)
{
	struct timespec real = *until;

	if (until->tv_sec < SMALLEST_WALL_S)
		return pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, until);
	real.tv_sec -= *shift_s;
	return pthread_cond_clockwait(cond, mutex, CLOCK_REALTIME, &real);
}

EXPORTED int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until)
{
	struct timespec real = *until;

	real.tv_sec -= *shift_s;
	return sem_clockwait(semaphore, CLOCK_REALTIME, &real);
}
