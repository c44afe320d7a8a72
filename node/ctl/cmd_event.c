/* SPDX-License-Identifier: MIT
 *
 * cmd_event.c - `event list`: what happened, of all nodes, and with --follow what happens.
 */
#include "node/ctl/ctl.h"

#include "base/clock.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TIMEOUT_MS     15000
#define FOLLOW_WAIT_MS 10000
#define FOLLOW_MS      30000
#define TRY_AGAIN_MS   1000
#define DEFAULT_LIMIT  "100"

static void format_time(int64_t time_ms, char text[32])
{
	time_t value = (time_t)(time_ms / 1000);
	struct tm tm;

	if (!localtime_r(&value, &tm) || !strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm))
		strcpy(text, "?");
}

/* "1h", or a time of the day, or a date with one: in seconds before now. */
static int parse_since(const char *text, int64_t *ret_s)
{
	static const char *const formats[] = {
		"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%H:%M:%S", "%H:%M"};
	time_t now = time(NULL);

	if (ctl_parse_duration(text, ret_s) == 0)
		return *ret_s > 0 ? 0 : -EINVAL;
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		struct tm tm;
		const char *end;
		time_t then;

		localtime_r(&now, &tm);
		tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
		end = strptime(text, formats[i], &tm);
		if (!end || *end)
			continue;
		tm.tm_isdst = -1;
		then = mktime(&tm);
		if (then >= now)
			return -EINVAL;
		*ret_s = (int64_t)(now - then);
		return 0;
	}
	return -EINVAL;
}

/* Common to all rounds. EXIT_OK or an exit code. */
static int take_filters(const struct ctl_args *args, struct json *request)
{
	const char *since = ctl_option(args, "since"), *level = ctl_option(args, "level");
	const char *limit = ctl_option(args, "limit");
	int64_t since_s = 0, n;

	if (since && parse_since(since, &since_s) < 0)
		return ctl_fail(EXIT_USAGE,
			"--since %s is no time that has been; say 1h, 2d, 14:30 or '2026-01-31 "
			"14:30'",
			since);
	if (ctl_parse_int(limit ? limit : DEFAULT_LIMIT, &n) < 0)
		return ctl_fail(EXIT_USAGE, "--limit %s is no number", limit);
	json_set_int(request, "limit", n);
	if (since_s)
		json_set_int(request, "since_s", since_s);
	if (level)
		json_set_string(request, "level", level);
	if (ctl_option(args, "object"))
		json_set_string(request, "object", ctl_option(args, "object"));
	if (ctl_option(args, "audit"))
		json_set_string(request, "which", "audit");
	else if (ctl_option(args, "all"))
		json_set_string(request, "which", "all");
	return EXIT_OK;
}

/* ---- as a table ---- */

static void print_table(const struct json *events, bool audit)
{
	static const char *const headings[] = {"Time", "Level", "Node", "Object", "Event", "What"};
	static const char *const audit_headings[] = {
		"Time", "Who", "From", "Object", "Request", "Outcome"};
	static const char *const keys[] = {"level", "node", "object", "id", "text"};
	static const char *const audit_keys[] = {"who", "from", "object", "request", "outcome"};
	struct table *table = table_new(audit ? audit_headings : headings, ARRAY_LEN(headings));

	for (size_t i = 0; i < json_length(events); i++) {
		const struct json *event = json_at(events, i);
		char when[32];

		format_time(json_get_int(event, "time_ms", 0), when);
		table_cell(table, "%s", when);
		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			table_cell(table, "%s",
				json_get_string(event, audit ? audit_keys[k] : keys[k], ""));
	}
	table_print(table);
}

static void name_missing(const struct json *missing)
{
	for (size_t i = 0; i < json_length(missing); i++)
		fprintf(stderr, "viaduct: without the events of %s: it %s\n",
			json_get_string(json_at(missing, i), "node", "?"),
			json_get_string(json_at(missing, i), "why", "does not answer"));
}

/* ---- following ---- */

