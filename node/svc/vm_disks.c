/* SPDX-License-Identifier: MIT
 *
 * vm_disks.c - the disks of a VM's configuration: {lun, kind: "disk" | "dvd", path, read_only, id,
 * serial}. The service opens the files; the VM's process gets descriptors and never a path.
 */
#include "node/svc/svc.h"

#include "base/clock.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CALL_TIMEOUT_NS (30 * NS_PER_SEC)

#define GUEST_BLOCK_BYTES 512

/* Can the file be read and written around the page cache in the guest's blocks? A kernel that does
 * not say is taken at its word when the file is opened. */
static bool is_fine_grained(const char *path)
{
	struct statx st;

	if (statx(AT_FDCWD, path, 0, STATX_DIOALIGN, &st) < 0 || !(st.stx_mask & STATX_DIOALIGN))
		return true;
	return st.stx_dio_offset_align > 0 && st.stx_dio_offset_align <= GUEST_BLOCK_BYTES;
}

/* Around the page cache: what one node wrote is what the next one reads. Not every file system can.
 */
static int open_around_cache(const char *path, int flags)
{
	int fd = is_fine_grained(path) ? open(path, flags | O_DIRECT | O_CLOEXEC) : -1;

	if (fd < 0)
		fd = open(path, flags | O_CLOEXEC);
	return fd;
}

