/* SPDX-License-Identifier: MIT
 *
 * watchdog_guard.c - what the watchdog guards: the processes of this node's VMs.
 */
#include "node/svc/watchdog.h"

#include "base/clock.h"
#include "base/log.h"
#include "node/svc/events.h"
#include "node/svc/svc.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static void look(struct watchdog_sight *ret, void *data)
{
	struct svc *svc = data;
	uint64_t now_ns = clock_boot_ns();
	const struct vmproc *vp;

	list_for_each(vp, &svc->vms, link) {
		uint64_t over_ns = now_ns > vp->lease_until_ns ? now_ns - vp->lease_until_ns : 0;

		if (!vp->proc || !vp->lease_until_ns)
			continue;
		ret->n_vms++;
		if (over_ns <= ret->overdue_ns)
			continue;
		/* A large one takes its time to give its memory back. */
		if (over_ns > WATCHDOG_GRACE_NS && watchdog_is_ending(proc_pid(vp->proc)))
			continue;
		ret->overdue_ns = over_ns;
		snprintf(ret->worst, sizeof(ret->worst), "%s", vp->name);
	}
}

static void say(enum watchdog_level level, const char *id, const char *text, void *data)
{
	static const enum event_level levels[] = {
		[WATCHDOG_INFO] = EVENT_INFO,
		[WATCHDOG_WARNING] = EVENT_WARNING,
		[WATCHDOG_ERROR] = EVENT_ERROR,
	};
	struct svc *svc = data;
	const char *node = svc->cluster ? cluster_local_name(svc->cluster) : NULL;
	char object[SVC_NAME_MAX_LEN + 8];

	snprintf(object, sizeof(object), "node/%s", node && node[0] ? node : "?");
	events_add(svc, levels[level], id, object, "%s", text);
}

int watchdog_start(struct svc *svc)
{
	static struct watchdog_ops ops;
	char note[256];
	const struct watchdog_config config = {
		.device = svc->options.watchdog,
		.note = note,
		.lease_ns = svc->options.lease_ns ? svc->options.lease_ns : CLUSTER_LEASE_NS,
	};
	int r;

	ops = watchdog_linux;
	ops.look = look;
	ops.say = say;
	snprintf(note, sizeof(note), "%s/watchdog-armed", svc->options.state_dir);
	r = watchdog_new(svc->loop, &config, &ops, svc, &svc->watchdog);
	if (r < 0)
		log_error("--watchdog %s: %s; it is a device, auto or none", svc->options.watchdog,
			strerror(-r));
	return r;
}

void watchdog_stop(struct svc *svc)
{
	struct vmproc *vp;

	if (watchdog_is_armed(svc->watchdog)) {
		/* All at once, and then each is waited for: one that cannot end is never fed for.
		 */
		list_for_each(vp, &svc->vms, link) {
			if (vp->proc)
				proc_signal(vp->proc, SIGKILL);
		}
		list_for_each(vp, &svc->vms, link) {
			proc_free(take_ptr(vp->proc));
			watchdog_look(svc->watchdog);
		}
	}
	watchdog_free(take_ptr(svc->watchdog));
}
