/* SPDX-License-Identifier: MIT
 *
 * api_events.c - reading events: of this node (event.read), and of all nodes, merged (event.list).
 *
 * Who follows the events waits at one node only, in event.list. That node hears of its own events
 * at once and asks the others twice a second while somebody waits: so a follower that went away
 * leaves nothing behind anywhere, and a node that comes back is simply asked again. The token says
 * for each node which file was read how far; a file that is another one is read from its beginning.
 */
#include "node/svc/events_impl.h"
#include "node/svc/gather.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define MAX_LIMIT       300 /* a reply has a megabyte, an event up to three thousand bytes */
#define DEFAULT_LIMIT   100
#define MIN_SHARE       4
#define MAX_WAIT_MS     20000
#define ASK_AGAIN_NS    (500 * NS_PER_MS)
#define NODE_TIMEOUT_NS (3 * NS_PER_SEC)
#define MAX_FOLLOWERS   32

static const char *const which_names[] = {
	[EVENTS_ALL] = "all",
	[EVENTS_WITHOUT_AUDIT] = "events",
	[EVENTS_AUDIT] = "audit",
};

/* ---- event.read: this node ---- */

static void on_rows(const char *file, uint64_t last, const struct json *rows, void *data)
{
	struct api_call *call = data;
	struct json *result = json_object_new();

	json_set_string(result, "file", file);
	json_set_int(result, "last", (int64_t)last);
	json_set(result, "events", json_ref((struct json *)rows));
	api_reply(call, result);
}

/* Whoever follows goes on behind what he has seen. With a node that was away at his start he begins
 * with what happened since then. */
static void apply_token(const struct json *token, struct events_query *q)
{
	q->forward = true;
	if (!json_is_object(token))
		return;
	q->since_ms = 0;
	q->after = (uint64_t)MAX(json_get_int(token, "after", 0), (int64_t)0);
	snprintf(q->file, sizeof(q->file), "%s", json_get_string(token, "file", ""));
}

/* NULL, or what is wrong with it. */
static const char *query_from_json(const struct json *m, struct events_query *q)
{
	const char *level = json_get_string(m, "level", "info");
	const char *which = json_get_string(m, "which", which_names[EVENTS_WITHOUT_AUDIT]);
	int64_t limit = json_get_int(m, "limit", DEFAULT_LIMIT);
	int64_t since_s = json_get_int(m, "since_s", 0);

	*q = (struct events_query){.which = ARRAY_LEN(which_names)};
	for (size_t i = 0; i < ARRAY_LEN(which_names); i++) {
		if (strcmp(which_names[i], which) == 0)
			q->which = (enum events_which)i;
	}
	if (event_level_from_name(level, &q->level) < 0)
		return "a level is info, warning or error";
	if (q->which == ARRAY_LEN(which_names))
		return "which events: events, audit or all";
	if (limit < 1 || limit > MAX_LIMIT)
		return "the limit is 1 to 300 events";
	if (since_s < 0)
		return "that time is still to come";
	q->limit = (unsigned)limit;
	if (since_s)
		q->since_ms =
			(int64_t)(clock_real_ns() / NS_PER_MS) - MIN(since_s, INT32_MAX) * 1000;
	snprintf(q->object, sizeof(q->object), "%s", json_get_string(m, "object", ""));
	return NULL;
}

void api_event_read(struct api_call *call)
{
	struct events_query query;
	const char *wrong = query_from_json(call->message, &query);

	if (!wrong && json_get(call->message, "tokens"))
		apply_token(json_get(json_get(call->message, "tokens"),
				    cluster_local_name(call->svc->cluster)),
			&query);
	if (wrong)
		api_fail(call, API_USAGE, "%s", wrong);
	else if (!call->svc->events || events_db_read(call->svc->events->db, &query, on_rows, call))
		api_fail(call, API_FAILED, "this node keeps no events");
}

/* ---- event.list: all nodes ---- */

struct follow {
	struct api_call *call;
	uint64_t deadline_ns;
	uint64_t timer;
	struct events_watch *watch;
};

static unsigned n_followers;

static void ask_all(struct follow *f);

static void end(struct follow *f, struct json *result)
{
	loop_timer_remove(f->call->svc->loop, f->timer);
	events_unwatch(f->watch);
	if (f->deadline_ns)
		n_followers--;
	if (result)
		api_reply(f->call, result);
	free(f);
}

struct placed {
	struct json *event;
	int64_t time_ms; /* never before that of the event before it on its node */
	size_t i;
};

static int by_time(const void *a, const void *b)
{
	const struct placed *left = a, *right = b;

	if (left->time_ms != right->time_ms)
		return left->time_ms < right->time_ms ? -1 : 1;
	return left->i < right->i ? -1 : left->i > right->i;
}

/* By time, each node's as they happened, whatever its clock did; with a limit the last ones. Takes
 * over `events`, in which each node's are together and in order. */
static struct json *merged(struct json *events, size_t limit)
{
	size_t n = json_length(events), first;
	struct placed *sorted = calloc(n + 1, sizeof(*sorted));
	struct json *result = json_array_new();
	const char *node = "";

	for (size_t i = 0; sorted && i < n; i++) {
		struct json *event = json_at(events, i);
		const char *its = json_get_string(event, "node", "");

		sorted[i] = (struct placed){event, json_get_int(event, "time_ms", 0), i};
		if (i && strcmp(its, node) == 0)
			sorted[i].time_ms = MAX(sorted[i].time_ms, sorted[i - 1].time_ms);
		node = its;
	}
	if (sorted)
		qsort(sorted, n, sizeof(*sorted), by_time);
	first = limit && n > limit ? n - limit : 0;
	for (size_t i = first; sorted && i < n; i++)
		json_append(result, json_ref(sorted[i].event));
	free(sorted);
	json_unref(events);
	return result;
}

