/* SPDX-License-Identifier: MIT */
#include "node/svc/corosync_service.h"

#include "base/log.h"
#include "node/svc/svc.h"

#include <sys/wait.h>
#include <unistd.h>

#define SYSTEMCTL "/usr/bin/systemctl"
/* Exists while systemd runs the machine: sd_booted(3). */
#define SYSTEMD_RUNS "/run/systemd/system"

static void on_exit_of(struct proc *proc _unused_, int wait_status, void *data)
{
	struct svc *svc = data;
	char text[64];

	if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0)
		log_info("corosync was started anew");
	else
		log_error("corosync was not started anew: the program that does it %s",
			proc_status_text(wait_status, text, sizeof(text)));
	proc_free(take_ptr(svc->corosync_restart));
}

int corosync_service_restart(struct svc *svc)
{
	const char *const by_systemd[] = {"systemctl", "restart", "corosync.service", NULL};
	const char *const by_command[] = {"sh", "-c", svc->options.corosync_restart, NULL};
	const bool asks_systemd = !svc->options.corosync_restart;
	const struct proc_spec spec = {
		.path = asks_systemd ? SYSTEMCTL : "/bin/sh",
		.argv = asks_systemd ? by_systemd : by_command,
		.log_fd = -1,
	};

	if (svc->corosync_restart)
		return -EBUSY;
	if (asks_systemd && (access(SYSTEMD_RUNS, F_OK) < 0 || access(SYSTEMCTL, X_OK) < 0))
		return -ENOSYS;
	return proc_start(svc->loop, &spec, on_exit_of, svc, &svc->corosync_restart);
}

void corosync_service_end(struct svc *svc)
{
	proc_free(take_ptr(svc->corosync_restart));
}
