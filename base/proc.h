/* SPDX-License-Identifier: MIT
 *
 * proc.h - start a child program with exactly the descriptors it is meant to have, and learn of its
 * death through the loop.
 *
 * The child gets the given descriptors as 3, 4, ...; 0 is /dev/null, 1 and 2 are `log_fd`; all
 * others are closed. It is killed when the parent dies (PR_SET_PDEATHSIG), runs in its own session,
 * and with PR_SET_NO_NEW_PRIVS when uid is not 0. Threads: the loop's thread.
 */
#ifndef VIADUCT_BASE_PROC_H
#define VIADUCT_BASE_PROC_H

#include "base/loop.h"

#include <sys/types.h>

struct proc;

/* The child has a priority of 0, for processors and for the OOM killer, its own session, and dies
 * with its parent. */
struct proc_spec {
	const char *path;        /* absolute path of the program */
	const char *const *argv; /* NULL-terminated, argv[0] included */
	const int *fds;          /* become 3, 4, ... in the child; stay the caller's */
	size_t n_fds;
	int log_fd; /* child's 1 and 2; -1 for the parent's own 2 */
	uid_t uid;  /* switched to before exec when running as root and not 0 */
	gid_t gid;
};

/* `wait_status` as from waitpid(2). The proc is dead but must still be freed. */
typedef void (*proc_exit_fn)(struct proc *proc, int wait_status, void *data);

int proc_start(struct loop *loop, const struct proc_spec *spec, proc_exit_fn on_exit, void *data,
	struct proc **ret_proc);
pid_t proc_pid(const struct proc *proc);
int proc_signal(struct proc *proc, int signal_number);
/* Kills (SIGKILL) and reaps if still alive; on_exit is not called. NULL is fine. */
void proc_free(struct proc *proc);

/* "exited with status 3" / "was killed by signal 9 (Killed)"; into `text`. */
const char *proc_status_text(int wait_status, char *text, size_t size_bytes);

#endif
