/* SPDX-License-Identifier: MIT
 *
 * stops: how long the machine itself stands still. A deadline task, which comes before all others,
 * sleeps a millisecond and looks how late it is; when it is late, nothing ran: the host had the
 * processors for something else, or the kernel had its interrupts off.
 *
 * A line in, a line out: "reset" begins anew, "read" prints {"longest_us": N, "n": how often more
 * than 3 ms}. Ends with its input.
 */
#include "base/clock.h"
#include "base/thread.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#define PERIOD_NS NS_PER_MS
#define LATE_NS   (3 * NS_PER_MS)

/* Of sched_setattr(2); glibc has none. */
struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime_ns, deadline_ns, period_ns;
};

static atomic_uint_fast64_t longest_ns, n_late;
static atomic_bool is_ending;
static atomic_int error;

static void watch(void *data)
{
	const struct attributes deadline = {
		.size = sizeof(deadline),
		.policy = 6, /* SCHED_DEADLINE */
		.runtime_ns = PERIOD_NS / 4,
		.deadline_ns = PERIOD_NS,
		.period_ns = PERIOD_NS,
	};
	const struct timespec pause = {.tv_nsec = (long)PERIOD_NS};

	(void)data;
	if (syscall(SYS_sched_setattr, 0, &deadline, 0) < 0)
		error = errno;
	while (!is_ending && error == 0) {
		uint64_t before_ns = clock_mono_ns(), late_ns;

		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		late_ns = clock_mono_ns() - before_ns - PERIOD_NS;
		if (late_ns > LATE_NS)
			n_late++;
		if (late_ns > longest_ns)
			longest_ns = late_ns;
	}
}

int main(void)
{
	struct thread thread = {};
	char line[16];

	if (thread_start(&thread, "stops", watch, NULL) < 0)
		return 1;
	while (fgets(line, sizeof(line), stdin)) {
		if (strcmp(line, "reset\n") == 0)
			longest_ns = n_late = 0;
		if (error)
			printf("{\"error\": %d}\n", (int)error);
		else
			printf("{\"longest_us\": %" PRIu64 ", \"n\": %" PRIu64 "}\n",
				(uint64_t)(longest_ns / NS_PER_US), (uint64_t)n_late);
		fflush(stdout);
	}
	is_ending = true;
	thread_join(&thread);
	return 0;
}
