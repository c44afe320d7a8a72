/* SPDX-License-Identifier: MIT */
#include "base/worker.h"

#include <semaphore.h>
#include <string.h>

#include "tests/unit/base/loop_watchdog.h"

enum { N_JOBS = 8 };

struct work {
	struct worker_job job;
	char name;
	bool waits;
};

static struct loop *loop;
static struct worker *worker;
static sem_t gate, dropped;
static char worked[32], heard[32], lost[32];
static struct work works[N_JOBS];

static void note(char journal[32], char c)
{
	size_t len = strlen(journal);

	assert_true(len < 31);
	journal[len] = c;
	journal[len + 1] = 0;
}

static void work(struct worker_job *job)
{
	struct work *it = container_of(job, struct work, job);

	if (it->waits)
		sem_wait(&gate);
	note(worked, it->name);
}

static void done(struct worker_job *job)
{
	struct work *it = container_of(job, struct work, job);

	assert_false(worker_has(job));
	note(heard, it->name);
	if (it->name == 'z')
		loop_stop(loop);
}

static void drop(struct worker_job *job)
{
	note(lost, container_of(job, struct work, job)->name);
	sem_post(&dropped);
}

static void give_with(unsigned i, char name, bool waits, void (*when_done)(struct worker_job *job))
{
	works[i] = (struct work){.job = {.work = work, .done = when_done, .drop = drop},
		.name = name,
		.waits = waits};
	worker_do(worker, &works[i].job);
	assert_true(worker_has(&works[i].job));
}

static void give(unsigned i, char name, bool waits)
{
	give_with(i, name, waits, done);
}

static int setup(void **state _unused_)
{
	worked[0] = heard[0] = lost[0] = 0;
	sem_init(&gate, 0, 0);
	sem_init(&dropped, 0, 0);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(worker_new(loop, "test", &worker), 0);
	return 0;
}

static int teardown(void **state _unused_)
{
	worker_free(worker);
	loop_free(loop);
	return 0;
}

static void jobs_are_done_and_heard_of_in_order(void **state _unused_)
{
	static const char names[] = "abcz";

	for (unsigned i = 0; names[i]; i++)
		give(i, names[i], false);
	loop_run_watched(loop);
	assert_string_equal(worked, "abcz");
	assert_string_equal(heard, "abcz");
	assert_string_equal(lost, "");
}

static void the_loop_goes_on_meanwhile(void **state _unused_)
{
	give(0, 'z', true);
	loop_settle(loop);
	assert_true(worker_has(&works[0].job));
	assert_string_equal(heard, "");
	sem_post(&gate);
	loop_run_watched(loop);
	assert_string_equal(heard, "z");
}

static void wait_dropped(unsigned n)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	while (n-- > 0)
		assert_int_equal(sem_timedwait(&dropped, &until), 0);
}

static void what_was_given_is_done_after_the_end(void **state _unused_)
{
	give(0, 'a', true);
	give(1, 'b', false);
	worker_free(worker);
	worker = NULL;
	sem_post(&gate);
	wait_dropped(2);
	assert_string_equal(worked, "ab");
	assert_string_equal(lost, "ab");
	loop_settle(loop);
	assert_string_equal(heard, "");
}

static void free_worker(struct worker_job *job)
{
	note(heard, container_of(job, struct work, job)->name);
	worker_free(worker);
	worker = NULL;
	loop_stop(loop);
}

/* The second one is finished as well, and waits for its turn. */
static void it_may_be_freed_when_something_is_done(void **state _unused_)
{
	give_with(0, 'a', true, free_worker);
	give(1, 'b', false);
	sem_post(&gate);
	loop_run_watched(loop);
	wait_dropped(1);
	assert_string_equal(heard, "a");
	assert_string_equal(lost, "b");
}

static void free_job(struct worker_job *job)
{
	free(container_of(job, struct work, job));
}

static void what_nobody_hears_of_may_free_itself(void **state _unused_)
{
	for (unsigned i = 0; i < 100; i++) {
		struct work *it = calloc(1, sizeof(*it));

		assert_non_null(it);
		it->job.work = free_job;
		worker_do(worker, &it->job);
	}
	give(0, 'z', false);
	loop_run_watched(loop);
	assert_string_equal(heard, "z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			jobs_are_done_and_heard_of_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(the_loop_goes_on_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_was_given_is_done_after_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(
			it_may_be_freed_when_something_is_done, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_nobody_hears_of_may_free_itself, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
