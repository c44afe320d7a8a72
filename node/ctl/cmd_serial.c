/* SPDX-License-Identifier: MIT
 *
 * cmd_serial.c - `vm serial`: the serial port for scripts.
 */
#include "node/ctl/ctl.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS     15000
#define SERIAL_WAIT_MS 1000

/* Does `line` begin with one of the alternatives in `until` ("ok|err")? */
static bool line_matches(const char *line, const char *until)
{
	while (*until) {
		size_t len = strcspn(until, "|");

		if (len && strncmp(line, until, len) == 0)
			return true;
		until += len + (until[len] == '|');
	}
	return false;
}

static int serial_call(const struct ctl_args *args, const char *send, int64_t after,
	int64_t wait_ms, struct json **ret_reply)
{
	struct json *request = ctl_request("vm.serial");

	json_set_string(request, "vm", args->positional[0]);
	if (send) {
		json_set_stringf(request, "send", "%s\n", send);
	} else {
		json_set_int(request, "after", after);
		json_set_int(request, "wait_ms", wait_ms);
	}
	return ctl_call(args, request, TIMEOUT_MS, ret_reply);
}

/* Print complete lines of `pending`; true when one matched. */
static bool print_lines(char *pending, const char *until)
{
	char *start = pending, *end;
	bool matched = false;

	while (!matched && (end = strchr(start, '\n'))) {
		*end = '\0';
		puts(start);
		matched = until && line_matches(start, until);
		start = end + 1;
	}
	memmove(pending, start, strlen(start) + 1);
	return matched;
}

static int serial_until(
	const struct ctl_args *args, const char *until, int64_t after, uint64_t end_ns)
{
	_cleanup_free_ char *pending = calloc(1, 1);

	while (clock_mono_ns() < end_ns) {
		_cleanup_json_ struct json *reply = NULL;
		const char *text;
		int r = serial_call(args, NULL, after, SERIAL_WAIT_MS, &reply);

		if (r)
			return r;
		text = json_get_string(reply, "text", "");
		after = json_get_int(reply, "end", after);
		pending = pending ? realloc(pending, strlen(pending) + strlen(text) + 1) : NULL;
		if (!pending)
			return ctl_fail(EXIT_FAILED, "out of memory");
		strcat(pending, text);
		if (print_lines(pending, until))
			return EXIT_OK;
		fflush(stdout);
	}
	return ctl_fail(EXIT_FAILED, "no line beginning with '%s' came in time", until);
}

int cmd_vm_serial(const struct ctl_args *args)
{
	const char *send = ctl_option(args, "send");
	const char *until = ctl_option(args, "until");
	const char *timeout = ctl_option(args, "timeout");
	uint64_t seconds = timeout ? strtoull(timeout, NULL, 10) : 10;
	int64_t after = 0;

	if (send) {
		_cleanup_json_ struct json *reply = NULL;
		int r = serial_call(args, send, 0, 0, &reply);

		if (r)
			return r;
		after = json_get_int(reply, "end", 0);
	}
	if (until)
		return serial_until(args, until, after, clock_mono_ns() + seconds * NS_PER_SEC);
	if (!send) {
		_cleanup_json_ struct json *reply = NULL;
		int r = serial_call(args, NULL, 0, 0, &reply);

		if (r)
			return r;
		fputs(json_get_string(reply, "text", ""), stdout);
	}
	return EXIT_OK;
}
