/* SPDX-License-Identifier: MIT
 *
 * vm_guest.c - what is asked of the guest's integration services, what they say of themselves, and
 * what a person at the machine would do: type, look, connect a viewer.
 */
#include "node/vm/vm.h"

#include "base/clock.h"

#include <stdio.h>

/* ---- answers that come later ---- */

struct later {
	struct vm *vm;
	uint64_t id;
	int error;
};

/* NULL: the error says it itself. */
static const char *guest_error(int error)
{
	switch (error) {
	case -ENOTCONN:
		return "the guest's integration service for this is not there (yet)";
	case -EREMOTEIO:
		return "the guest refused";
	case -EBUSY:
		return "the guest is at it already";
	case -ETIMEDOUT:
		return "the guest does not answer";
	default:
		return NULL;
	}
}

static void answer(void *data)
{
	_cleanup_free_ struct later *later = data;

	chan_reply(
		later->vm->chan, later->id, later->error, guest_error(later->error), NULL, NULL, 0);
}

/* On a worker of the bus. */
static void on_done(int error, void *data)
{
	struct later *later = data;

	later->error = error;
	if (loop_wake(later->vm->loop, answer, later) < 0)
		abort(); /* the service would wait for ever */
}

static struct later *defer(struct vm *vm, struct vm_request *q)
{
	struct later *later = calloc(1, sizeof(*later));

	if (later) {
		later->vm = vm;
		later->id = q->id;
		q->deferred = true;
	}
	return later;
}

static int not_deferred(struct vm_request *q, struct later *later, int error)
{
	const char *text = guest_error(error);

	if (text)
		snprintf(q->error, sizeof(q->error), "%s", text);
	q->deferred = false;
	free(later);
	return error;
}

/* {power: "off" | "reboot" | "hibernate", force, reason} */
int vm_op_shutdown(struct vm *vm, struct vm_request *q)
{
	static const char *const names[] = {
		[IC_POWER_OFF] = "off",
		[IC_POWER_REBOOT] = "reboot",
		[IC_POWER_HIBERNATE] = "hibernate",
	};
	const char *name = json_get_string(q->message, "power", "off");
	struct later *later;
	int r;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(names[i], name) != 0)
			continue;
		later = defer(vm, q);
		if (!later)
			return -ENOMEM;
		r = ic_shutdown(vm->ic, (enum ic_power)i, json_get_bool(q->message, "force", false),
			json_get_string(q->message, "reason", ""), on_done, later);
		return r < 0 ? not_deferred(q, later, r) : 0;
	}
	return -EINVAL;
}

/* {limit_ns} */
int vm_op_freeze(struct vm *vm, struct vm_request *q)
{
	int64_t limit_ns = json_get_int(q->message, "limit_ns", 0);
	struct later *later;
	int r;

	if (limit_ns < 0)
		return -EINVAL;
	later = defer(vm, q);
	if (!later)
		return -ENOMEM;
	r = ic_vss_freeze(vm->ic, (uint64_t)limit_ns, on_done, later);
	return r < 0 ? not_deferred(q, later, r) : 0;
}

int vm_op_thaw(struct vm *vm, struct vm_request *q)
{
	struct later *later = defer(vm, q);
	int r;

	if (!later)
		return -ENOMEM;
	r = ic_vss_thaw(vm->ic, on_done, later);
	return r < 0 ? not_deferred(q, later, r) : 0;
}

/* {key, value}: hand an item to the guest; without value take it back. */
int vm_op_item(struct vm *vm, struct vm_request *q)
{
	const char *key = json_get_string(q->message, "key", NULL);

	return key ? ic_host_item(vm->ic, key, json_get_string(q->message, "value", NULL))
		   : -EINVAL;
}

/* {min_memory_bytes, max_memory_bytes, buffer_percent} or {target_bytes} */
int vm_op_memory(struct vm *vm, struct vm_request *q)
{
	int64_t target = json_get_int(q->message, "target_bytes", -1);
	int64_t min = json_get_int(q->message, "min_memory_bytes", 0);
	int64_t max = json_get_int(q->message, "max_memory_bytes", 0);
	int64_t buffer = json_get_int(q->message, "buffer_percent", 0);
	struct dynmem_limits limits = {
		.min_bytes = (uint64_t)min,
		.max_bytes = (uint64_t)max,
		.buffer_percent = (unsigned)buffer,
	};
	int r;

	if (target >= 0)
		return dynmem_set_target(vm->dynmem, (uint64_t)target);
	if (min <= 0 || max <= 0 || buffer < 0 || buffer > 200)
		return -EINVAL;
	r = dynmem_set_limits(vm->dynmem, &limits);
	if (r < 0)
		snprintf(q->error, sizeof(q->error),
			"a running VM cannot become larger than it was made for (%llu MiB); the "
			"new "
			"limits count from its next start on",
			(unsigned long long)(vm->spec.max_memory_bytes >> 20));
	return r;
}

