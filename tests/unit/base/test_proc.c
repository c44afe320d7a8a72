/* SPDX-License-Identifier: MIT */
#include "base/proc.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/unit/base/loop_watchdog.h"

struct fixture {
	struct loop *loop;
	struct proc *proc;
	int out[2]; /* what the child writes to 1 and 2 */
	char text[4096];
	int n_exits;
	int wait_status;
	bool frees;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(pipe2(f->out, O_CLOEXEC), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	proc_free(f->proc);
	loop_free(f->loop);
	close_fd(f->out[0]);
	close_fd(f->out[1]);
	free(f);
	return 0;
}

static void on_exit_fn(struct proc *proc, int wait_status, void *data)
{
	struct fixture *f = data;

	assert_ptr_equal(proc, f->proc);
	f->n_exits++;
	f->wait_status = wait_status;
	if (f->frees) {
		proc_free(proc);
		f->proc = NULL;
	}
	loop_stop(f->loop);
}

static int start(struct fixture *f, const char *script, const int *fds, size_t n_fds)
{
	const char *const argv[] = {"sh", "-c", script, NULL};
	struct proc_spec spec = {
		.path = "/bin/sh", .argv = argv, .fds = fds, .n_fds = n_fds, .log_fd = f->out[1]};

	return proc_start(f->loop, &spec, on_exit_fn, f, &f->proc);
}

/* Everything that the child wrote, once it has exited. */
static const char *output(struct fixture *f)
{
	size_t used = 0;
	ssize_t n;

	f->out[1] = close_fd(f->out[1]);
	do {
		n = read(f->out[0], f->text + used, sizeof(f->text) - 1 - used);
		used += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	f->text[used] = 0;
	return f->text;
}

static void test_exit_status(void **state)
{
	struct fixture *f = *state;
	char text[64];

	assert_int_equal(start(f, "exit 3", NULL, 0), 0);
	assert_true(proc_pid(f->proc) > 0);
	loop_run_watched(f->loop);
	assert_int_equal(f->n_exits, 1);
	assert_string_equal(
		proc_status_text(f->wait_status, text, sizeof(text)), "exited with status 3");
	assert_int_equal(proc_signal(f->proc, SIGTERM), -ESRCH);
	loop_settle(f->loop);
	assert_int_equal(f->n_exits, 1);
}

static void test_killed(void **state)
{
	struct fixture *f = *state;
	char text[64];

	assert_int_equal(start(f, "exec sleep 1000", NULL, 0), 0);
	assert_int_equal(proc_signal(f->proc, SIGTERM), 0);
	loop_run_watched(f->loop);
	assert_string_equal(proc_status_text(f->wait_status, text, sizeof(text)),
		"was killed by signal 15 (Terminated)");
}

static void test_freed_in_its_callback(void **state)
{
	struct fixture *f = *state;

	f->frees = true;
	assert_int_equal(start(f, "exit 0", NULL, 0), 0);
	loop_run_watched(f->loop);
	assert_int_equal(f->n_exits, 1);
	assert_null(f->proc);
}

static void test_free_kills_and_reaps(void **state)
{
	struct fixture *f = *state;
	pid_t pid;

	assert_int_equal(start(f, "trap '' TERM; sleep 1000", NULL, 0), 0);
	pid = proc_pid(f->proc);
	proc_free(f->proc);
	f->proc = NULL;
	assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	loop_settle(f->loop);
	assert_int_equal(f->n_exits, 0);
	proc_free(NULL);
}

static void test_program_that_cannot_start(void **state)
{
	struct fixture *f = *state;
	const char *const argv[] = {"x", NULL};
	struct proc_spec spec = {.path = "/nonexistent/program", .argv = argv, .log_fd = -1};

	assert_int_equal(proc_start(f->loop, &spec, on_exit_fn, f, &f->proc), -ENOENT);
	spec.path = "/";
	assert_int_equal(proc_start(f->loop, &spec, on_exit_fn, f, &f->proc), -EACCES);
	spec.path = "sh";
	assert_int_equal(proc_start(f->loop, &spec, on_exit_fn, f, &f->proc), -EINVAL);
	assert_null(f->proc);
	assert_int_equal(start(f, "exit 0", &(int){9999}, 1), -EBADF);
}

static void test_descriptors(void **state)
{
	struct fixture *f = *state;
	int low[2], high[2], fds[2];

	/* The order is against the numbers, so that places and sources overlap. */
	assert_int_equal(pipe2(low, O_CLOEXEC), 0);
	assert_int_equal(pipe(high), 0);
	fds[0] = high[0];
	fds[1] = low[0];
	assert_int_equal(write(high[1], "from-high\n", 10), 10);
	assert_int_equal(write(low[1], "from-low\n", 9), 9);
	assert_int_equal(start(f,
				 "read a <&3; read b <&4; echo $a $b; ls -l /proc/self/fd/0; i=0; "
				 "while [ $i -lt 100 ]; do [ -e /proc/$$/fd/$i ] && echo -n $i,; "
				 "i=$((i+1)); done; echo .",
				 fds, 2),
		0);
	loop_run_watched(f->loop);
	output(f);
	assert_non_null(strstr(f->text, "from-high from-low\n"));
	assert_non_null(strstr(f->text, "/dev/null\n"));
	assert_non_null(strstr(f->text, "\n0,1,2,3,4,.\n"));
	for (int i = 0; i < 2; i++) {
		close(low[i]);
		close(high[i]);
	}
}

static void test_signals_are_reset(void **state)
{
	struct fixture *f = *state;
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	assert_int_equal(sigprocmask(SIG_BLOCK, &set, &before), 0);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(start(f, "exec grep -E 'SigBlk|SigIgn' /proc/self/status", NULL, 0), 0);
	sigprocmask(SIG_SETMASK, &before, NULL);
	signal(SIGPIPE, SIG_DFL);
	loop_run_watched(f->loop);
	assert_string_equal(output(f), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

static void test_own_session(void **state)
{
	struct fixture *f = *state;
	int pid, session;

	assert_int_equal(start(f, "read a b c d e f g </proc/$$/stat; echo $$ $f", NULL, 0), 0);
	loop_run_watched(f->loop);
	assert_int_equal(sscanf(output(f), "%d %d", &pid, &session), 2);
	assert_int_equal(pid, session);
}

/* A service that systemd guards from the OOM killer has children that are not. */
static void test_own_importance(void **state)
{
	struct fixture *f = *state;
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "200", 3), 3);
	close_fd(fd);
	assert_int_equal(start(f, "cat /proc/self/oom_score_adj", NULL, 0), 0);
	loop_run_watched(f->loop);
	assert_string_equal(output(f), "0\n");
}

static void test_less_privilege(void **state)
{
	struct fixture *f = *state;
	const char *const argv[] = {
		"sh", "-c", "id -u; id -g; id -G; grep NoNewPrivs /proc/$$/status", NULL};
	struct proc_spec spec = {
		.path = "/bin/sh", .argv = argv, .log_fd = f->out[1], .uid = 65534, .gid = 65533};

	if (geteuid() != 0) {
		print_message("not root: cannot become somebody else\n");
		skip();
	}
	assert_int_equal(proc_start(f->loop, &spec, on_exit_fn, f, &f->proc), 0);
	loop_run_watched(f->loop);
	assert_string_equal(output(f), "65534\n65533\n65533\nNoNewPrivs:\t1\n");
}

static void test_child_dies_with_its_parent(void **state)
{
	struct fixture *f = *state;
	int alive[2], status;
	pid_t parent;
	char c;

	/* The write end of `alive` is open as long as the grandchild lives. */
	assert_int_equal(pipe2(alive, O_CLOEXEC), 0);
	parent = fork();
	assert_true(parent >= 0);
	if (parent == 0) {
		int fd = alive[1];

		_exit(start(f, "exec sleep 1000", &fd, 1) < 0 ? 1 : 0);
	}
	close(alive[1]);
	assert_int_equal(waitpid(parent, &status, 0), parent);
	assert_int_equal(status, 0);
	assert_int_equal(read(alive[0], &c, 1), 0);
	close(alive[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_exit_status, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed_in_its_callback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_kills_and_reaps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_program_that_cannot_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signals_are_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_session, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_importance, setup, teardown),
		cmocka_unit_test_setup_teardown(test_less_privilege, setup, teardown),
		cmocka_unit_test_setup_teardown(test_child_dies_with_its_parent, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
