/* SPDX-License-Identifier: MIT */
#include "base/loop.h"
#include "base/thread.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>

#include "tests/unit/base/loop_watchdog.h"

/* What callbacks leave in the journal is their data. */
#define MARK(c) ((void *)(uintptr_t)(c))

static char journal[64];
static struct loop *loop;
static uint64_t timer_ids[4];
static int event_fds[2];

static void note(char c)
{
	size_t len = strlen(journal);

	assert_true(len + 1 < sizeof(journal));
	journal[len] = c;
	journal[len + 1] = 0;
}

static int setup(void **state)
{
	(void)state;
	journal[0] = 0;
	assert_int_equal(loop_new(&loop), 0);
	for (size_t i = 0; i < ARRAY_LEN(event_fds); i++) {
		event_fds[i] = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
		assert_true(event_fds[i] >= 0);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	loop_free(loop);
	for (size_t i = 0; i < ARRAY_LEN(event_fds); i++)
		close_fd(event_fds[i]);
	return 0;
}

static void note_char(void *data)
{
	note((char)(uintptr_t)data);
}

static void note_char_and_stop(void *data)
{
	note_char(data);
	loop_stop(loop);
}

static void test_timers_fire_in_order(void **state)
{
	(void)state;
	assert_int_equal(
		loop_timer_add(loop, 20 * NS_PER_MS, note_char_and_stop, MARK('d'), NULL), 0);
	assert_int_equal(loop_timer_add(loop, 10 * NS_PER_MS, note_char, MARK('b'), NULL), 0);
	assert_int_equal(loop_timer_add(loop, 0, note_char, MARK('a'), NULL), 0);
	assert_int_equal(loop_timer_add(loop, 10 * NS_PER_MS, note_char, MARK('c'), NULL), 0);
	assert_int_equal(loop_timer_add(loop, UINT64_MAX, note_char, MARK('x'), NULL), 0);
	loop_run_watched(loop);
	assert_string_equal(journal, "abcd");
}

static void remove_timers(void *data)
{
	note_char(data);
	for (size_t i = 0; i < ARRAY_LEN(timer_ids); i++)
		loop_timer_remove(loop, timer_ids[i]);
}

static void test_timers_may_be_removed_by_callbacks(void **state)
{
	uint64_t old_id;

	(void)state;
	/* All are due at once; the second one removes itself (dead), the first (dead) and the rest.
	 */
	assert_int_equal(loop_timer_add(loop, 1, note_char, MARK('a'), &timer_ids[0]), 0);
	assert_int_equal(loop_timer_add(loop, 2, remove_timers, MARK('b'), &timer_ids[1]), 0);
	assert_int_equal(loop_timer_add(loop, 3, note_char, MARK('c'), &timer_ids[2]), 0);
	assert_int_equal(loop_timer_add(loop, 4, note_char, MARK('d'), &timer_ids[3]), 0);
	assert_int_equal(loop_timer_add(loop, NS_PER_MS, note_char_and_stop, MARK('e'), NULL), 0);
	loop_run_watched(loop);
	assert_string_equal(journal, "abe");

	/* A dead id removes nothing, neither does 0. */
	old_id = timer_ids[0];
	assert_int_equal(loop_timer_add(loop, 1, note_char_and_stop, MARK('f'), &timer_ids[0]), 0);
	assert_true(timer_ids[0] != old_id && timer_ids[0] != 0);
	loop_timer_remove(loop, old_id);
	loop_timer_remove(loop, 0);
	loop_run_watched(loop);
	assert_string_equal(journal, "abef");
}

static void add_timer(void *data)
{
	note_char(data);
	assert_int_equal(loop_timer_add(loop, 0, note_char_and_stop, MARK('b'), NULL), 0);
}

static void test_timers_may_be_added_by_callbacks(void **state)
{
	(void)state;
	assert_int_equal(loop_timer_add(loop, 0, add_timer, MARK('a'), NULL), 0);
	loop_run_watched(loop);
	assert_string_equal(journal, "ab");
}

static void add_job(void *data)
{
	note_char(data);
	assert_int_equal(loop_job_add(loop, note_char_and_stop, MARK('c')), 0);
}

static void test_jobs_run_once_in_order(void **state)
{
	(void)state;
	assert_int_equal(loop_job_add(loop, add_job, MARK('a')), 0);
	assert_int_equal(loop_job_add(loop, note_char, MARK('b')), 0);
	loop_run_watched(loop);
	loop_settle(loop);
	assert_string_equal(journal, "abc");
}

/* ---- events ---- */

static struct loop_event *events[2];

static void raise_again(void *data)
{
	note_char(data);
	if (strlen(journal) < 4)
		loop_event_raise(events[0]);
}

static void test_events_run_once_however_often_raised(void **state)
{
	(void)state;
	assert_int_equal(loop_event_new(loop, raise_again, MARK('a'), &events[0]), 0);
	assert_int_equal(loop_event_new(loop, note_char, MARK('b'), &events[1]), 0);
	loop_event_raise(events[0]);
	loop_event_raise(events[1]);
	loop_event_raise(events[0]);
	loop_settle(loop);
	assert_string_equal(journal, "abaa");
	loop_event_raise(events[1]);
	loop_settle(loop);
	assert_string_equal(journal, "abaab");
	loop_event_free(events[0]);
	loop_event_free(events[1]);
}

static void free_both(void *data)
{
	note_char(data);
	loop_event_free(events[0]);
	loop_event_free(events[1]);
}

static void test_events_may_be_freed_by_events(void **state)
{
	(void)state;
	/* Both are raised in the same round; only one may run. */
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		assert_int_equal(loop_event_new(loop, free_both, MARK('x'), &events[i]), 0);
		loop_event_raise(events[i]);
	}
	loop_settle(loop);
	assert_string_equal(journal, "x");
	loop_event_free(NULL);
}

