/* SPDX-License-Identifier: MIT
 *
 * cmd_guest.c - what a person does with a running VM: shut it down, type, look, pause, save; its
 * memory, its integration services.
 */
#include "node/ctl/ctl.h"

#include "base/base64.h"
#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS       15000
#define GUEST_TIMEOUT_MS 70000  /* the guest itself has to do something */
#define SAVE_TIMEOUT_MS  620000 /* all its memory to a disk */
#define TYPE_RETRY_MS    50
#define TYPE_LIMIT_NS    (30 * NS_PER_SEC)

static int ask(const struct ctl_args *args, struct json *request, unsigned timeout_ms)
{
	_cleanup_json_ struct json *reply = NULL;
	int r;

	json_set_string(request, "vm", args->positional[0]);
	r = ctl_call(args, request, timeout_ms, &reply);
	return r ? r : args->json ? ctl_print_json(reply) : EXIT_OK;
}

/* ---- power ---- */

static int power(const struct ctl_args *args, const char *what)
{
	struct json *request = ctl_request("vm.shutdown");

	json_set_string(request, "power", what);
	json_set_bool(request, "force", ctl_option(args, "force") != NULL);
	if (ctl_option(args, "reason"))
		json_set_string(request, "reason", ctl_option(args, "reason"));
	return ask(args, request, GUEST_TIMEOUT_MS);
}

int cmd_vm_shutdown(const struct ctl_args *args)
{
	return power(args, "off");
}

int cmd_vm_restart(const struct ctl_args *args)
{
	return power(args, "reboot");
}

int cmd_vm_pause(const struct ctl_args *args)
{
	return ask(args, ctl_request("vm.pause"), TIMEOUT_MS);
}

int cmd_vm_resume(const struct ctl_args *args)
{
	return ask(args, ctl_request("vm.resume"), TIMEOUT_MS);
}

int cmd_vm_save(const struct ctl_args *args)
{
	struct json *request = ctl_request("vm.save");

	if (ctl_option(args, "volume"))
		json_set_string(request, "volume", ctl_option(args, "volume"));
	return ask(args, request, SAVE_TIMEOUT_MS);
}

int cmd_vm_discard(const struct ctl_args *args)
{
	return ask(args, ctl_request("vm.discard"), TIMEOUT_MS);
}

/* ---- keyboard and screen ---- */

/* The guest takes keys at its own pace: what did not go in is sent again. */
int cmd_vm_type(const struct ctl_args *args)
{
	_cleanup_free_ char *text = NULL;
	uint64_t end_ns = clock_mono_ns() + TYPE_LIMIT_NS;
	size_t at = 0, len;

	if (asprintf(&text, "%s%s", args->positional[1], ctl_option(args, "no-enter") ? "" : "\n") <
		0) {
		text = NULL;
		return ctl_fail(EXIT_FAILED, "out of memory");
	}
	len = strlen(text);
	while (at < len) {
		_cleanup_json_ struct json *reply = NULL;
		struct json *request = ctl_request("vm.type");
		int r;

		json_set_string(request, "vm", args->positional[0]);
		json_set_string(request, "text", text + at);
		r = ctl_call(args, request, TIMEOUT_MS, &reply);
		if (r)
			return r;
		at += (size_t)json_get_int(reply, "typed", 0);
		if (at < len && clock_mono_ns() > end_ns)
			return ctl_fail(EXIT_FAILED, "the guest does not take keys any more");
		if (at < len)
			usleep(TYPE_RETRY_MS * 1000);
	}
	return EXIT_OK;
}

static int fetch_picture(const struct ctl_args *args, struct buf *png)
{
	int64_t size;

	do {
		_cleanup_json_ struct json *reply = NULL;
		struct json *request = ctl_request("vm.screenshot");
		int r;

		json_set_string(request, "vm", args->positional[0]);
		json_set_int(request, "offset", (int64_t)png->size_bytes);
		r = ctl_call(args, request, TIMEOUT_MS, &reply);
		if (r)
			return r;
		size = json_get_int(reply, "size_bytes", 0);
		if (!json_get_string(reply, "png", "")[0] ||
			base64_decode(json_get_string(reply, "png", ""), png) < 0)
			return ctl_fail(EXIT_FAILED, "the picture changed while it was fetched");
	} while ((int64_t)png->size_bytes < size);
	return EXIT_OK;
}

int cmd_vm_screenshot(const struct ctl_args *args)
{
	const char *path = args->positional[1];
	struct buf png = {0};
	int r = fetch_picture(args, &png);

	if (r == EXIT_OK) {
		FILE *file = fopen(path, "wbe");
		bool bad = !file || fwrite(png.data, 1, png.size_bytes, file) != png.size_bytes;

		if ((file && fclose(file) != 0) || bad)
			r = ctl_fail(
				EXIT_FAILED, "%s cannot be written: %s", path, strerror(errno));
	}
	buf_fini(&png);
	return r;
}

/* ---- memory and integration services ---- */

int cmd_vm_memory(const struct ctl_args *args)
{
	struct json *request = ctl_request("vm.memory");
	const char *buffer = ctl_option(args, "buffer");
	int r = ctl_set_size(args, request, "start", "memory_bytes", NULL);

	if (r == EXIT_OK)
		r = ctl_set_size(args, request, "min", "min_memory_bytes", NULL);
	if (r == EXIT_OK)
		r = ctl_set_size(args, request, "max", "max_memory_bytes", NULL);
	if (r != EXIT_OK) {
		json_unref(request);
		return r;
	}
	if (buffer)
		json_set_int(request, "buffer_percent", strtoll(buffer, NULL, 10));
	return ask(args, request, TIMEOUT_MS);
}

int cmd_vm_item(const struct ctl_args *args)
{
	struct json *request = ctl_request("vm.item");

	json_set_string(request, "key", args->positional[1]);
	if (ctl_option(args, "value"))
		json_set_string(request, "value", ctl_option(args, "value"));
	return ask(args, request, TIMEOUT_MS);
}

int cmd_vm_freeze(const struct ctl_args *args)
{
	struct json *request = ctl_request("vm.freeze");
	const char *limit = ctl_option(args, "limit");

	if (limit)
		json_set_int(request, "limit_ms", strtoll(limit, NULL, 10) * 1000);
	return ask(args, request, GUEST_TIMEOUT_MS);
}

int cmd_vm_thaw(const struct ctl_args *args)
{
	return ask(args, ctl_request("vm.thaw"), GUEST_TIMEOUT_MS);
}