/* Those of nodes that there are, and no more of them than a token has. */
static struct json *own_tokens(struct svc *svc, const struct json *message)
{
	const struct json *given = json_get(message, "tokens");
	struct json *tokens = json_object_new();
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));

	for (size_t i = 0; i < n; i++) {
		const struct json *token = json_get(given, nodes[i].name);
		struct json *copy;

		if (!json_is_object(token))
			continue;
		copy = json_object_new();
		json_set_stringf(
			copy, "file", "%.*s", EVENTS_FILE_LEN, json_get_string(token, "file", ""));
		json_set_int(copy, "after", json_get_int(token, "after", 0));
		json_set(tokens, nodes[i].name, copy);
	}
	return tokens;
}

static void take_answer(
	const struct json *reply, struct json *events, struct json *tokens, struct json *missing)
{
	const char *node = json_get_string(reply, "node", "");
	const struct json *answer = json_get(reply, "answer"), *rows = json_get(answer, "events");
	struct json *entry;

	if (!json_get_bool(answer, "ok", false)) {
		entry = json_object_new();
		json_set_string(entry, "node", node);
		json_set_string(entry, "why",
			json_get_string(reply, "error", json_get_string(answer, "error", "?")));
		json_append(missing, entry);
		return;
	}
	entry = json_object_new();
	json_set_string(entry, "file", json_get_string(answer, "file", ""));
	json_set_int(entry, "after", json_get_int(answer, "last", 0));
	json_set(tokens, node, entry);
	for (size_t i = 0; i < json_length(rows); i++) {
		struct json *row = json_copy(json_at(rows, i));

		json_set_string(row, "node", node);
		json_append(events, row);
	}
}

static void on_time(void *data)
{
	struct follow *f = data;

	f->timer = 0;
	events_unwatch(take_ptr(f->watch));
	ask_all(f);
}

static void on_own_event(void *data)
{
	struct follow *f = data;

	f->watch = NULL;
	loop_timer_remove(f->call->svc->loop, f->timer);
	f->timer = 0;
	ask_all(f);
}

static void on_answers(const struct json *replies, void *data)
{
	struct follow *f = data;
	const struct json *message = f->call->message;
	struct json *result = json_object_new();
	struct json *events = json_array_new(), *missing = json_array_new();
	/* Of a node that does not answer now, how far it was read stays known. */
	struct json *tokens = own_tokens(f->call->svc, message);

	for (size_t i = 0; i < json_length(replies); i++)
		take_answer(json_at(replies, i), events, tokens, missing);
	events = merged(events, json_get(message, "tokens")
					? 0
					: (size_t)json_get_int(message, "limit", DEFAULT_LIMIT));
	if (!json_length(events) && clock_mono_ns() < f->deadline_ns &&
		json_is_equal(missing, json_get(message, "missing")) &&
		loop_timer_add(f->call->svc->loop, ASK_AGAIN_NS, on_time, f, &f->timer) == 0) {
		(void)events_watch(f->call->svc, on_own_event, f, &f->watch);
		json_set(f->call->message, "tokens", tokens);
		json_unref(events);
		json_unref(missing);
		json_unref(result);
		return;
	}
	json_set(result, "events", events);
	json_set(result, "tokens", tokens);
	json_set(result, "missing", missing);
	end(f, result);
}

/* What each node is asked: all tokens are in it, and each takes its own. */
static struct json *request_for_all(struct svc *svc, const struct json *message)
{
	static const char *const keys[] = {"level", "which", "since_s", "object", "limit"};
	struct json *request = json_object_new();
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));

	json_set_string(request, "op", "event.read");
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (json_get(message, keys[i]))
			json_set(request, keys[i], json_copy(json_get(message, keys[i])));
	}
	if (json_get(message, "tokens")) {
		json_set(request, "tokens", own_tokens(svc, message));
		json_set_int(request, "limit",
			(int64_t)MAX((size_t)MAX_LIMIT / (n + 1), (size_t)MIN_SHARE));
	}
	return request;
}

static void ask_all(struct follow *f)
{
	struct api_call *call = f->call;
	const char *node = json_get_string(call->message, "node", NULL);
	int r;

	if (node && strcmp(node, "all") == 0)
		node = NULL;
	r = gather(call->svc, node, request_for_all(call->svc, call->message), NODE_TIMEOUT_NS,
		on_answers, f);
	if (r == 0)
		return;
	end(f, NULL);
	if (r == -ENOENT)
		api_fail(call, API_NOT_FOUND, "there is no node '%.63s'", node);
	else
		api_fail(call, API_FAILED, "out of memory");
}

void api_event_list(struct api_call *call)
{
	int64_t wait_ms = json_get_int(call->message, "wait_ms", 0);
	struct events_query query;
	const char *wrong = query_from_json(call->message, &query);
	struct follow *f = wrong ? NULL : calloc(1, sizeof(*f));

	if (wrong) {
		api_fail(call, API_USAGE, "%s", wrong);
		return;
	}
	if (!f || (wait_ms > 0 && n_followers == MAX_FOLLOWERS)) {
		free(f);
		api_fail(call, API_CONFLICT, "%u others follow the events at this node already",
			n_followers);
		return;
	}
	f->call = call;
	if (wait_ms > 0) {
		f->deadline_ns =
			clock_mono_ns() + (uint64_t)MIN(wait_ms, (int64_t)MAX_WAIT_MS) * NS_PER_MS;
		n_followers++;
	}
	ask_all(f);
}