static void test_a_raised_event_may_be_freed(void **state)
{
	(void)state;
	assert_int_equal(loop_event_new(loop, note_char, MARK('x'), &events[0]), 0);
	loop_event_raise(events[0]);
	loop_event_free(events[0]);
	loop_settle(loop);
	assert_string_equal(journal, "");
}

enum { RAISES = 20000 };

static unsigned n_raised, n_seen;
static pthread_mutex_t raised_lock = PTHREAD_MUTEX_INITIALIZER;

static void raise_often(void *data)
{
	for (unsigned i = 0; i < RAISES; i++) {
		pthread_mutex_lock(&raised_lock);
		n_raised++;
		pthread_mutex_unlock(&raised_lock);
		loop_event_raise(data);
	}
}

static void see_raised(void *data)
{
	(void)data;
	pthread_mutex_lock(&raised_lock);
	n_seen = n_raised;
	pthread_mutex_unlock(&raised_lock);
	if (n_seen == 2 * RAISES)
		loop_stop(loop);
}

/* However the raises of two threads fall into the rounds, the last of them is followed by a call.
 */
static void test_no_raise_of_a_thread_is_lost(void **state)
{
	struct thread threads[2] = {};

	(void)state;
	n_raised = n_seen = 0;
	assert_int_equal(loop_event_new(loop, see_raised, NULL, &events[0]), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(thread_start(&threads[i], "raise", raise_often, events[0]), 0);
	loop_run_watched(loop);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		thread_join(&threads[i]);
	assert_int_equal(n_seen, 2 * RAISES);
	loop_event_free(events[0]);
}

static void remove_all_fds(int fd, short revents, void *data)
{
	(void)fd;
	assert_true(revents & POLLIN);
	note_char(data);
	for (size_t i = 0; i < ARRAY_LEN(event_fds); i++) {
		loop_fd_remove(loop, event_fds[i]);
		event_fds[i] = close_fd(event_fds[i]);
	}
	loop_stop(loop);
}

static void test_fds_may_be_removed_by_callbacks(void **state)
{
	(void)state;
	/* Both are ready in the same round; only one callback may run. */
	for (size_t i = 0; i < ARRAY_LEN(event_fds); i++)
		assert_int_equal(
			loop_fd_add(loop, event_fds[i], POLLIN, remove_all_fds, MARK('x')), 0);
	loop_run_watched(loop);
	loop_settle(loop);
	assert_string_equal(journal, "x");
}

static void note_fd(int fd, short revents, void *data)
{
	(void)fd;
	(void)revents;
	note_char(data);
	loop_stop(loop);
}

static void replace_fd(int fd, short revents, void *data)
{
	(void)revents;
	note_char(data);
	loop_fd_remove(loop, fd);
	assert_int_equal(loop_fd_add(loop, fd, POLLIN, note_fd, MARK('b')), 0);
}

static void test_fds_may_be_replaced_by_callbacks(void **state)
{
	(void)state;
	assert_int_equal(loop_fd_add(loop, event_fds[0], POLLIN, replace_fd, MARK('a')), 0);
	loop_run_watched(loop);
	assert_string_equal(journal, "ab");
	loop_fd_remove(loop, event_fds[0]);
}

static void drop_interest(int fd, short revents, void *data)
{
	(void)fd;
	(void)revents;
	note_char(data);
	for (size_t i = 0; i < ARRAY_LEN(event_fds); i++)
		assert_int_equal(loop_fd_modify(loop, event_fds[i], 0), 0);
}

static void test_events_nobody_wants_any_more(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(event_fds); i++)
		assert_int_equal(
			loop_fd_add(loop, event_fds[i], POLLIN, drop_interest, MARK('x')), 0);
	loop_settle(loop);
	assert_string_equal(journal, "x");
	assert_int_equal(loop_fd_modify(loop, event_fds[0], POLLOUT), 0);
	loop_settle(loop);
	assert_string_equal(journal, "xx");
}

