/* SPDX-License-Identifier: MIT
 *
 * save.c - pause and resume; save a VM to a shared volume, so that it costs nothing and can go on
 * on any node; start it from there; or throw the state away.
 *
 * The state's file carries the epoch that wrote it. Where it is stands in vmstate/NAME with state
 * "Saved"; a start that fails leaves it there.
 */
#include "node/svc/svc.h"
#include "node/svc/nic.h"

#include "base/clock.h"
#include "base/log.h"
#include "csv/csv.h"

#include <stdio.h>
#include <string.h>

#define CALL_TIMEOUT_NS (10 * NS_PER_SEC)
#define SAVE_TIMEOUT_NS (600 * NS_PER_SEC)

/* ---- pause and resume ---- */

static void on_changed(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct api_call *call = data;
	const char *name = json_get_string(call->message, "vm", "");
	bool paused = strcmp(json_get_string(call->message, "op", ""), "vm.pause") == 0;
	struct vmproc *vp = vmproc_find(call->svc, name);

	if (error < 0 || !vp) {
		api_fail(call, API_FAILED, "%s: %s", name,
			json_get_string(reply, "error", strerror(-error)));
		return;
	}
	vp->state = paused ? VMPROC_PAUSED : VMPROC_RUNNING;
	vmproc_publish(call->svc, name, vp->epoch, paused ? "Paused" : "Running", "");
	api_reply(call, NULL);
}

static void change(struct api_call *call, enum vmproc_state wanted, const char *op)
{
	struct vmproc *vp = api_running_vm(call);
	int r;

	if (!vp)
		return;
	if (vp->state != wanted || vp->out) {
		api_fail(call, API_CONFLICT, "%s is %s", vp->name,
			vp->out                      ? "being moved"
			: vp->state == VMPROC_PAUSED ? "paused already"
						     : "not paused");
		return;
	}
	r = chan_call(vp->chan, op, NULL, NULL, 0, CALL_TIMEOUT_NS, on_changed, call);
	if (r < 0)
		on_changed(r, NULL, NULL, 0, call);
	else
		list_append(&vp->calls, &call->link);
}

void api_vm_pause(struct api_call *call)
{
	change(call, VMPROC_RUNNING, "vm.pause");
}

void api_vm_resume(struct api_call *call)
{
	change(call, VMPROC_PAUSED, "vm.start");
}

/* ---- save ---- */

struct save {
	struct api_call *call;
	char vm[SVC_NAME_MAX_LEN + 1];
	struct saved saved;
	int dir_fd;
};

static void save_free(struct save *save)
{
	close_fd(save->dir_fd);
	saved_fini(&save->saved);
	free(save);
}

static void publish_saved(struct svc *svc, const char *vm, uint64_t epoch,
	const struct saved *saved, const char *reason)
{
	struct json *extra = json_object_new();

	json_set_string(extra, "volume", saved->volume);
	json_set_string(extra, "file", saved->file);
	if (saved->offloads)
		json_set(extra, "offloads", json_copy(saved->offloads));
	vmproc_publish_with(svc, vm, epoch, "Saved", reason, extra);
}

/* Before anything was written: the VM is as it was. */
static void save_refused(struct save *save, enum api_code code, const char *text)
{
	api_fail(save->call, code, "%s was not saved: %s", save->vm, text);
	save_free(save);
}

static void on_saved(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct save *save = data;
	struct svc *svc = save->call->svc;
	struct vmproc *vp = vmproc_find(svc, save->vm);
	struct json *result;

	if (vp)
		vp->saving = NULL;
	if (error < 0 || !vp) {
		csv_saved_remove(save->dir_fd, save->saved.file);
		if (vp) { /* viaduct-vmhost let the VM go on by itself */
			vp->state = VMPROC_RUNNING;
			vmproc_publish(svc, save->vm, vp->epoch, "Running", "");
		}
		save_refused(save, API_FAILED,
			json_get_string(reply, "error", strerror(error ? -error : ECHILD)));
		return;
	}
	save->saved.offloads = json_ref(vp->offloads);
	publish_saved(svc, save->vm, vp->epoch, &save->saved, "");
	list_remove(&save->call->link); /* answered here, not as one that lost its VM */
	vmproc_destroy(vp);
	result = json_copy(reply);
	json_delete(result, "id");
	api_reply(save->call, result);
	save_free(save);
}

