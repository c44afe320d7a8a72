/* SPDX-License-Identifier: MIT
 *
 * child.h - starting the programs that this service runs. Threads: the loop's thread.
 */
#ifndef VIADUCT_NODE_SVC_CHILD_H
#define VIADUCT_NODE_SVC_CHILD_H

#include "base/chan.h"
#include "base/proc.h"

#define CHILD_N_PROGRAMS 2

struct svc;

/* Keep the programs as they are now: when packages are upgraded, this service goes on with those
 * that it understands until it is restarted. */
void child_hold_programs(struct svc *svc);

/* Start `program` of the libexec folder as the unprivileged user, with its control channel as
 * descriptor 3 and its output in LOG_DIR/`log_name`. `title`: its argument (NULL: none). */
struct child_spec {
	const char *program, *title, *log_name;
	proc_exit_fn on_exit;
	chan_message_fn on_message;
	chan_close_fn on_close;
	void *data;
};
int child_start(struct svc *svc, const struct child_spec *spec, struct proc **ret_proc,
	struct chan **ret_chan);

#endif
