/* SPDX-License-Identifier: MIT
 *
 * api_guest.c - requests that a running VM's own process answers: its serial port, its screen and
 * keyboard, its integration services.
 */
#include "node/svc/svc.h"

#include "base/base64.h"
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define CALL_TIMEOUT_NS    (10 * NS_PER_SEC)
#define GUEST_TIMEOUT_NS   (60 * NS_PER_SEC) /* the guest itself has to do something */
#define SERIAL_MAX_WAIT_MS 20000
#define PICTURE_MAX_BYTES  (16U << 20)
#define PICTURE_PART_BYTES (512U << 10) /* what fits into one answer as base64 */

struct vmproc *api_running_vm(struct api_call *call)
{
	const char *name = json_get_string(call->message, "vm", "");
	struct vmproc *vp;
	struct vm_view v;

	if (!api_need_vm(call, name, &v) || !api_at_owner(call, name, &v))
		return NULL;
	vp = vmproc_find(call->svc, name);
	if (!vp || !vp->chan || vp->in) {
		api_fail(call, API_CONFLICT, "%s does not run", name);
		return NULL;
	}
	if (vp->quick || vp->state == VMPROC_PREPARING) {
		api_fail(call, API_CONFLICT, "%s is %s; try again when that is over", name,
			vp->quick ? "being moved" : "starting");
		return NULL;
	}
	return vp;
}

static void on_passed_on(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct api_call *call = data;
	struct json *result;

	if (error < 0) {
		api_fail(call, API_FAILED, "%s: %s", json_get_string(call->message, "vm", ""),
			json_get_string(reply, "error", strerror(-error)));
		return;
	}
	result = json_copy(reply);
	json_delete(result, "id");
	api_reply(call, result);
}

void api_pass_on(struct api_call *call, struct vmproc *vp, const char *op, struct json *message,
	const int *fds, size_t n_fds, uint64_t timeout_ns)
{
	int r = chan_call(vp->chan, op, message, fds, n_fds, timeout_ns, on_passed_on, call);

	if (r < 0)
		on_passed_on(r, NULL, NULL, 0, call);
	else
		list_append(&vp->calls, &call->link);
}

/* ---- serial ---- */

static void set_bytes(
	const struct api_call *call, struct json *result, const uint8_t *bytes, size_t size_bytes)
{
	bool raw = json_get_bool(call->message, "raw", false);
	_cleanup_free_ char *text =
		raw ? base64_encode(bytes, size_bytes) : console_text(bytes, size_bytes);

	json_set_string(result, raw ? "data" : "text", text ? text : "");
}

static void answer_serial(struct api_call *call)
{
	struct vmproc *vp = vmproc_find(call->svc, json_get_string(call->message, "vm", ""));
	struct json *result;
	const uint8_t *bytes;
	size_t size_bytes;
	uint64_t from;

	if (!vp) {
		api_fail(call, API_CONFLICT, "the VM does not run here any more");
		return;
	}
	bytes = console_since(&vp->console, call->after, &from, &size_bytes);
	result = json_object_new();
	set_bytes(call, result, bytes, size_bytes);
	json_set_int(result, "end", (int64_t)vp->console.end);
	json_set_string(result, "stream", vp->console.stream);
	api_reply(call, result);
}

static void on_sent(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct api_call *call = data;
	struct json *result;

	if (error == -EAGAIN) {
		api_again(call);
		return;
	}
	if (error < 0) {
		api_fail(call, API_FAILED, "the guest does not take input: %s",
			json_get_string(reply, "error", strerror(-error)));
		return;
	}
	result = json_object_new();
	json_set_int(result, "end", (int64_t)call->after);
	api_reply(call, result);
}

static void send_serial(struct api_call *call, struct vmproc *vp)
{
	struct json *message = json_object_new();
	const char *data = json_get_string(call->message, "data", NULL);

	call->after = vp->console.end;
	if (data)
		json_set_string(message, "data", data);
	else
		json_set_string(message, "text", json_get_string(call->message, "send", ""));
	if (chan_call(vp->chan, "vm.serial", message, NULL, 0, CALL_TIMEOUT_NS, on_sent, call) < 0)
		api_fail(call, API_FAILED, "%s cannot be reached", vp->name);
	else
		list_append(&vp->calls, &call->link);
}

