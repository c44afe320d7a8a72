/* SPDX-License-Identifier: MIT
 *
 * The program itself: that it works with what little it keeps, and that it keeps little.
 */
#include "base/proc.h"
#include "tests/unit/fabric/ctl_support.h"

#include <signal.h>
#include <sys/wait.h>

static struct remote remote;
static struct proc *proc;
static int wait_status;
static bool exited;

static void on_exit_of_child(struct proc *child, int status, void *data)
{
	(void)child, (void)data;
	wait_status = status;
	exited = true;
	loop_stop(remote.loop);
}

static int setup(void **state)
{
	static const char *const argv[] = {"viaduct-vswitchd", NULL};
	int pair[2];
	struct proc_spec spec = {
		.path = VSWITCHD, .argv = argv, .fds = &pair[1], .n_fds = 1, .log_fd = -1};

	(void)state;
	remote = (struct remote){0};
	exited = false;
	if (loop_new(&remote.loop) < 0 || chan_pair(pair) < 0 ||
		proc_start(remote.loop, &spec, on_exit_of_child, NULL, &proc) < 0)
		return -1;
	close(pair[1]);
	return chan_new(
		remote.loop, pair[0], remote_on_message, remote_on_close, &remote, &remote.chan);
}

static int teardown(void **state)
{
	(void)state;
	remote_forget_reply(&remote);
	chan_free(remote.chan);
	proc_free(proc);
	loop_free(remote.loop);
	return 0;
}

/* A line of /proc/PID/status, or -1. */
static long status_field(const char *name)
{
	char path[64], line[256];
	long value = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)proc_pid(proc));
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
			value = strtol(line + strlen(name) + 1, NULL, 10);
	}
	fclose(file);
	return value;
}

static void test_frames_pass(void **state)
{
	struct fabric_client *a, *b;

	(void)state;
	assert_int_equal(
		remote_call(&remote, "switch.create", "{\"name\":\"A\",\"type\":\"private\"}"), 0);
	a = remote_add_vm(&remote, "A", 1, "\"mode\":\"access\",\"vid\":2");
	b = remote_add_vm(&remote, "A", 2, "\"mode\":\"trunk\",\"allowed\":\"2\"");
	for (unsigned i = 0; i < 100; i++) {
		vm_send(a, 2, 1, -1, i);
		vm_expect(b, 2, i);
		vm_send(b, 1, 2, 2, i);
		vm_expect(a, -1, i);
	}
	fabric_client_free(a);
	fabric_client_free(b);
	assert_int_equal(remote_call(&remote, "port.mute", "{\"port\":\"VM1/nic0\"}"), 0);
	assert_int_equal(remote_call(&remote, "port.open", "{\"port\":\"VM1/nic0\"}"), 0);
	assert_int_equal(remote_call(&remote, "port.remove", "{\"port\":\"VM1/nic0\"}"), 0);
	assert_int_equal(remote_call(&remote, "port.remove", "{\"port\":\"VM2/nic0\"}"), 0);
	assert_int_equal(remote_call(&remote, "switch.delete", "{\"name\":\"A\"}"), 0);
}

static void test_privileges(void **state)
{
	(void)state;
	/* Answers only once it is past all that. */
	assert_int_equal(remote_call(&remote, "switch.list", "{}"), 0);
	assert_int_not_equal(status_field("Uid"), 0);
	assert_int_equal(status_field("CapEff"), 0);
	assert_int_equal(status_field("NoNewPrivs"), 1);
#ifndef __SANITIZE_ADDRESS__
#ifndef __SANITIZE_THREAD__
	assert_int_equal(status_field("Seccomp"), 2);
#endif
#endif
}

static void test_ends_with_its_channel(void **state)
{
	(void)state;
	assert_int_equal(remote_call(&remote, "switch.list", "{}"), 0);
	chan_free(take_ptr(remote.chan));
	while (!exited)
		remote_run(&remote);
	assert_true(WIFEXITED(wait_status));
	assert_int_equal(WEXITSTATUS(wait_status), 0);
}

static void test_ends_on_sigterm(void **state)
{
	(void)state;
	assert_int_equal(
		remote_call(&remote, "switch.create", "{\"name\":\"A\",\"type\":\"private\"}"), 0);
	fabric_client_free(remote_add_vm(&remote, "A", 1, ""));
	assert_int_equal(proc_signal(proc, SIGTERM), 0);
	while (!exited)
		remote_run(&remote);
	assert_true(WIFEXITED(wait_status));
	assert_int_equal(WEXITSTATUS(wait_status), 0);
}

static void test_needs_a_channel(void **state)
{
	int status = system(VSWITCHD " 3</dev/null 2>/dev/null");

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EXIT_FAILURE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_frames_pass, setup, teardown),
		cmocka_unit_test_setup_teardown(test_privileges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends_with_its_channel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends_on_sigterm, setup, teardown),
		cmocka_unit_test(test_needs_a_channel),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
