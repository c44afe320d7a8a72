/* SPDX-License-Identifier: MIT
 *
 * leases.c - this node's lease (cluster/lease.h), handed on to the processes of its VMs: each of
 * them ends by itself when it hears of no newer one in time.
 */
#include "node/svc/svc.h"
#include "node/svc/watchdog.h"

#include "base/clock.h"
#include "base/log.h"

#include <signal.h>
#include <string.h>

bool svc_has_lease(const struct svc *svc)
{
	return cluster_lease_until_ns(svc->cluster) > clock_boot_ns();
}

int vmproc_send_lease(struct vmproc *vp, uint64_t until_ns)
{
	struct json *message;
	int r;

	if (until_ns <= clock_boot_ns())
		return -ENOLCK;
	message = json_object_new();
	json_set_int(message, "until_ns", (int64_t)until_ns);
	r = chan_event(vp->chan, "vm.lease", message, NULL, 0);
	if (r < 0)
		return r;
	vp->lease_until_ns = until_ns;
	watchdog_touch(vp->svc->watchdog);
	return 0;
}

bool vmproc_lease_is_over(const struct vmproc *vp)
{
	return vp->lease_until_ns && vp->lease_until_ns <= clock_boot_ns();
}

/* The kernel does it; but who has taken a process over might have put that off. */
void svc_end_overdue(struct svc *svc)
{
	struct vmproc *vp;

	list_for_each(vp, &svc->vms, link) {
		if (vp->proc && vmproc_lease_is_over(vp))
			proc_signal(vp->proc, SIGKILL); /* its exit tells the rest */
	}
}

void svc_on_lease(uint64_t until_ns, void *data)
{
	struct svc *svc = data;
	struct vmproc *vp, *after;

	list_for_each_safe(vp, after, &svc->vms, link) {
		int r;

		/* What has run out has ended the process; its exit is on the way. */
		if (!vp->chan || vmproc_lease_is_over(vp))
			continue;
		r = vmproc_send_lease(vp, until_ns);
		if (r < 0)
			log_warning("%s was not told of the new lease: %s", vp->name, strerror(-r));
		if (vp->in)
			mig_in_owner_changed(vp);
	}
}
