/* SPDX-License-Identifier: MIT */
#include "base/thread.h"

#include <semaphore.h>
#include <signal.h>
#include <string.h>

#include "tests/unit/base/cmocka_all.h"

struct worker {
	sem_t go;
	char name[16];
	bool signals_blocked;
};

static void work(void *data)
{
	struct worker *w = data;
	sigset_t blocked;

	while (sem_wait(&w->go) < 0)
		;
	pthread_getname_np(pthread_self(), w->name, sizeof(w->name));
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	w->signals_blocked = sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGCHLD);
}

static void test_start_and_join(void **state)
{
	struct worker w = {};
	struct thread t = {};
	sigset_t blocked;

	(void)state;
	thread_join(&t);
	assert_int_equal(sem_init(&w.go, 0, 0), 0);
	assert_int_equal(thread_start(&t, "worker-1", work, &w), 0);
	assert_true(t.running);
	sem_post(&w.go);
	thread_join(&t);
	assert_false(t.running);
	thread_join(&t);
	assert_string_equal(w.name, "worker-1");
	assert_true(w.signals_blocked);
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	assert_false(sigismember(&blocked, SIGTERM));
	sem_destroy(&w.go);
}

static void test_a_long_name_is_no_reason_to_fail(void **state)
{
	struct worker w = {};
	struct thread t = {};

	(void)state;
	assert_int_equal(sem_init(&w.go, 0, 1), 0);
	assert_int_equal(thread_start(&t, "a-name-that-is-too-long-for-linux", work, &w), 0);
	thread_join(&t);
	sem_destroy(&w.go);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start_and_join),
		cmocka_unit_test(test_a_long_name_is_no_reason_to_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
