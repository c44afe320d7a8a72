/* SPDX-License-Identifier: MIT
 *
 * The source's side of a quick migration: the VM is paused, its state goes LZ4-compressed into a
 * file on a shared volume, the target loads it, ownership moves by the same commit as in a live
 * migration, and the target starts. Whatever fails before the commit, the VM goes on here.
 */
#include "node/svc/svc.h"

#include "base/clock.h"
#include "base/log.h"
#include "csv/csv.h"

#include <stdio.h>
#include <string.h>

#define PREPARE_TIMEOUT_NS (40 * NS_PER_SEC)
#define SAVE_TIMEOUT_NS    (600 * NS_PER_SEC)
#define LOAD_TIMEOUT_NS    (600 * NS_PER_SEC)
#define CONFIRM_LOOK_NS    (1 * NS_PER_SEC)
#define CONFIRM_MAX_LOOKS  15
#define CALL_TIMEOUT_NS    (10 * NS_PER_SEC)

enum quick_step { QUICK_PREPARE, QUICK_SAVE, QUICK_LOAD, QUICK_COMMIT, QUICK_CONFIRM };

struct quick_out {
	struct vmproc *vp;
	struct job *job;
	struct cluster_node target;
	char volume[SVC_NAME_MAX_LEN + 1], file[128];
	enum quick_step step;
	int dir_fd;
	bool file_exists;
	uint64_t paused_at_ns, started_at_ns, commit_ns;
	struct json *saved, *loaded, *started;
	uint64_t confirm_timer;
	unsigned n_looks;
};

static void quick_free(struct quick_out *quick)
{
	loop_timer_remove(quick->vp->svc->loop, quick->confirm_timer);
	close_fd(quick->dir_fd);
	json_unref(quick->saved);
	json_unref(quick->loaded);
	json_unref(quick->started);
	quick->vp->quick = NULL;
	free(quick);
}

static int ask_target(struct quick_out *quick, const char *op, struct json *message,
	uint64_t timeout_ns, peer_reply_fn fn)
{
	struct job_ref *ref = job_ref_new(quick->job);
	int r = -ENOMEM;

	json_set_string(message, "op", op);
	json_set_string(message, "kind", "quick");
	json_set_string(message, "vm", quick->vp->name);
	json_set_int(message, "epoch", (int64_t)quick->vp->epoch + 1);
	if (ref)
		r = peer_call(
			quick->vp->svc->peer, quick->target.name, message, timeout_ns, fn, ref);
	else
		json_unref(message);
	if (r < 0)
		free(ref);
	return r;
}

static void on_told(int error _unused_, const struct json *reply _unused_, void *data)
{
	free(data);
}

static void on_resumed(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct vmproc *vp = data;

	if (error < 0) {
		log_error("%s could not go on: %s", vp->name,
			json_get_string(reply, "error", strerror(-error)));
		vmproc_publish(vp->svc, vp->name, vp->epoch, "Failed", "it could not go on");
		return;
	}
	vp->state = VMPROC_RUNNING;
	vmproc_publish(vp->svc, vp->name, vp->epoch, "Running", "");
}

/* Over, and the VM goes on here. */
static void fail(struct quick_out *quick, enum api_code code, const char *text)
{
	struct vmproc *vp = quick->vp;
	struct job *job = quick->job;
	bool paused = vp->state == VMPROC_PAUSED;
	char copy[256];

	snprintf(copy, sizeof(copy), "%s", text);
	ask_target(quick, "mig.abort", json_object_new(), CALL_TIMEOUT_NS, on_told);
	if (quick->file_exists)
		csv_saved_remove(quick->dir_fd, quick->file);
	quick_free(quick);
	if (paused && vp->chan) {
		vmproc_unmute(vp);
		if (chan_call(vp->chan, "vm.start", NULL, NULL, 0, CALL_TIMEOUT_NS, on_resumed,
			    vp) < 0)
			vmproc_publish(
				vp->svc, vp->name, vp->epoch, "Failed", "it could not go on");
	}
	job_finish(job, code == API_CANCELLED ? JOB_CANCELLED : JOB_FAILED, code, copy);
}

/* The target's answer to a step; true when it is good, otherwise the migration was ended. */
static bool check_answer(struct quick_out *quick, int error, const struct json *reply)
{
	char text[200];

	if (error < 0) {
		snprintf(text, sizeof(text), "%s does not answer: %s", quick->target.name,
			strerror(-error));
		fail(quick, API_UNREACHABLE, text);
		return false;
	}
	if (!json_get_bool(reply, "ok", false)) {
		fail(quick, api_code_from_name(json_get_string(reply, "code", "")),
			json_get_string(reply, "error", "the target refused without a reason"));
		return false;
	}
	return true;
}

/* ---- commit and confirm ---- */

static void not_confirmed(struct quick_out *quick)
{
	struct vmproc *vp = quick->vp;
	struct job *job = quick->job;
	char text[200];

	snprintf(text, sizeof(text), "%s owns the VM now but did not say that it runs there",
		quick->target.name);
	quick_free(quick);
	vmproc_destroy(vp);
	job_finish(job, JOB_FAILED, API_FAILED, text);
}

