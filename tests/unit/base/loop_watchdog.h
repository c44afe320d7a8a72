/* SPDX-License-Identifier: MIT
 *
 * loop_watchdog.h - run a loop until a test's condition stopped it, or fail after a bound.
 */
#ifndef VIADUCT_TESTS_LOOP_WATCHDOG_H
#define VIADUCT_TESTS_LOOP_WATCHDOG_H

#include "base/clock.h"
#include "base/loop.h"
#include "tests/unit/base/cmocka_all.h"

#define LOOP_WATCHDOG_NS (20 * NS_PER_SEC)

static inline void loop_watchdog_bark(void *data)
{
	(void)data;
	fail_msg("the loop was not stopped in time");
}

static inline void loop_run_watched(struct loop *loop)
{
	uint64_t id;

	assert_int_equal(loop_timer_add(loop, LOOP_WATCHDOG_NS, loop_watchdog_bark, NULL, &id), 0);
	loop_run(loop);
	loop_timer_remove(loop, id);
}

static inline void loop_stop_job(void *data)
{
	loop_stop(data);
}

/* Let everything that is ready now have its turn. */
static inline void loop_settle(struct loop *loop)
{
	for (int i = 0; i < 4; i++) {
		assert_int_equal(loop_job_add(loop, loop_stop_job, loop), 0);
		loop_run_watched(loop);
	}
}

#endif
