/* SPDX-License-Identifier: MIT
 *
 * Processes that end by their lease, whatever they do meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "node/vm/vm_lease.h"

#define SHORT_NS (50 * NS_PER_MS)
#define LONG_NS  (600 * NS_PER_SEC)

/* How a child ends that calls `life` and then sleeps for longer than any test waits. */
static int end_of(void (*life)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (vm_lease_init() == 0)
			life();
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void waits(void)
{
	vm_lease_renew(clock_boot_ns() + SHORT_NS);
	poll(NULL, 0, 30000);
}

static void is_stopped(void)
{
	vm_lease_renew(clock_boot_ns() + SHORT_NS);
	raise(SIGSTOP);
	poll(NULL, 0, 30000);
}

static void is_too_late(void)
{
	vm_lease_renew(1);
	poll(NULL, 0, 30000);
}

static void is_renewed(void)
{
	uint64_t end_ns = clock_boot_ns() + SHORT_NS;

	vm_lease_renew(end_ns);
	vm_lease_renew(end_ns + LONG_NS);
	while (clock_boot_ns() < end_ns + SHORT_NS)
		poll(NULL, 0, 10);
	_exit(7);
}

static void lives_without_one(void)
{
	_exit(vm_lease_renew(0) == -EINVAL ? 7 : 1);
}

static void ends_with_its_lease(void **state)
{
	void (*const lives[])(void) = {waits, is_stopped, is_too_late};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lives); i++) {
		int status = end_of(lives[i]);

		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
}

static void goes_on_when_renewed(void **state)
{
	int status = end_of(is_renewed);

	(void)state;
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	status = end_of(lives_without_one);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_with_its_lease),
		cmocka_unit_test(goes_on_when_renewed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