/* The target's own word may be lost on the way; what it published is not. */
static void on_confirm_look(void *data)
{
	struct quick_out *quick = data;
	struct vmproc *vp = quick->vp;
	const struct json *state = vm_runs_elsewhere(vp->svc, vp->name, vp->epoch + 1);

	quick->confirm_timer = 0;
	if (state)
		quick_out_started(vp, state);
	else if (++quick->n_looks == CONFIRM_MAX_LOOKS)
		not_confirmed(quick);
	else
		loop_timer_add(vp->svc->loop, CONFIRM_LOOK_NS, on_confirm_look, quick,
			&quick->confirm_timer);
}

static void confirm(struct quick_out *quick);

static void on_verdict(struct vmproc *vp, enum verdict verdict, uint64_t commit_ns)
{
	struct quick_out *quick = vp->quick;
	struct job *job = quick->job;

	quick->commit_ns = commit_ns;
	switch (verdict) {
	case VERDICT_COMMITTED:
		ask_target(quick, "mig.commit", json_object_new(), CALL_TIMEOUT_NS, on_told);
		quick->step = QUICK_CONFIRM;
		job_update(job, "confirm", 99, NULL);
		loop_timer_add(vp->svc->loop, CONFIRM_LOOK_NS, on_confirm_look, quick,
			&quick->confirm_timer);
		confirm(quick);
		break;
	case VERDICT_KEPT:
		fail(quick, API_FAILED, "the change of owner did not happen");
		if (vp->state == VMPROC_FAILED) {
			vmproc_publish(vp->svc, vp->name, vp->epoch, "Failed", "its process died");
			vmproc_destroy(vp);
		}
		break;
	case VERDICT_LOST:
		quick_free(quick);
		vmproc_destroy(vp);
		job_finish(job, JOB_FAILED, API_CONFLICT,
			"the VM belongs to somebody else now; its copy here was thrown away");
		break;
	}
}

static void confirm(struct quick_out *quick)
{
	struct vmproc *vp = quick->vp;
	struct job *job = quick->job;
	struct json *report;

	if (quick->step != QUICK_CONFIRM || !quick->started)
		return;
	report = json_object_new();
	json_set_string(report, "volume", quick->volume);
	json_set_string(report, "file", quick->file);
	json_set_int(report, "raw_bytes", json_get_int(quick->saved, "raw_bytes", 0));
	json_set_int(report, "file_bytes", json_get_int(quick->saved, "file_bytes", 0));
	json_set_int(report, "save_ns", json_get_int(quick->saved, "duration_ns", 0));
	json_set_int(report, "load_ns", json_get_int(quick->loaded, "duration_ns", 0));
	json_set_int(report, "commit_ns", (int64_t)quick->commit_ns);
	json_set_int(report, "start_ns", json_get_int(quick->started, "start_ns", 0));
	json_set_int(report, "away_ns", (int64_t)(quick->started_at_ns - quick->paused_at_ns));
	job_update(job, "confirm", 99, report);
	quick_free(quick);
	vmproc_destroy(vp);
	job_finish(job, JOB_DONE, API_FAILED, "");
}

void quick_out_started(struct vmproc *vp, const struct json *message)
{
	struct quick_out *quick = vp->quick;

	/* The news can overtake the answer to our own compare-and-set; the verdict still comes. */
	if (quick->step < QUICK_COMMIT || quick->started)
		return;
	quick->started = json_copy(message);
	quick->started_at_ns = clock_mono_ns();
	confirm(quick);
}

static void on_loaded(int error, const struct json *reply, void *data)
{
	struct quick_out *quick = job_ref_take(data);

	if (!quick || quick->step != QUICK_LOAD || !check_answer(quick, error, reply))
		return;
	quick->loaded = json_copy(reply);
	quick->step = QUICK_COMMIT;
	quick->job->cancel = NULL;
	job_update(quick->job, "finish", 98, NULL);
	if (verdict_ask(quick->vp, quick->target.id, on_verdict) < 0)
		fail(quick, API_FAILED, "out of memory");
}

/* ---- save ---- */

static void on_muted(struct vmproc *vp, void *data _unused_)
{
	struct quick_out *quick = vp->quick;
	struct json *message;
	int r;

	if (!quick)
		return;
	message = json_object_new();
	json_set_string(message, "volume", quick->volume);
	json_set_string(message, "file", quick->file);
	quick->step = QUICK_LOAD;
	job_update(quick->job, "load", 60, NULL);
	r = ask_target(quick, "mig.load", message, LOAD_TIMEOUT_NS, on_loaded);
	if (r < 0)
		fail(quick, API_UNREACHABLE, strerror(-r));
}