/* The VM does not run: its log is all there is. */
static void answer_from_log(struct api_call *call, const char *name)
{
	struct buf bytes = {0};
	struct json *result;
	int r = console_log_tail(call->svc->options.log_dir, name, &bytes);

	if (r < 0) {
		api_fail(call, API_CONFLICT, "%s does not run, and has no log here: %s", name,
			strerror(-r));
	} else {
		result = json_object_new();
		set_bytes(call, result, bytes.data, bytes.size_bytes);
		json_set_bool(result, "from_log", true);
		api_reply(call, result);
	}
	buf_fini(&bytes);
}

/* {vm, send: TEXT | data: BASE64} types; {vm, after: N, stream, wait_ms, raw} reads what came since
 * byte N of that stream. */
void api_vm_serial(struct api_call *call)
{
	const struct json *m = call->message;
	const char *name = json_get_string(m, "vm", "");
	bool types = json_get(m, "send") || json_get(m, "data");
	int64_t wait_ms = json_get_int(m, "wait_ms", 0);
	struct vmproc *vp;
	struct vm_view v;

	if (!api_need_vm(call, name, &v) || !api_at_owner(call, name, &v))
		return;
	vp = vmproc_find(call->svc, name);
	if (!vp && !types && wait_ms <= 0) {
		answer_from_log(call, name);
		return;
	}
	if (!vp || (types && (!vp->chan || vp->state == VMPROC_PREPARING))) {
		api_fail(call, API_CONFLICT, "%s does not run", name);
		return;
	}
	if (types) {
		send_serial(call, vp);
		return;
	}
	call->after = (uint64_t)json_get_int(m, "after", 0);
	if (strcmp(json_get_string(m, "stream", vp->console.stream), vp->console.stream) != 0)
		call->after = 0;
	if (vp->console.end > call->after || wait_ms <= 0)
		answer_serial(call);
	else
		api_wait(call, &vp->console.waiters, MIN(wait_ms, (int64_t)SERIAL_MAX_WAIT_MS),
			answer_serial);
}

/* ---- at the machine ---- */

void api_vm_type(struct api_call *call)
{
	struct vmproc *vp = api_running_vm(call);
	struct json *message;

	if (!vp)
		return;
	message = json_object_new();
	json_set_string(message, "text", json_get_string(call->message, "text", ""));
	api_pass_on(call, vp, "vm.type", message, NULL, 0, CALL_TIMEOUT_NS);
}

struct picture {
	struct api_call *call;
	int fd;
};

static void on_picture(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct picture *picture = data;
	struct api_call *call = picture->call;
	int64_t size = json_get_int(reply, "size_bytes", 0);
	int64_t from = json_get_int(call->message, "offset", 0);
	_cleanup_close_ int fd = picture->fd;
	_cleanup_free_ uint8_t *part = NULL;
	_cleanup_free_ char *text = NULL;
	struct json *result;
	ssize_t n = 0;

	free(picture);
	part = malloc(PICTURE_PART_BYTES);
	if (error == 0 && part && from >= 0 && from <= size && size <= PICTURE_MAX_BYTES)
		n = pread(fd, part, MIN((size_t)(size - from), (size_t)PICTURE_PART_BYTES), from);
	if (error < 0 || !part || n < 0) {
		api_fail(call, API_FAILED, "%s: %s", json_get_string(call->message, "vm", ""),
			json_get_string(reply, "error", strerror(error < 0 ? -error : EIO)));
		return;
	}
	text = base64_encode(part, (size_t)n);
	result = json_object_new();
	json_set_string(result, "png", text ? text : "");
	json_set_int(result, "size_bytes", size);
	api_reply(call, result);
}

/* {vm}: the picture as PNG, base64. */
void api_vm_screenshot(struct api_call *call)
{
	struct vmproc *vp = api_running_vm(call);
	struct picture *picture;
	int r;

	if (!vp)
		return;
	picture = calloc(1, sizeof(*picture));
	if (!picture) {
		api_fail(call, API_FAILED, "out of memory");
		return;
	}
	picture->call = call;
	picture->fd = memfd_create("picture", MFD_CLOEXEC);
	r = picture->fd < 0 ? -errno
			    : chan_call(vp->chan, "vm.screenshot", NULL, &picture->fd, 1,
				      CALL_TIMEOUT_NS, on_picture, picture);
	if (r < 0)
		on_picture(r, NULL, NULL, 0, picture);
}

/* ---- integration services ---- */

