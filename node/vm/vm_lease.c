/* SPDX-License-Identifier: MIT */
#include "node/vm/vm_lease.h"

#include "base/clock.h"

#include <signal.h>
#include <time.h>

static timer_t lease_timer;

int vm_lease_init(void)
{
	struct sigevent kill_me = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};

	return timer_create(CLOCK_BOOTTIME, &kill_me, &lease_timer) < 0 ? -errno : 0;
}

int vm_lease_renew(uint64_t until_ns)
{
	const struct itimerspec at = {
		.it_value = {(time_t)(until_ns / NS_PER_SEC), (long)(until_ns % NS_PER_SEC)},
	};

	if (!until_ns || until_ns > INT64_MAX)
		return -EINVAL;
	return timer_settime(lease_timer, TIMER_ABSTIME, &at, NULL) < 0 ? -errno : 0;
}