static void print_line(const struct json *event, bool as_json)
{
	char when[32];

	if (as_json) {
		_cleanup_free_ char *text = json_dump(event, 0);

		puts(text ? text : "{}");
		return;
	}
	format_time(json_get_int(event, "time_ms", 0), when);
	printf("%s  %-7s  %-8s  %s: %s (%s)\n", when, json_get_string(event, "level", ""),
		json_get_string(event, "node", ""), json_get_string(event, "object", ""),
		json_get_string(event, "text", ""), json_get_string(event, "id", ""));
}

static bool is_missing(const struct json *missing, const char *node)
{
	for (size_t i = 0; i < json_length(missing); i++) {
		if (strcmp(json_get_string(json_at(missing, i), "node", ""), node) == 0)
			return true;
	}
	return false;
}

/* Who went away and who came back since the last round. */
static void tell_changes(const struct json *before, const struct json *now)
{
	for (size_t i = 0; i < json_length(now); i++) {
		const char *node = json_get_string(json_at(now, i), "node", "");

		if (!is_missing(before, node))
			fprintf(stderr, "viaduct: %s %s; going on without it until it answers\n",
				node, json_get_string(json_at(now, i), "why", "does not answer"));
	}
	for (size_t i = 0; i < json_length(before); i++) {
		const char *node = json_get_string(json_at(before, i), "node", "");

		if (!is_missing(now, node))
			fprintf(stderr, "viaduct: %s answers again\n", node);
	}
}

struct follow {
	const struct ctl_args *args;
	uint64_t begin_ns;
	struct json *tokens, *missing;
	bool away; /* the service that is asked */
};

static struct json *next_request(struct follow *f)
{
	struct json *request = ctl_request("event.list");

	/* They were checked in the first round. */
	(void)take_filters(f->args, request);
	json_set_int(request, "wait_ms", FOLLOW_WAIT_MS);
	/* Of a node that could not be asked yet: what has happened since. */
	json_set_int(
		request, "since_s", (int64_t)((clock_mono_ns() - f->begin_ns) / NS_PER_SEC) + 1);
	json_set(request, "tokens", json_ref(f->tokens));
	json_set(request, "missing", json_ref(f->missing));
	return request;
}

static void take_reply(struct follow *f, const struct json *reply)
{
	const struct json *events = json_get(reply, "events");

	for (size_t i = 0; i < json_length(events); i++)
		print_line(json_at(events, i), f->args->json);
	fflush(stdout);
	tell_changes(f->missing, json_get(reply, "missing"));
	json_unref(f->tokens);
	json_unref(f->missing);
	f->tokens = json_copy(json_get(reply, "tokens"));
	f->missing = json_copy(json_get(reply, "missing"));
}

/* Until Ctrl-C, or the reader of the output is gone. A service that goes away comes back. */
static int follow(struct follow *f)
{
	while (!ferror(stdout)) {
		_cleanup_json_ struct json *reply = NULL;
		char error[1024];
		int r = ctl_send(f->args, next_request(f), FOLLOW_MS, &reply, error, sizeof(error));

		if (r == EXIT_OK) {
			if (f->away)
				fprintf(stderr, "viaduct: going on\n");
			f->away = false;
			take_reply(f, reply);
			continue;
		}
		if (r != EXIT_NO_DAEMON && r != EXIT_FAILED && r != EXIT_UNREACHABLE)
			return ctl_fail((enum exit_code)r, "%s", error);
		if (!f->away)
			fprintf(stderr, "viaduct: %s; trying again until it answers\n", error);
		f->away = true;
		poll(NULL, 0, TRY_AGAIN_MS);
	}
	return EXIT_OK;
}

int cmd_event_list(const struct ctl_args *args)
{
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("event.list");
	struct follow f = {.args = args, .begin_ns = clock_mono_ns()};
	bool is_following = ctl_option(args, "follow");
	int r = take_filters(args, request);

	if (r) {
		json_unref(request);
		return r;
	}
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	if (!is_following && args->json)
		return ctl_print_json(reply);
	if (!is_following) {
		print_table(json_get(reply, "events"), ctl_option(args, "audit"));
		name_missing(json_get(reply, "missing"));
		return EXIT_OK;
	}
	f.tokens = json_object_new();
	f.missing = json_array_new();
	take_reply(&f, reply);
	r = follow(&f);
	json_unref(f.tokens);
	json_unref(f.missing);
	return r;
}
