/* SPDX-License-Identifier: MIT */
#include "node/svc/svc.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

int child_start(struct svc *svc, const struct child_spec *spec, struct proc **ret_proc,
	struct chan **ret_chan)
{
	char path[256], log_path[320];
	const char *argv[] = {spec->program, spec->title, NULL};
	_cleanup_close_ int log_fd = -1;
	int pair[2], r;
	struct proc_spec proc = {
		.path = path,
		.argv = argv,
		.fds = &pair[1],
		.n_fds = 1,
		.uid = svc->options.child_uid,
		.gid = svc->options.child_gid,
	};

	snprintf(path, sizeof(path), "%s/%s", svc->options.libexec_dir, spec->program);
	snprintf(log_path, sizeof(log_path), "%s/%s", svc->options.log_dir, spec->log_name);
	log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (log_fd < 0)
		return -errno;
	proc.log_fd = log_fd;
	r = chan_pair(pair);
	if (r < 0)
		return r;
	r = proc_start(svc->loop, &proc, spec->on_exit, spec->data, ret_proc);
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		return r;
	}
	return chan_new(svc->loop, pair[0], spec->on_message, spec->on_close, spec->data, ret_chan);
}