int vm_disk_open(const struct json *disk, int *ret_fd, char *error, size_t error_size_bytes)
{
	const char *path = json_get_string(disk, "path", "");
	bool is_dvd = strcmp(json_get_string(disk, "kind", "disk"), "dvd") == 0;
	bool read_only = is_dvd || json_get_bool(disk, "read_only", false);
	int flags = read_only ? O_RDONLY : O_RDWR;
	_cleanup_close_ int fd =
		is_dvd ? open(path, flags | O_CLOEXEC) : open_around_cache(path, flags);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		snprintf(error, error_size_bytes, "disk %s cannot be opened: %s", path,
			strerror(-r));
		return r;
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		snprintf(error, error_size_bytes, "disk %s is neither a file nor a block device",
			path);
		return -EINVAL;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

struct json *vm_disk_message(const struct json *disk)
{
	struct json *message = json_object_new();

	json_set_int(message, "lun", json_get_int(disk, "lun", 0));
	json_set_string(message, "kind", json_get_string(disk, "kind", "disk"));
	json_set_string(message, "disk_id", json_get_string(disk, "id", ""));
	json_set_string(message, "serial", json_get_string(disk, "serial", ""));
	json_set_bool(message, "read_only", json_get_bool(disk, "read_only", false));
	return message;
}

/* ---- at the start ---- */

struct attaching {
	struct vmproc *vp;
	vm_disks_fn fn;
	size_t at;
};

static void attach_next(struct attaching *a);

static void finish(struct attaching *a, int error, const char *text)
{
	struct vmproc *vp = a->vp;
	vm_disks_fn fn = a->fn;

	vp->disks = NULL;
	free(a);
	fn(vp, error, text);
}

static void on_attached(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct attaching *a = data;

	if (error < 0) {
		snprintf(a->vp->error, sizeof(a->vp->error), "disk %zu: %.200s", a->at,
			json_get_string(reply, "error", strerror(-error)));
		finish(a, error, a->vp->error);
		return;
	}
	a->at++;
	attach_next(a);
}

static void attach_next(struct attaching *a)
{
	struct vmproc *vp = a->vp;
	const struct json *disk = json_at(json_get(vp->config, "disks"), a->at);
	_cleanup_close_ int fd = -1;
	int r = 0;

	if (!disk) {
		finish(a, 0, NULL);
		return;
	}
	if (json_get_string(disk, "path", NULL))
		r = vm_disk_open(disk, &fd, vp->error, sizeof(vp->error));
	if (r == 0)
		r = chan_call(vp->chan, "disk.attach", vm_disk_message(disk), &fd, fd >= 0,
			CALL_TIMEOUT_NS, on_attached, a);
	if (r < 0)
		finish(a, r, vp->error[0] ? vp->error : strerror(-r));
}

void vm_disks_attach(struct vmproc *vp, vm_disks_fn fn)
{
	struct attaching *a = calloc(1, sizeof(*a));

	if (!a) {
		fn(vp, -ENOMEM, "out of memory");
		return;
	}
	a->vp = vp;
	a->fn = fn;
	vp->disks = a;
	attach_next(a);
}

void vm_disks_forget(struct vmproc *vp)
{
	free(take_ptr(vp->disks));
}

/* ---- while it runs: the configuration changes and, when the VM runs, the machine ---- */

struct change {
	struct api_call *call;
	struct json *config; /* the new one */
	uint64_t version;
	const char *op; /* for the process */
	struct json *message;
	int fd;
};

static void change_free(struct change *c)
{
	json_unref(c->config);
	json_unref(c->message);
	close_fd(c->fd);
	free(c);
}

static void on_taken(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct api_call *call = data;

	if (error < 0)
		api_fail(call, API_FAILED,
			"the VM's configuration was changed, but the running VM did not take it: "
			"%s; it counts from the next start on",
			json_get_string(reply, "error", strerror(-error)));
	else
		api_reply(call, NULL);
}

static void on_config_written(int error, uint64_t version _unused_, void *data)
{
	struct change *c = data;
	struct api_call *call = c->call;
	struct vmproc *vp = vmproc_find(call->svc, json_get_string(call->message, "vm", ""));
	int r;

	if (error < 0) {
		api_fail_errno(call, error, "the VM's configuration was not changed");
	} else if (!vp || !vp->chan || vp->state == VMPROC_PREPARING) {
		api_reply(call, NULL);
	} else {
		json_unref(vp->config);
		vp->config = json_ref(c->config);
		r = chan_call(vp->chan, c->op, take_ptr(c->message), &c->fd, c->fd >= 0,
			CALL_TIMEOUT_NS, on_taken, call);
		if (r < 0)
			on_taken(r, NULL, NULL, 0, call);
		else
			list_append(&vp->calls, &call->link);
	}
	change_free(c);
}

/* Takes over config, message and fd. */
static void change(struct api_call *call, const struct vm_view *view, struct json *config,
	const char *op, struct json *message, int fd)
{
	struct change *c = calloc(1, sizeof(*c));
	char key[SVC_NAME_MAX_LEN + 8];
	int r;

	if (!c) {
		json_unref(config);
		json_unref(message);
		close_fd(fd);
		api_fail(call, API_FAILED, "out of memory");
		return;
	}
	*c = (struct change){
		.call = call, .config = config, .op = op, .message = message, .fd = fd};
	snprintf(key, sizeof(key), "vm/%s", json_get_string(call->message, "vm", ""));
	r = cluster_cas(call->svc->cluster, key, view->config_version, json_ref(config),
		on_config_written, c);
	if (r < 0) {
		api_fail_errno(call, r, "the VM's configuration was not changed");
		change_free(c);
	}
}

static struct json *find_lun(const struct json *disks, int64_t lun, size_t *ret_at)
{
	for (size_t i = 0; i < json_length(disks); i++) {
		if (json_get_int(json_at(disks, i), "lun", -1) == lun) {
			*ret_at = i;
			return json_at(disks, i);
		}
	}
	return NULL;
}

/* What all of these need; *ret_config is a copy to change. */
static bool begin(struct api_call *call, struct vm_view *ret_view, struct json **ret_config)
{
	const char *name = json_get_string(call->message, "vm", "");

	if (!api_needs_quorum(call) || !api_need_vm(call, name, ret_view) ||
		!api_at_owner(call, name, ret_view) || api_is_busy(call, name))
		return false;
	*ret_config = json_copy(ret_view->config);
	if (!json_get(*ret_config, "disks"))
		json_set(*ret_config, "disks", json_array_new());
	return true;
}

/* {vm, disk: {lun, kind, path, read_only, serial}} */
void api_disk_add(struct api_call *call)
{
	struct json *config, *disk;
	char error[256];
	struct vm_view view;
	int fd = -1, r;
	size_t at;

	if (!begin(call, &view, &config))
		return;
	r = vm_disk_config(json_get(call->message, "disk"), json_get(config, "disks"), &disk, error,
		sizeof(error));
	if (r == 0 && find_lun(json_get(config, "disks"), json_get_int(disk, "lun", -1), &at)) {
		snprintf(error, sizeof(error), "there is a disk at LUN %lld already",
			(long long)json_get_int(disk, "lun", -1));
		json_unref(disk);
		r = -EEXIST;
	}
	if (r == 0 && json_get_string(disk, "path", NULL)) {
		r = vm_disk_open(disk, &fd, error, sizeof(error));
		if (r < 0)
			json_unref(disk);
	}
	if (r < 0) {
		json_unref(config);
		api_fail(call, r == -EEXIST ? API_CONFLICT : API_REFUSED, "%s", error);
		return;
	}
	json_append(json_get(config, "disks"), json_ref(disk));
	change(call, &view, config, "disk.attach", vm_disk_message(disk), fd);
	json_unref(disk);
}

static void no_such_lun(struct api_call *call, struct json *config)
{
	json_unref(config);
	api_fail(call, API_NOT_FOUND, "%s has no disk at LUN %lld; see 'viaduct vm show'",
		json_get_string(call->message, "vm", ""),
		(long long)json_get_int(call->message, "lun", -1));
}

/* {vm, lun} */
void api_disk_remove(struct api_call *call)
{
	int64_t lun = json_get_int(call->message, "lun", -1);
	struct json *config, *left, *message;
	const struct json *disks;
	struct vm_view view;
	size_t at;

	if (!begin(call, &view, &config))
		return;
	disks = json_get(config, "disks");
	if (!find_lun(disks, lun, &at)) {
		no_such_lun(call, config);
		return;
	}
	left = json_array_new();
	for (size_t i = 0; i < json_length(disks); i++) {
		if (i != at)
			json_append(left, json_ref(json_at(disks, i)));
	}
	json_set(config, "disks", left);
	message = json_object_new();
	json_set_int(message, "lun", lun);
	change(call, &view, config, "disk.detach", message, -1);
}

/* {vm, lun, path (absent: eject), force} */
void api_disk_medium(struct api_call *call)
{
	const char *path = json_get_string(call->message, "path", NULL);
	struct json *config, *disk, *message;
	char error[256] = "the drive is no DVD drive: a disk is removed and added";
	struct vm_view view;
	int fd = -1, r = 0;
	size_t at;

	if (!begin(call, &view, &config))
		return;
	disk = find_lun(json_get(config, "disks"), json_get_int(call->message, "lun", -1), &at);
	if (!disk) {
		no_such_lun(call, config);
		return;
	}
	if (strcmp(json_get_string(disk, "kind", "disk"), "dvd") != 0)
		r = -EINVAL;
	json_delete(disk, "path");
	if (r == 0 && path) {
		json_set_string(disk, "path", path);
		r = vm_disk_open(disk, &fd, error, sizeof(error));
	}
	if (r < 0) {
		json_unref(config);
		api_fail(call, API_REFUSED, "%s", error);
		return;
	}
	message = vm_disk_message(disk);
	json_set_bool(message, "force", json_get_bool(call->message, "force", false));
	change(call, &view, config, "disk.medium", message, fd);
}

/* {vm, lun}: the file was enlarged. */
void api_disk_resized(struct api_call *call)
{
	struct vmproc *vp = api_running_vm(call);
	struct json *message;

	if (!vp)
		return;
	message = json_object_new();
	json_set_int(message, "lun", json_get_int(call->message, "lun", -1));
	api_pass_on(call, vp, "disk.resized", message, NULL, 0, CALL_TIMEOUT_NS);
}
