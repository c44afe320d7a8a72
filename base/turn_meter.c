/* SPDX-License-Identifier: MIT */
#include "base/turn_meter.h"
#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>

struct turn_meter {
	int schedstat_fd; /* -1: the kernel does not tell */
	uint64_t began_ns, began_delay_ns;
	struct turn_times times;
};

/* "TIME ON A PROCESSOR, TIME WAITING FOR ONE, TIMESLICES", in ns. */
static uint64_t run_delay_ns(const struct turn_meter *meter)
{
	unsigned long long on_ns, delay_ns;
	char text[96];
	ssize_t n;

	if (meter->schedstat_fd < 0)
		return 0;
	n = pread(meter->schedstat_fd, text, sizeof(text) - 1, 0);
	text[MAX(n, (ssize_t)0)] = 0;
	return sscanf(text, "%llu %llu", &on_ns, &delay_ns) == 2 ? delay_ns : 0;
}

int turn_meter_new(struct turn_meter **ret_meter)
{
	struct turn_meter *meter = calloc(1, sizeof(*meter));

	if (!meter)
		return -ENOMEM;
	meter->schedstat_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	*ret_meter = meter;
	return 0;
}

void turn_meter_free(struct turn_meter *meter)
{
	if (!meter)
		return;
	close_fd(meter->schedstat_fd);
	free(meter);
}

void turn_meter_begin(struct turn_meter *meter)
{
	if (!meter)
		return;
	meter->began_delay_ns = run_delay_ns(meter);
	meter->began_ns = clock_mono_ns();
}

void turn_meter_end(struct turn_meter *meter)
{
	uint64_t took_ns, own_ns;

	if (!meter)
		return;
	took_ns = clock_mono_ns() - meter->began_ns;
	if (took_ns <= meter->times.longest_own_ns)
		return; /* whatever part of it was its own */
	own_ns = took_ns - MIN(took_ns, run_delay_ns(meter) - meter->began_delay_ns);
	meter->times.longest_ns = MAX(meter->times.longest_ns, took_ns);
	meter->times.longest_own_ns = MAX(meter->times.longest_own_ns, own_ns);
}

struct turn_times turn_meter_read(const struct turn_meter *meter)
{
	return meter->times;
}

void turn_meter_reset(struct turn_meter *meter)
{
	meter->times = (struct turn_times){};
}
