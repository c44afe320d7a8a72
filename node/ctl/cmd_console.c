/* SPDX-License-Identifier: MIT
 *
 * cmd_console.c - `vm console`: this terminal becomes the VM's serial port. One thread reads what
 * the guest prints, by long polls; the other sends what is typed. Both go through the node service,
 * so the VM may be anywhere, and a move only makes the screen stand still for a moment.
 */
#include "node/ctl/link.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/thread.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <termios.h>
#include <unistd.h>

#define TIMEOUT_MS     30000
#define POLL_MS        10000
#define RETRY_MS       300
#define MAX_RETRIES    50   /* a VM that is being moved comes back within that */
#define DEFAULT_ESCAPE 0x1d /* Ctrl-] */

struct console {
	const struct ctl_args *args;
	const char *vm;
	int end_fd; /* readable when the reader has ended */
	char stream[32];
	int64_t after;
	char why[200];
	bool stop; /* atomic */
};

static int ask(struct ctl_link *link, struct json *request, const char *vm, struct json **ret_reply)
{
	int r;

	json_set_string(request, "vm", vm);
	r = ctl_link_call(link, request, TIMEOUT_MS, ret_reply);
	json_unref(request);
	return r;
}

static void show(struct console *console, const struct json *reply)
{
	struct buf bytes = {0};

	if (base64_decode(json_get_string(reply, "data", ""), &bytes) == 0) {
		for (size_t at = 0; at < bytes.size_bytes;) {
			ssize_t n = write(STDOUT_FILENO, bytes.data + at, bytes.size_bytes - at);

			if (n <= 0)
				break;
			at += (size_t)n;
		}
	}
	buf_fini(&bytes);
	console->after = json_get_int(reply, "end", console->after);
	snprintf(console->stream, sizeof(console->stream), "%s",
		json_get_string(reply, "stream", ""));
}

static struct json *read_request(const struct console *console)
{
	struct json *request = ctl_request("vm.serial");

	json_set_bool(request, "raw", true);
	json_set_int(request, "after", console->after);
	json_set_int(request, "wait_ms", POLL_MS);
	if (console->stream[0])
		json_set_string(request, "stream", console->stream);
	return request;
}

static bool must_stop(struct console *console)
{
	return __atomic_load_n(&console->stop, __ATOMIC_ACQUIRE);
}

static void read_along(struct console *console, struct ctl_link *link)
{
	unsigned n_failures = 0;

	while (!must_stop(console)) {
		_cleanup_json_ struct json *reply = NULL;
		int r = ask(link, read_request(console), console->vm, &reply);

		if (r == 0 && json_get_bool(reply, "ok", false)) {
			n_failures = 0;
			show(console, reply);
			continue;
		}
		snprintf(console->why, sizeof(console->why), "%s",
			r < 0 ? strerror(-r) : json_get_string(reply, "error", "refused"));
		/* On its way from one node to the other it is nowhere. */
		if (r < 0 || strcmp(json_get_string(reply, "code", ""), "not-found") == 0 ||
			++n_failures > MAX_RETRIES)
			return;
		poll(NULL, 0, RETRY_MS);
	}
}

static void reader(void *data)
{
	struct console *console = data;
	struct ctl_link *link = NULL;
	uint64_t one = 1;

	if (ctl_link_open(console->args, &link, console->why, sizeof(console->why)) == EXIT_OK)
		read_along(console, link);
	ctl_link_close(link);
	if (write(console->end_fd, &one, sizeof(one)) < 0)
		abort();
}

static int send_bytes(
	struct console *console, struct ctl_link *link, const uint8_t *bytes, size_t size_bytes)
{
	_cleanup_free_ char *text = base64_encode(bytes, size_bytes);
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("vm.serial");

	json_set_string(request, "data", text ? text : "");
	return ask(link, request, console->vm, &reply);
}

/* Until the escape key is pressed, the input ends, or the reader does. */
static int type_along(struct console *console, struct ctl_link *link, uint8_t escape)
{
	struct pollfd fds[] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = console->end_fd, .events = POLLIN},
	};

	for (;;) {
		uint8_t bytes[512];
		const uint8_t *at;
		ssize_t n;
		int r;

		if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents)
			return -ECONNRESET;
		if (!fds[0].revents)
			continue;
		n = read(STDIN_FILENO, bytes, sizeof(bytes));
		if (n <= 0)
			return 0;
		at = memchr(bytes, escape, (size_t)n);
		if (at)
			n = at - bytes;
		r = n > 0 ? send_bytes(console, link, bytes, (size_t)n) : 0;
		if (at || r < 0)
			return r;
	}
}

/* "^]", "^A" or one character. */
static int parse_escape(const char *text)
{
	if (text[0] == '^' && text[1] && !text[2])
		return text[1] & 0x1f;
	return text[0] && !text[1] ? (uint8_t)text[0] : -EINVAL;
}

static int run(struct console *console, uint8_t escape)
{
	bool is_terminal = isatty(STDIN_FILENO);
	struct termios before, raw;
	struct ctl_link *link = NULL;
	struct thread thread;
	char error[512];
	int r = ctl_link_open(console->args, &link, error, sizeof(error));

	if (r != EXIT_OK)
		return ctl_fail((enum exit_code)r, "%s", error);
	if (is_terminal && tcgetattr(STDIN_FILENO, &before) == 0) {
		raw = before;
		cfmakeraw(&raw);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	r = thread_start(&thread, "console", reader, console);
	if (r == 0) {
		r = type_along(console, link, escape);
		__atomic_store_n(&console->stop, true, __ATOMIC_RELEASE);
	}
	if (is_terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	ctl_link_close(link);
	return r;
}

int cmd_vm_console(const struct ctl_args *args)
{
	/* The reader may still be in a long poll when the command ends: it is not waited for. */
	static struct console console;
	const char *text = ctl_option(args, "escape");
	int escape = text ? parse_escape(text) : DEFAULT_ESCAPE;
	int r;

	if (escape < 0)
		return ctl_fail(EXIT_USAGE, "--escape %s is no key; say ^] or ^A", text);
	console.args = args;
	console.vm = args->positional[0];
	console.end_fd = eventfd(0, EFD_CLOEXEC);
	if (console.end_fd < 0)
		return ctl_fail(EXIT_FAILED, "%s", strerror(errno));
	if (isatty(STDIN_FILENO))
		fprintf(stderr, "Serial port of %s; %s leaves.\n", args->positional[0],
			text ? text : "Ctrl-]");
	r = run(&console, (uint8_t)escape);
	if (r == -ECONNRESET)
		return ctl_fail(EXIT_CONFLICT, "%s", console.why);
	if (r > 0)
		return r;
	return r < 0 ? ctl_fail(EXIT_FAILED, "%s", strerror(-r)) : EXIT_OK;
}