static void test_fd_errors(void **state)
{
	int closed = dup(event_fds[0]);

	(void)state;
	close(closed);
	assert_int_equal(loop_fd_add(loop, event_fds[0], POLLIN, note_fd, MARK('x')), 0);
	assert_int_equal(loop_fd_add(loop, event_fds[0], POLLOUT, note_fd, MARK('x')), -EEXIST);
	assert_int_equal(loop_fd_add(loop, -1, POLLIN, note_fd, MARK('x')), -EBADF);
	assert_int_equal(loop_fd_add(loop, closed, POLLIN, note_fd, MARK('x')), -EBADF);
	assert_int_equal(loop_fd_modify(loop, event_fds[1], POLLIN), -ENOENT);
	assert_int_equal(loop_fd_modify(loop, -1, POLLIN), -ENOENT);
	loop_fd_remove(loop, event_fds[1]);
	loop_fd_remove(loop, -1);
	loop_fd_remove(loop, 1 << 20);
}

static int n_woken;

static void woken(void *data)
{
	(void)data;
	if (++n_woken == 3000)
		loop_stop(loop);
}

static void waker(void *data)
{
	for (int i = 0; i < 1000; i++) {
		while (loop_wake(data, woken, NULL) < 0)
			;
	}
}

static void test_wake_from_threads(void **state)
{
	struct thread threads[3] = {};

	(void)state;
	n_woken = 0;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(thread_start(&threads[i], "waker", waker, loop), 0);
	loop_run_watched(loop);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		thread_join(&threads[i]);
	assert_int_equal(n_woken, 3000);
}

static void on_signal(int signal_number, void *data)
{
	assert_int_equal(signal_number, SIGUSR1);
	note_char_and_stop(data);
}

static void test_signals(void **state)
{
	(void)state;
	assert_int_equal(loop_signal_add(loop, SIGUSR1, on_signal, MARK('s')), 0);
	assert_int_equal(loop_signal_add(loop, 9999, on_signal, MARK('s')), -EINVAL);
	assert_int_equal(raise(SIGUSR1), 0);
	loop_run_watched(loop);
	assert_string_equal(journal, "s");
}

static void pause_and_stop(void *data)
{
	poll(NULL, 0, 20);
	loop_stop(data);
}

static void test_the_longest_turn(void **state)
{
	(void)state;
	assert_int_equal(loop_longest_turn(loop).longest_ns, 0);
	assert_int_equal(loop_measure(loop), 0);
	assert_int_equal(loop_job_add(loop, pause_and_stop, loop), 0);
	loop_run_watched(loop);
	assert_true(loop_longest_turn(loop).longest_own_ns >= 20 * NS_PER_MS);
	assert_true(loop_longest_turn(loop).longest_ns >= loop_longest_turn(loop).longest_own_ns);
	assert_int_equal(loop_measure(loop), 0);
	assert_int_equal(loop_longest_turn(loop).longest_ns, 0);
}

static void test_free_drops_what_is_pending(void **state)
{
	(void)state;
	assert_int_equal(loop_timer_add(loop, NS_PER_SEC, note_char, MARK('x'), NULL), 0);
	assert_int_equal(loop_job_add(loop, note_char, MARK('x')), 0);
	assert_int_equal(loop_fd_add(loop, event_fds[0], POLLIN, note_fd, MARK('x')), 0);
	loop_free(loop);
	loop_free(NULL);
	assert_int_equal(loop_new(&loop), 0);
	loop_settle(loop);
	assert_string_equal(journal, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_timers_fire_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_timers_may_be_removed_by_callbacks, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_timers_may_be_added_by_callbacks, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_events_run_once_however_often_raised, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_events_may_be_freed_by_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_raised_event_may_be_freed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_raise_of_a_thread_is_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_jobs_run_once_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_fds_may_be_removed_by_callbacks, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_fds_may_be_replaced_by_callbacks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_events_nobody_wants_any_more, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fd_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wake_from_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_longest_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_drops_what_is_pending, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
