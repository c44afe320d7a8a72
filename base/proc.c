/* SPDX-License-Identifier: MIT */
#include "base/proc.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define PROC_FIRST_FD 3
#define PROC_MAX_FDS  64

struct proc {
	struct loop *loop;
	pid_t pid;
	int pidfd; /* -1 once reaped */
	proc_exit_fn on_exit;
	void *data;
};

/* The child's life between fork() and exec(): only what is safe in the child of a program with
 * threads. Each step returns 0 or -errno. */

static int child_fds(const struct proc_spec *spec, int *error_fd)
{
	int first_free = PROC_FIRST_FD + (int)spec->n_fds;
	int fds[PROC_MAX_FDS], log_fd, null_fd;

	/* First out of the way of each other's places, then into place. */
	for (size_t i = 0; i < spec->n_fds; i++) {
		fds[i] = fcntl(spec->fds[i], F_DUPFD_CLOEXEC, first_free);
		if (fds[i] < 0)
			return -errno;
	}
	log_fd =
		fcntl(spec->log_fd < 0 ? STDERR_FILENO : spec->log_fd, F_DUPFD_CLOEXEC, first_free);
	if (log_fd < 0)
		return -errno;
	*error_fd = fcntl(*error_fd, F_DUPFD_CLOEXEC, first_free);
	if (*error_fd < 0)
		return -errno;
	null_fd = open("/dev/null", O_RDWR);
	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0)
		return -errno;
	if (dup2(log_fd, STDOUT_FILENO) < 0 || dup2(log_fd, STDERR_FILENO) < 0)
		return -errno;
	for (size_t i = 0; i < spec->n_fds; i++) {
		if (dup2(fds[i], PROC_FIRST_FD + (int)i) < 0)
			return -errno;
	}
	return close_range((unsigned)first_free, ~0U, CLOSE_RANGE_CLOEXEC) < 0 ? -errno : 0;
}

/* Out of the way of the child's own descriptors. */
static int child_program_fd(const struct proc_spec *spec, int *program_fd)
{
	int moved = fcntl(*program_fd, F_DUPFD_CLOEXEC, PROC_FIRST_FD + (int)spec->n_fds);

	if (moved < 0)
		return -errno;
	*program_fd = moved;
	return 0;
}

static int child_signals(void)
{
	struct sigaction defaults = {.sa_handler = SIG_DFL};
	sigset_t none;

	/* Handlers end with exec, ignored signals stay ignored. */
	for (int s = 1; s < NSIG; s++)
		(void)sigaction(s, &defaults, NULL);
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

/* Whatever importance the parent has, it is not the child's. */
static void child_importance(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, "0", 1);

	(void)n;
	close_fd(fd);
	setpriority(PRIO_PROCESS, 0, 0);
}

