/* SPDX-License-Identifier: MIT
 *
 * vm_start.c - a VM starts on this node: first the ownership, by a compare-and-set that everybody
 * has confirmed, then the process. Who asks - people, or failover - has made sure that nobody else
 * runs it.
 */
#include "node/svc/svc.h"

#include "base/clock.h"
#include "base/log.h"
#include "node/svc/node_limit.h"

#include <stdio.h>
#include <string.h>

struct start {
	struct list link;
	struct svc *svc;
	char name[SVC_NAME_MAX_LEN + 1];
	uint64_t epoch; /* that it is to run with */
	bool is_saved;
	struct saved saved;
	bool is_wanted; /* whatever happens: it is tried again elsewhere */
	start_fn fn;
	void *data;
};

static void finish(struct start *start, int error, enum api_code code, const char *why)
{
	start_fn fn = start->fn;
	void *data = start->data;
	char text[512];

	snprintf(text, sizeof(text), "%s did not start: %s", start->name, why);
	saved_fini(&start->saved);
	list_remove(&start->link);
	free(start);
	fn(error, code, text, data);
}

static void failed(struct start *start, uint64_t epoch, const char *why)
{
	if (start->is_saved)
		saved_keep(start->svc, start->name, epoch, &start->saved, why);
	else if (start->is_wanted)
		vmproc_publish_lost(start->svc, start->name, epoch, why);
	else
		vmproc_publish(start->svc, start->name, epoch, "Failed", why);
	finish(start, -EIO, API_FAILED, why);
}

void vm_start_over(struct start *start, uint64_t epoch, const char *why)
{
	failed(start, epoch, why);
}

void vm_start_taken(struct start *start)
{
	finish(start, -ESTALE, API_CONFLICT, "somebody else has taken it meanwhile");
}

bool vm_start_is_under_way(const struct svc *svc, const char *name)
{
	const struct start *start;

	list_for_each(start, &svc->starts, link) {
		if (strcmp(start->name, name) == 0)
			return true;
	}
	return false;
}

/* The process ended while it was asked: vmproc.c fails the start. */
static struct vmproc *still_starting(struct start *start)
{
	return vmproc_find(start->svc, start->name);
}

static void on_started(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct start *start = data;
	struct vmproc *vp = still_starting(start);

	if (error < 0) {
		uint64_t epoch = vp->epoch;

		vp->starting = NULL;
		vmproc_destroy(vp);
		failed(start, epoch, json_get_string(reply, "error", strerror(-error)));
		return;
	}
	vp->state = VMPROC_RUNNING;
	vp->starting = NULL;
	vmproc_publish(vp->svc, start->name, vp->epoch, "Running", "");
	vmproc_sync_nics(vp);
	if (start->is_saved)
		saved_remove(vp->svc, &start->saved);
	finish(start, 0, API_FAILED, "");
}

static void start_process(struct start *start, struct vmproc *vp)
{
	int r = vmproc_start(vp, on_started, start);

	if (r < 0)
		on_started(r, NULL, NULL, 0, start);
}

static void on_loaded(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct start *start = data;

	if (error < 0)
		on_started(error, reply, NULL, 0, start);
	else
		start_process(start, still_starting(start));
}

static void on_prepared(struct vmproc *vp, int error, const char *text, void *data)
{
	struct start *start = data;
	char why[256];

	if (error == 0 && !start->is_saved) {
		start_process(start, vp);
		return;
	}
	if (error == 0) {
		error = saved_load(vp, &start->saved, on_loaded, start, why, sizeof(why));
		text = why;
	}
	if (error < 0) {
		uint64_t epoch = vp->epoch;

		snprintf(why, sizeof(why), "%s", text); /* may be the process's own */
		vp->starting = NULL;
		vmproc_destroy(vp);
		failed(start, epoch, why);
	}
}

static void on_owned(int error, uint64_t version _unused_, void *data)
{
	struct start *start = data;
	struct svc *svc = start->svc;
	char full[NODE_LIMIT_WHY_BYTES];
	struct vmproc *vp;
	struct vm_view v;
	int r;

	if (error < 0) {
		/* It may be ours all the same. */
		svc->recovered = false;
		finish(start, error, error == -EHOSTDOWN ? API_NO_QUORUM : API_CONFLICT,
			error == -EHOSTDOWN ? "this node has no quorum, so nothing may be changed"
			: error == -ESTALE  ? "somebody else changed it meanwhile; try again"
					    : strerror(-error));
		return;
	}
	if (api_vm_view(svc, start->name, &v) < 0) {
		finish(start, -ENOENT, API_NOT_FOUND, "it was deleted meanwhile");
		return;
	}
	/* The word that it is done may come late: what counts is the record as it is now. */
	if (v.owner.node_id != cluster_local_id(svc->cluster) || v.owner.epoch != start->epoch) {
		finish(start, -ESTALE, API_CONFLICT, "somebody else has taken it meanwhile");
		return;
	}
	/* Another one may have come while this one's record was written. */
	if (!node_limit_has_room(svc, full, sizeof(full))) {
		failed(start, v.owner.epoch, full);
		return;
	}
	r = vmproc_new(svc, start->name, (struct json *)v.config, start->saved.offloads,
		v.owner.epoch, start->is_saved, on_prepared, start, &vp);
	if (r < 0) {
		failed(start, v.owner.epoch,
			r == -ENODEV ? "this node has no usable /dev/kvm" : strerror(-r));
		return;
	}
	vp->starting = start;
	if (start->is_saved)
		saved_keep(svc, start->name, v.owner.epoch, &start->saved, "starting");
	else
		vmproc_publish(svc, start->name, v.owner.epoch, "Starting", "");
}

void vm_start(struct svc *svc, const char *name, const struct vm_view *v, bool is_wanted,
	start_fn fn, void *data)
{
	struct start *start = calloc(1, sizeof(*start));
	const char *reason;
	char object[SVC_NAME_MAX_LEN + 8];
	int r;

	if (!start) {
		fn(-ENOMEM, API_FAILED, "out of memory", data);
		return;
	}
	*start = (struct start){.svc = svc,
		.epoch = v->owner.epoch + 1,
		.is_wanted = is_wanted,
		.fn = fn,
		.data = data};
	snprintf(start->name, sizeof(start->name), "%s", name);
	list_append(&svc->starts, &start->link);
	start->is_saved = strcmp(api_vm_state(v, &reason), "Saved") == 0;
	saved_note(v, &start->saved);
	snprintf(object, sizeof(object), "vm/%s", name);
	r = cluster_owner_cas(
		svc->cluster, object, &v->owner, cluster_local_id(svc->cluster), on_owned, start);
	if (r < 0)
		on_owned(r, 0, start);
}