static void on_saved(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct vmproc *vp = data;
	struct quick_out *quick = vp->quick;

	if (!quick || quick->step != QUICK_SAVE)
		return;
	if (error < 0) {
		/* viaduct-vmhost let the VM go on by itself. */
		vp->state = VMPROC_RUNNING;
		vmproc_publish(vp->svc, vp->name, vp->epoch, "Running", "");
		fail(quick, API_FAILED, json_get_string(reply, "error", strerror(-error)));
		return;
	}
	quick->saved = json_copy(reply);
	vmproc_mute(vp, on_muted, NULL);
}

void quick_out_event(struct vmproc *vp, const char *op, const struct json *message)
{
	if (strcmp(op, "save.progress") == 0 && vp->quick->step == QUICK_SAVE)
		job_update(vp->quick->job, "save",
			(unsigned)MIN(json_get_int(message, "percent", 0), (int64_t)100) * 6 / 10,
			NULL);
}

static void save(struct quick_out *quick)
{
	struct vmproc *vp = quick->vp;
	_cleanup_close_ int fd = -1;
	char error[200];
	int r;

	r = volume_open(vp->svc, quick->volume, &quick->dir_fd, error, sizeof(error));
	if (r < 0) {
		fail(quick, API_REFUSED, error);
		return;
	}
	/* A file of this very epoch can only be ours, from an attempt that failed. */
	csv_saved_remove(quick->dir_fd, quick->file);
	r = csv_saved_create(quick->dir_fd, quick->file, &fd);
	if (r == 0) {
		quick->file_exists = true;
		quick->step = QUICK_SAVE;
		vp->state = VMPROC_PAUSED;
		quick->paused_at_ns = clock_mono_ns();
		vmproc_publish(vp->svc, vp->name, vp->epoch, "Saving", quick->target.name);
		r = chan_call(vp->chan, "vm.save", NULL, &fd, 1, SAVE_TIMEOUT_NS, on_saved, vp);
		if (r < 0)
			vp->state = VMPROC_RUNNING;
	}
	if (r < 0) {
		snprintf(error, sizeof(error), "%s on volume %s: %s", quick->file, quick->volume,
			strerror(-r));
		fail(quick, API_FAILED, error);
	}
}

/* ---- prepare ---- */

static void on_volume_ours(int error, uint64_t version _unused_, void *data)
{
	struct quick_out *quick = job_ref_take(data);
	char text[200];

	if (!quick)
		return;
	if (error < 0) {
		snprintf(text, sizeof(text), "volume %s cannot be taken over: %s", quick->volume,
			strerror(-error));
		fail(quick, error == -EHOSTDOWN ? API_NO_QUORUM : API_CONFLICT, text);
		return;
	}
	save(quick);
}

static void on_prepared(int error, const struct json *reply, void *data)
{
	struct quick_out *quick = job_ref_take(data);
	struct job_ref *ref;
	int r;

	if (!quick || quick->step != QUICK_PREPARE || !check_answer(quick, error, reply))
		return;
	ref = job_ref_new(quick->job);
	r = ref ? volume_take(quick->vp->svc, quick->volume, on_volume_ours, ref) : -ENOMEM;
	if (r < 0) {
		free(ref);
		fail(quick, r == -EHOSTDOWN ? API_NO_QUORUM : API_FAILED, strerror(-r));
	}
}

bool quick_out_vm_died(struct vmproc *vp)
{
	if (vp->quick->step >= QUICK_COMMIT)
		return true; /* the commit decides; if it happened the process was to go anyway */
	fail(vp->quick, API_FAILED, "the VM's own process died during the move");
	return false;
}

void quick_out_cluster_changed(struct vmproc *vp)
{
	struct quick_out *quick = vp->quick;
	struct cluster_node target;
	char text[128];

	if (cluster_find_node(vp->svc->cluster, quick->target.name, &target) == 0 &&
		target.has_service)
		return;
	snprintf(text, sizeof(text), "%s left the cluster during the move", quick->target.name);
	/* While viaduct-vmhost saves, its answer comes first; while the commit is under way, the
	 * verdict. */
	if (quick->step == QUICK_PREPARE || quick->step == QUICK_LOAD)
		fail(quick, API_UNREACHABLE, text);
}

int quick_out_start(
	struct vmproc *vp, struct job *job, const struct cluster_node *target, const char *volume)
{
	struct quick_out *quick = calloc(1, sizeof(*quick));
	struct json *message;
	int r;

	if (!quick)
		return -ENOMEM;
	quick->vp = vp;
	quick->job = job;
	quick->target = *target;
	quick->dir_fd = -1;
	snprintf(quick->volume, sizeof(quick->volume), "%s", volume);
	r = csv_saved_name(vp->name, vp->epoch, quick->file, sizeof(quick->file));
	vp->quick = quick;
	job->data = quick;
	if (r == 0) {
		message = json_object_new();
		json_set_stringf(
			message, "cpuid_digest", "%016llx", (unsigned long long)vp->cpuid_digest);
		json_set(message, "offloads", json_copy(vp->offloads));
		r = ask_target(quick, "mig.prepare", message, PREPARE_TIMEOUT_NS, on_prepared);
	}
	if (r < 0)
		quick_free(quick);
	else
		job_update(job, "prepare", 1, NULL);
	return r;
}