static void on_volume_ours(int error, uint64_t version _unused_, void *data)
{
	struct save *save = data;
	struct svc *svc = save->call->svc;
	struct vmproc *vp = vmproc_find(svc, save->vm);
	_cleanup_close_ int fd = -1;
	char text[200];
	int r;

	if (error < 0 || !vp || !vp->chan || vp->out || vp->quick || vp->in) {
		save_refused(save, API_CONFLICT,
			error < 0 ? "its volume cannot be taken over now"
				  : "it ended, or began to move, meanwhile");
		return;
	}
	r = csv_saved_name(save->vm, vp->epoch, save->saved.file, sizeof(save->saved.file));
	if (r == 0)
		r = volume_open(svc, save->saved.volume, &save->dir_fd, text, sizeof(text));
	if (r < 0) {
		save_refused(save, API_REFUSED, r == -ENAMETOOLONG ? strerror(-r) : text);
		return;
	}
	/* A file of this very epoch can only be ours, from an attempt that failed. */
	csv_saved_remove(save->dir_fd, save->saved.file);
	r = csv_saved_create(save->dir_fd, save->saved.file, &fd);
	if (r == 0)
		r = chan_call(vp->chan, "vm.save", NULL, &fd, 1, SAVE_TIMEOUT_NS, on_saved, save);
	if (r < 0) {
		save_refused(save, API_FAILED, strerror(-r));
		return;
	}
	vp->state = VMPROC_PAUSED;
	vp->saving = save;
	vmproc_publish(svc, save->vm, vp->epoch, "Saving", "");
	list_append(&vp->calls, &save->call->link);
}

void save_forget(struct vmproc *vp)
{
	struct save *save = take_ptr(vp->saving);

	if (!save)
		return;
	csv_saved_remove(save->dir_fd, save->saved.file);
	save_free(save);
}

/* {vm, volume} */
void api_vm_save(struct api_call *call)
{
	const char *volume = json_get_string(call->message, "volume", NULL);
	struct vmproc *vp;
	struct save *save;
	int r;

	if (!api_needs_quorum(call))
		return;
	vp = api_running_vm(call);
	if (!vp)
		return;
	if (!volume)
		volume = volume_first(call->svc);
	if (!volume || vp->state != VMPROC_RUNNING || vp->out) {
		api_fail(call, volume ? API_CONFLICT : API_REFUSED, "%s was not saved: %s",
			vp->name,
			!volume ? "there is no shared volume; make one with 'viaduct volume create'"
			: vp->out ? "it is being moved"
				  : "it does not run");
		return;
	}
	save = calloc(1, sizeof(*save));
	if (!save) {
		api_fail(call, API_FAILED, "out of memory");
		return;
	}
	save->call = call;
	save->dir_fd = -1;
	snprintf(save->vm, sizeof(save->vm), "%s", vp->name);
	snprintf(save->saved.volume, sizeof(save->saved.volume), "%s", volume);
	r = volume_take(call->svc, volume, on_volume_ours, save);
	if (r < 0)
		on_volume_ours(r, 0, save);
}

/* ---- start from there ---- */

void saved_note(const struct vm_view *view, struct saved *ret_saved)
{
	snprintf(ret_saved->volume, sizeof(ret_saved->volume), "%s",
		json_get_string(view->state, "volume", ""));
	snprintf(ret_saved->file, sizeof(ret_saved->file), "%s",
		json_get_string(view->state, "file", ""));
	ret_saved->offloads = NULL;
	if (nic_offloads_are_valid(json_get(view->state, "offloads"), view->config))
		ret_saved->offloads = json_copy(json_get(view->state, "offloads"));
}

void saved_fini(struct saved *saved)
{
	json_unref(take_ptr(saved->offloads));
}

void saved_keep(struct svc *svc, const char *vm, uint64_t epoch, const struct saved *saved,
	const char *reason)
{
	publish_saved(svc, vm, epoch, saved, reason);
}

int saved_load(struct vmproc *vp, const struct saved *saved, chan_reply_fn fn, void *data,
	char *error, size_t error_size_bytes)
{
	_cleanup_close_ int dir = -1, fd = -1;
	int r = volume_open(vp->svc, saved->volume, &dir, error, error_size_bytes);

	if (r < 0)
		return r;
	r = csv_saved_open(dir, saved->file, &fd);
	if (r == 0)
		r = chan_call(vp->chan, "vm.load", NULL, &fd, 1, SAVE_TIMEOUT_NS, fn, data);
	if (r < 0)
		snprintf(error, error_size_bytes, "its state %s on volume %s cannot be read: %s",
			saved->file, saved->volume, strerror(-r));
	return r;
}

void saved_remove(struct svc *svc, const struct saved *saved)
{
	_cleanup_close_ int dir = -1;
	char error[200];
	int r = volume_open(svc, saved->volume, &dir, error, sizeof(error));

	if (r == 0)
		r = csv_saved_remove(dir, saved->file);
	if (r < 0 && r != -ENOENT)
		log_warning("the state %s on volume %s was not removed: %s", saved->file,
			saved->volume, strerror(-r));
}

/* {vm}: throw the state away; the VM is off then. */
void api_vm_discard(struct api_call *call)
{
	const char *name = json_get_string(call->message, "vm", "");
	struct saved saved;
	struct vm_view v;

	if (!api_needs_quorum(call) || !api_need_vm(call, name, &v) ||
		!api_at_owner(call, name, &v))
		return;
	if (strcmp(json_get_string(v.state, "state", ""), "Saved") != 0 ||
		vmproc_find(call->svc, name)) {
		api_fail(call, API_CONFLICT, "%s is not saved", name);
		return;
	}
	saved_note(&v, &saved);
	saved_remove(call->svc, &saved);
	saved_fini(&saved);
	vmproc_publish(call->svc, name, v.owner.epoch, "Off", "its saved state was thrown away");
	api_reply(call, NULL);
}
