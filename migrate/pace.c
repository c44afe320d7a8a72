/* SPDX-License-Identifier: MIT */
#include "migrate/pace.h"
#include "base/clock.h"

#define BURST_NS (10 * NS_PER_MS)

void pace_init(struct pace *pace, uint64_t bytes_per_s)
{
	pace->bytes_per_s = bytes_per_s;
	pace->paid_until_ns = 0;
	pthread_mutex_init(&pace->lock, NULL);
}

void pace_fini(struct pace *pace)
{
	pthread_mutex_destroy(&pace->lock);
}

uint64_t pace_take(struct pace *pace, uint64_t bytes, uint64_t now_ns)
{
	uint64_t oldest_ns = now_ns > BURST_NS ? now_ns - BURST_NS : 0;
	uint64_t wait_ns;

	if (!pace->bytes_per_s)
		return 0;
	pthread_mutex_lock(&pace->lock);
	pace->paid_until_ns = MAX(pace->paid_until_ns, oldest_ns);
	wait_ns = pace->paid_until_ns > now_ns ? pace->paid_until_ns - now_ns : 0;
	pace->paid_until_ns += bytes * NS_PER_SEC / pace->bytes_per_s;
	pthread_mutex_unlock(&pace->lock);
	return wait_ns;
}
