/* SPDX-License-Identifier: MIT
 *
 * alarm.c - the thread that lets the clock of the chipset tick while a guest waits for its
 * interrupts, and sleeps otherwise; and the line of these interrupts.
 */
#include "node/hv/internal.h"

#include <time.h>

#define NS_PER_SEC 1000000000

int64_t alarm_utc_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * NS_PER_SEC + now.tv_nsec;
}

void alarm_update_locked(struct partition *partition)
{
	struct alarm *alarm = &partition->alarm;
	bool level = rtc_irq(&partition->chipset.rtc);
	struct kvm_irq_level line = {.irq = RTC_IRQ, .level = level};

	if (rtc_wants_ticks(&partition->chipset.rtc))
		pthread_cond_signal(&alarm->changed);
	if (level == alarm->line)
		return;
	alarm->line = level;
	(void)kvm_call(partition->vm_fd, KVM_IRQ_LINE, &line);
}

static bool must_tick(const struct partition *partition)
{
	return partition->alarm.is_running && rtc_wants_ticks(&partition->chipset.rtc);
}

/* When the next second of the world's time begins, on the clock that nobody sets. */
static struct timespec next_second(void)
{
	int64_t left_ns = NS_PER_SEC - alarm_utc_ns() % NS_PER_SEC;
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += left_ns;
	at.tv_sec += at.tv_nsec / NS_PER_SEC;
	at.tv_nsec %= NS_PER_SEC;
	return at;
}

static void wait_and_tick_locked(struct partition *partition)
{
	struct timespec next = next_second();
	int r = 0;

	while (must_tick(partition) && r != ETIMEDOUT)
		r = pthread_cond_clockwait(&partition->alarm.changed, &partition->chipset_lock,
			CLOCK_MONOTONIC, &next);
	if (!must_tick(partition))
		return;
	rtc_tick(&partition->chipset.rtc, alarm_utc_ns());
	alarm_update_locked(partition);
}

static void alarm_main(void *data)
{
	struct partition *partition = data;
	struct alarm *alarm = &partition->alarm;

	pthread_mutex_lock(&partition->chipset_lock);
	while (!alarm->must_quit) {
		if (must_tick(partition))
			wait_and_tick_locked(partition);
		else
			pthread_cond_wait(&alarm->changed, &partition->chipset_lock);
	}
	pthread_mutex_unlock(&partition->chipset_lock);
}

static void set_state(struct partition *partition, bool is_running, bool must_quit)
{
	pthread_mutex_lock(&partition->chipset_lock);
	partition->alarm.is_running = is_running;
	partition->alarm.must_quit = must_quit;
	pthread_cond_signal(&partition->alarm.changed);
	pthread_mutex_unlock(&partition->chipset_lock);
}

int alarm_init(struct partition *partition)
{
	return thread_start(&partition->alarm.thread, "rtc", alarm_main, partition);
}

void alarm_fini(struct partition *partition)
{
	if (!partition->alarm.thread.running)
		return;
	set_state(partition, false, true);
	thread_join(&partition->alarm.thread);
}

void alarm_start(struct partition *partition)
{
	set_state(partition, true, false);
}

/* The clock stands still once the lock was had: it ticks only while running, which is looked at
 * under the lock. */
void alarm_stop(struct partition *partition)
{
	set_state(partition, false, false);
}