/* ---- news for the service ---- */

struct heartbeat_news {
	struct vm *vm;
	enum ic_heartbeat state;
};

static void send_heartbeat(void *data)
{
	_cleanup_free_ struct heartbeat_news *news = data;
	struct json *message = json_object_new();

	json_set_string(message, "state", ic_heartbeat_name(news->state));
	chan_event(news->vm->chan, "vm.heartbeat", message, NULL, 0);
}

static void on_heartbeat(void *data, enum ic_heartbeat state)
{
	struct heartbeat_news *news = calloc(1, sizeof(*news));

	if (!news)
		return; /* the next change, or vm.info, will tell */
	news->vm = data;
	news->state = state;
	if (loop_wake(news->vm->loop, send_heartbeat, news) < 0)
		free(news);
}

const struct ic_ops vm_ic_ops = {.heartbeat = on_heartbeat};

/* ---- the guest learns of moves ---- */

#define ITEM_MIGRATION "ViaductMigration"
#define ITEM_AWAY      "ViaductLastAwayMilliseconds"

void vm_announce_move(struct vm *vm, const char *to)
{
	char text[128];

	snprintf(text, sizeof(text), "about to move to %.63s", to);
	(void)ic_host_item(vm->ic, ITEM_MIGRATION, text);
}

void vm_announce_stay(struct vm *vm)
{
	(void)ic_host_item(vm->ic, ITEM_MIGRATION, NULL);
}

void vm_announce_back(struct vm *vm)
{
	char text[32];

	pthread_mutex_lock(&vm->lock);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)(vm->away.last_ns / NS_PER_MS));
	pthread_mutex_unlock(&vm->lock);
	vm_announce_stay(vm);
	(void)ic_host_item(vm->ic, ITEM_AWAY, text);
}

/* ---- at the machine ---- */

/* {text}: replies {typed}, the bytes that went in. */
int vm_op_type(struct vm *vm, struct vm_request *q)
{
	const char *text = json_get_string(q->message, "text", NULL);
	ssize_t n;

	if (!text)
		return -EINVAL;
	if (!vm->keyboard)
		return -ENODEV;
	n = synthkbd_type(vm->keyboard, text, strlen(text));
	if (n == -ENOTCONN)
		snprintf(q->error, sizeof(q->error), "the guest has no keyboard driver (yet)");
	if (n < 0)
		return (int)n;
	q->reply = json_object_new();
	json_set_int(q->reply, "typed", n);
	return 0;
}

static int write_all(int fd, const struct buf *bytes)
{
	for (size_t at = 0; at < bytes->size_bytes;) {
		ssize_t n = pwrite(fd, bytes->data + at, bytes->size_bytes - at, (off_t)at);

		if (n < 0)
			return -errno;
		at += (size_t)n;
	}
	return 0;
}

/* The picture as PNG, written to the file that comes along. */
int vm_op_screenshot(struct vm *vm, struct vm_request *q)
{
	struct buf png = {0};
	int r;

	if (q->n_fds != 1)
		return -EINVAL;
	if (!vm->display)
		return -ENODEV;
	r = display_screenshot(vm->display, &png);
	if (r == -ENODATA)
		snprintf(q->error, sizeof(q->error), "the guest shows no picture (yet)");
	if (r == 0)
		r = write_all(q->fds[0], &png);
	if (r == 0) {
		q->reply = json_object_new();
		json_set_int(q->reply, "size_bytes", (int64_t)png.size_bytes);
	}
	buf_fini(&png);
	return r;
}

/* A connected socket: somebody's VNC viewer. */
int vm_op_viewer(struct vm *vm, struct vm_request *q)
{
	if (q->n_fds != 1)
		return -EINVAL;
	return vm->display ? display_add_client(vm->display, take_fd(&q->fds[0])) : -ENODEV;
}
