/* SPDX-License-Identifier: MIT */
#include "node/ctl/ctl.h"

#include "node/ctl/link.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *code;
	enum exit_code exit_code;
} exit_codes[] = {
	{"failed", EXIT_FAILED},
	{"usage", EXIT_USAGE},
	{"not-found", EXIT_NOT_FOUND},
	{"no-quorum", EXIT_NO_QUORUM},
	{"full", EXIT_FULL},
	{"conflict", EXIT_CONFLICT},
	{"refused", EXIT_REFUSED},
	{"cancelled", EXIT_CANCELLED},
	{"unreachable", EXIT_UNREACHABLE},
	{"moved", EXIT_CONFLICT},
};

int ctl_exit_code(const char *code)
{
	for (size_t i = 0; i < ARRAY_LEN(exit_codes); i++) {
		if (strcmp(exit_codes[i].code, code) == 0)
			return (int)exit_codes[i].exit_code;
	}
	return EXIT_FAILED;
}

int ctl_fail(enum exit_code code, const char *format, ...)
{
	va_list args;

	fputs("viaduct: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("\n", stderr);
	return (int)code;
}

struct json *ctl_request(const char *op)
{
	struct json *request = json_object_new();

	json_set_string(request, "op", op);
	return request;
}

/* One that is dear to make is kept for the next request. */
static struct ctl_link *link_kept;

static int transport_failed(int error, char *text, size_t size_bytes)
{
	snprintf(text, size_bytes, "%s",
		error == -ECONNRESET  ? "viaductd went away while it was asked"
		: error == -ETIMEDOUT ? "viaductd did not answer in time"
				      : strerror(-error));
	/* Whatever may still come belongs to a request that nobody waits for. */
	ctl_link_close(take_ptr(link_kept));
	return error == -ECONNRESET ? EXIT_NO_DAEMON : EXIT_FAILED;
}

int ctl_send(const struct ctl_args *args, struct json *request, unsigned timeout_ms,
	struct json **ret_reply, char *error, size_t size_bytes)
{
	_cleanup_json_ struct json *sent = request;
	const char *node = ctl_option(args, "node");
	struct json *reply = NULL;
	int r;

	if (node)
		json_set_string(request, "node", node);
	if (!ctl_link_is_kept(link_kept)) {
		ctl_link_close(take_ptr(link_kept));
		r = ctl_link_open(args, &link_kept, error, size_bytes);
		if (r != EXIT_OK)
			return r;
	}
	r = ctl_link_call(link_kept, request, timeout_ms, &reply);
	if (r < 0)
		return transport_failed(r, error, size_bytes);
	if (json_get_bool(reply, "ok", false)) {
		*ret_reply = reply;
		return EXIT_OK;
	}
	snprintf(error, size_bytes, "%s",
		json_get_string(reply, "error", "viaductd refused without a reason"));
	r = ctl_exit_code(json_get_string(reply, "code", ""));
	json_unref(reply);
	return r;
}

int ctl_call(const struct ctl_args *args, struct json *request, unsigned timeout_ms,
	struct json **ret_reply)
{
	char error[1024];
	int r = ctl_send(args, request, timeout_ms, ret_reply, error, sizeof(error));

	return r == EXIT_OK ? r : ctl_fail((enum exit_code)r, "%s", error);
}

int ctl_ask(const struct ctl_args *args, struct json *request, int r, unsigned timeout_ms)
{
	_cleanup_json_ struct json *reply = NULL;

	if (r != EXIT_OK) {
		json_unref(request);
		return r;
	}
	r = ctl_call(args, request, timeout_ms, &reply);
	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	if (json_get_string(reply, "note", NULL))
		puts(json_get_string(reply, "note", NULL));
	return EXIT_OK;
}

int ctl_parse_size(const char *text, uint64_t *ret_bytes)
{
	char *end;
	unsigned long long v;
	unsigned shift = 0;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (end == text || text[0] == '-' || errno)
		return -EINVAL;
	if (*end == 'K' || *end == 'k')
		shift = 10;
	else if (*end == 'M' || *end == 'm')
		shift = 20;
	else if (*end == 'G' || *end == 'g')
		shift = 30;
	else if (*end)
		return -EINVAL;
	if (shift && end[1])
		return -EINVAL;
	if (v > UINT64_MAX >> shift)
		return -EINVAL;
	*ret_bytes = (uint64_t)v << shift;
	return 0;
}

int ctl_parse_duration(const char *text, int64_t *ret_s)
{
	static const struct {
		char letter;
		int64_t s;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};
	char *end;
	long long v;

	errno = 0;
	v = strtoll(text, &end, 10);
	if (end == text || v < 0 || v > INT32_MAX || errno || !*end || end[1])
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (units[i].letter == *end) {
			*ret_s = v * units[i].s;
			return 0;
		}
	}
	return -EINVAL;
}

int ctl_set_size(const struct ctl_args *args, struct json *request, const char *option,
	const char *key, const char *fallback)
{
	const char *text = ctl_option(args, option);
	uint64_t bytes;

	if (!text)
		text = fallback;
	if (!text)
		return EXIT_OK;
	if (ctl_parse_size(text, &bytes) < 0)
		return ctl_fail(EXIT_USAGE, "--%s %s is no size; say 128M or 2G", option, text);
	json_set_int(request, key, (int64_t)bytes);
	return EXIT_OK;
}

int ctl_print_json(const struct json *j)
{
	_cleanup_free_ char *text = json_dump(j, 2);

	if (!text)
		return ctl_fail(EXIT_FAILED, "out of memory");
	puts(text);
	return EXIT_OK;
}