static int child_credentials(const struct proc_spec *spec)
{
	if (spec->uid == 0)
		return 0;
	if (geteuid() == 0) {
		if (setgroups(0, NULL) < 0 || setresgid(spec->gid, spec->gid, spec->gid) < 0 ||
			setresuid(spec->uid, spec->uid, spec->uid) < 0)
			return -errno;
	}
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static int child_follow_parent(pid_t parent)
{
	/* A change of credentials forgets it, so this comes after. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

_Noreturn static void child_main(const struct proc_spec *spec, pid_t parent, int error_fd)
{
	/* Opened while it can be: the user that the child becomes may not reach the folder. */
	int program = open(spec->path, O_PATH | O_CLOEXEC);
	int r = program < 0 ? -errno : child_program_fd(spec, &program);

	if (r == 0)
		r = child_fds(spec, &error_fd);
	if (r == 0)
		r = child_signals();
	if (r == 0)
		r = setsid() < 0 ? -errno : 0;
	child_importance();
	if (r == 0)
		r = child_credentials(spec);
	if (r == 0)
		r = child_follow_parent(parent);
	if (r == 0) {
		execveat(program, "", (char *const *)spec->argv, environ, AT_EMPTY_PATH);
		r = -errno;
	}
	while (write(error_fd, &r, sizeof(r)) < 0 && errno == EINTR)
		;
	_exit(127);
}

static void reap(pid_t pid, int *ret_wait_status)
{
	while (waitpid(pid, ret_wait_status, 0) < 0 && errno == EINTR)
		;
}

/* Fork and wait for the exec to succeed: 0 or the child's error. */
static int spawn(const struct proc_spec *spec, pid_t *ret_pid)
{
	int error_fds[2], error = 0, wait_status;
	pid_t parent = getpid(), pid;
	sigset_t all, before;
	ssize_t n;

	if (pipe2(error_fds, O_CLOEXEC) < 0)
		return -errno;
	/* No handler of the parent may run in the child. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		child_main(spec, parent, error_fds[1]);
	error = pid < 0 ? -errno : 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(error_fds[1]);
	if (pid > 0) {
		do {
			n = read(error_fds[0], &error, sizeof(error));
		} while (n < 0 && errno == EINTR);
		if (n != sizeof(error))
			error = 0;
	}
	close(error_fds[0]);
	if (error == 0)
		*ret_pid = pid;
	else if (pid > 0)
		reap(pid, &wait_status);
	return error;
}

static int proc_reap(struct proc *proc)
{
	int wait_status = 0;

	loop_fd_remove(proc->loop, proc->pidfd);
	reap(proc->pid, &wait_status);
	proc->pidfd = close_fd(proc->pidfd);
	return wait_status;
}

static void proc_exited(int fd, short revents, void *data)
{
	struct proc *proc = data;
	int wait_status = proc_reap(proc);

	(void)fd;
	(void)revents;
	proc->on_exit(proc, wait_status, proc->data);
}

int proc_start(struct loop *loop, const struct proc_spec *spec, proc_exit_fn on_exit, void *data,
	struct proc **ret_proc)
{
	struct proc *proc;
	int r;

	if (spec->path[0] != '/' || spec->n_fds > PROC_MAX_FDS)
		return -EINVAL;
	proc = calloc(1, sizeof(*proc));
	if (!proc)
		return -ENOMEM;
	*proc = (struct proc){.loop = loop, .pidfd = -1, .on_exit = on_exit, .data = data};
	r = spawn(spec, &proc->pid);
	if (r < 0) {
		free(proc);
		return r;
	}
	/* Its pid cannot be used again before we reap it. */
	proc->pidfd = pidfd_open(proc->pid, 0);
	r = proc->pidfd < 0 ? -errno : loop_fd_add(loop, proc->pidfd, POLLIN, proc_exited, proc);
	if (r < 0) {
		kill(proc->pid, SIGKILL);
		reap(proc->pid, &(int){0});
		close_fd(proc->pidfd);
		free(proc);
		return r;
	}
	*ret_proc = proc;
	return 0;
}

pid_t proc_pid(const struct proc *proc)
{
	return proc->pid;
}

int proc_signal(struct proc *proc, int signal_number)
{
	if (proc->pidfd < 0)
		return -ESRCH;
	return pidfd_send_signal(proc->pidfd, signal_number, NULL, 0) < 0 ? -errno : 0;
}

void proc_free(struct proc *proc)
{
	if (!proc)
		return;
	if (proc->pidfd >= 0) {
		proc_signal(proc, SIGKILL);
		proc_reap(proc);
	}
	free(proc);
}

const char *proc_status_text(int wait_status, char *text, size_t size_bytes)
{
	int signal_number = WTERMSIG(wait_status);

	if (WIFEXITED(wait_status)) {
		snprintf(text, size_bytes, "exited with status %d", WEXITSTATUS(wait_status));
	} else {
		snprintf(text, size_bytes, "was killed by signal %d (%s)", signal_number,
			sigdescr_np(signal_number) ? sigdescr_np(signal_number) : "unknown");
	}
	return text;
}