/* {vm, power: "off" | "reboot" | "hibernate", force, reason}: the guest agreed, or did not. */
void api_vm_shutdown(struct api_call *call)
{
	struct vmproc *vp = api_running_vm(call);
	struct json *message;

	if (!vp)
		return;
	message = json_object_new();
	json_set_string(message, "power", json_get_string(call->message, "power", "off"));
	json_set_bool(message, "force", json_get_bool(call->message, "force", false));
	json_set_string(message, "reason",
		json_get_string(call->message, "reason", "asked for by an administrator"));
	api_pass_on(call, vp, "vm.shutdown", message, NULL, 0, GUEST_TIMEOUT_NS);
}

void api_vm_item(struct api_call *call)
{
	struct vmproc *vp = api_running_vm(call);
	struct json *message;

	if (!vp)
		return;
	message = json_object_new();
	json_set_string(message, "key", json_get_string(call->message, "key", ""));
	if (json_get_string(call->message, "value", NULL))
		json_set_string(message, "value", json_get_string(call->message, "value", ""));
	api_pass_on(call, vp, "vm.item", message, NULL, 0, CALL_TIMEOUT_NS);
}

void api_vm_freeze(struct api_call *call)
{
	struct vmproc *vp = api_running_vm(call);
	struct json *message;

	if (!vp)
		return;
	message = json_object_new();
	json_set_int(message, "limit_ns",
		json_get_int(call->message, "limit_ms", 0) * (int64_t)NS_PER_MS);
	api_pass_on(call, vp, "vm.freeze", message, NULL, 0, GUEST_TIMEOUT_NS);
}

void api_vm_thaw(struct api_call *call)
{
	struct vmproc *vp = api_running_vm(call);

	if (vp)
		api_pass_on(call, vp, "vm.thaw", NULL, NULL, 0, GUEST_TIMEOUT_NS);
}

/* ---- memory ---- */

struct memory_change {
	struct api_call *call;
	struct json *config;
};

static void on_memory_written(int error, uint64_t version _unused_, void *data)
{
	struct memory_change *c = data;
	struct api_call *call = c->call;
	struct vmproc *vp = vmproc_find(call->svc, json_get_string(call->message, "vm", ""));

	if (error < 0) {
		api_fail_errno(call, error, "the VM's memory was not changed");
	} else if (!vp || !vp->chan || vp->in || vp->state == VMPROC_PREPARING) {
		api_reply(call, NULL);
	} else {
		struct json *message = json_object_new();

		json_unref(vp->config);
		vp->config = json_ref(c->config);
		json_set_int(message, "min_memory_bytes",
			json_get_int(c->config, "min_memory_bytes", 0));
		json_set_int(message, "max_memory_bytes",
			json_get_int(c->config, "max_memory_bytes", 0));
		json_set_int(
			message, "buffer_percent", json_get_int(c->config, "buffer_percent", 0));
		api_pass_on(call, vp, "vm.memory", message, NULL, 0, CALL_TIMEOUT_NS);
	}
	json_unref(c->config);
	free(c);
}

/* {vm, memory_bytes, min_memory_bytes, max_memory_bytes, buffer_percent}: what is absent stays. A
 * running VM's maximum cannot grow beyond what it was started with. */
void api_vm_memory(struct api_call *call)
{
	const struct json *m = call->message;
	const char *name = json_get_string(m, "vm", "");
	char key[SVC_NAME_MAX_LEN + 8], error[256];
	struct memory_change *c;
	struct json *config;
	int64_t start;
	struct vm_view v;
	int r;

	if (!api_needs_quorum(call) || !api_need_vm(call, name, &v) ||
		!api_at_owner(call, name, &v))
		return;
	config = json_copy(v.config);
	start = json_get_int(m, "memory_bytes", json_get_int(config, "memory_bytes", 0));
	r = vm_config_set_memory(config, start,
		json_get_int(
			m, "min_memory_bytes", json_get_int(config, "min_memory_bytes", start)),
		json_get_int(
			m, "max_memory_bytes", json_get_int(config, "max_memory_bytes", start)),
		error, sizeof(error));
	if (r < 0) {
		json_unref(config);
		api_fail(call, API_USAGE, "%s", error);
		return;
	}
	if (json_get(m, "buffer_percent"))
		json_set_int(config, "buffer_percent", json_get_int(m, "buffer_percent", 0));
	c = calloc(1, sizeof(*c));
	snprintf(key, sizeof(key), "vm/%s", name);
	if (c)
		*c = (struct memory_change){.call = call, .config = config};
	r = c ? cluster_cas(call->svc->cluster, key, v.config_version, json_ref(config),
			on_memory_written, c)
	      : -ENOMEM;
	if (r < 0) {
		api_fail_errno(call, r, "the VM's memory was not changed");
		json_unref(config);
		free(c);
	}
}
