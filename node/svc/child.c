/* SPDX-License-Identifier: MIT */
#include "node/svc/child.h"
#include "node/svc/svc.h"

#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const names[CHILD_N_PROGRAMS] = {"viaduct-vmhost", "viaduct-vswitchd"};

void child_hold_programs(struct svc *svc)
{
	char path[256];

	for (size_t i = 0; i < CHILD_N_PROGRAMS; i++) {
		snprintf(path, sizeof(path), "%s/%s", svc->options.libexec_dir, names[i]);
		svc->program_fds[i] = open(path, O_PATH | O_CLOEXEC);
		if (svc->program_fds[i] < 0)
			log_warning("%s: %s; it is looked for again when it is needed", path,
				strerror(errno));
	}
}

static void program_path(const struct svc *svc, const char *program, char *text, size_t size_bytes)
{
	for (size_t i = 0; i < CHILD_N_PROGRAMS; i++) {
		if (strcmp(names[i], program) != 0 || svc->program_fds[i] < 0)
			continue;
		snprintf(text, size_bytes, "/proc/self/fd/%d", svc->program_fds[i]);
		return;
	}
	snprintf(text, size_bytes, "%s/%s", svc->options.libexec_dir, program);
}

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

	program_path(svc, spec->program, path, sizeof(path));
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
