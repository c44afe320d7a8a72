/* SPDX-License-Identifier: MIT */
#include "node/ctl/top_frame.h"

#include "node/ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BAR_LEN  20
#define MIN_ROWS 2 /* of a section, however low the window is */

const struct top_sort_key top_sort_keys[TOP_N_SORTS] = {
	[TOP_BY_NAME] = {'n', "name"},
	[TOP_BY_STATE] = {'s', "state"},
	[TOP_BY_NODE] = {'o', "node"},
	[TOP_BY_MEMORY] = {'m', "memory"},
	[TOP_BY_HEARTBEAT] = {'h', "heartbeat"},
};

struct making {
	struct top_frame *frame;
	size_t max_lines;
	unsigned width;
};

static void line(struct making *m, enum top_style style, const char *format, ...) _printf_(3, 4);
static void line(struct making *m, enum top_style style, const char *format, ...)
{
	struct top_line *to;
	va_list args;
	size_t len;

	if (m->frame->n == m->max_lines)
		return;
	to = &m->frame->lines[m->frame->n++];
	to->style = style;
	va_start(args, format);
	vsnprintf(to->text, m->width + 1, format, args);
	va_end(args);
	/* Neither half a character at the edge nor blanks that nobody sees. */
	len = strlen(to->text);
	if (len == m->width) {
		while (len > 0 && ((unsigned char)to->text[len - 1] & 0xc0) == 0x80)
			len--;
		if (len > 0 && (unsigned char)to->text[len - 1] >= 0xc0)
			len--;
		else
			len = strlen(to->text);
	}
	while (len > 0 && to->text[len - 1] == ' ')
		len--;
	to->text[len] = '\0';
}

/* How many of `n` rows a section shows: its share of the window, so that the VMs have room. */
static size_t share(const struct top_view *view, size_t n, unsigned divisor)
{
	size_t most = MAX((size_t)view->height / divisor, (size_t)MIN_ROWS);

	return !view->height || n <= most ? n : most;
}

static void rest(struct making *m, size_t n, size_t shown)
{
	if (shown < n)
		line(m, TOP_PLAIN, "  ... and %zu more", n - shown);
}

/* ---- sections ---- */

static void head(struct making *m, const struct json *status, const struct json *top,
	const struct top_view *view)
{
	const struct json *nodes = json_get(status, "nodes"), *vms = json_get(top, "vms");
	bool quorate = json_get_bool(status, "quorate", false);
	size_t n_up = 0, n_running = 0;

	for (size_t i = 0; i < json_length(nodes); i++)
		n_up += strcmp(json_get_string(json_at(nodes, i), "state", ""), "Up") == 0;
	for (size_t i = 0; i < json_length(vms); i++)
		n_running += strcmp(json_get_string(json_at(vms, i), "state", ""), "Running") == 0;
	line(m, TOP_TITLE,
		"viaduct top  %s  nodes %zu of %zu up  quorum %s  store %s  VMs %lld, %zu running",
		view->clock, n_up, json_length(nodes), quorate ? "yes" : "NO",
		json_get_bool(status, "synced", false) ? "in sync" : "NOT IN SYNC",
		(long long)json_get_int(top, "n_vms", 0), n_running);
	if (view->trouble)
		line(m, TOP_WARNING, "what follows is old: %s", view->trouble);
	else if (status && !quorate)
		line(m, TOP_WARNING,
			"no quorum: nothing may be changed (%lld of %lld votes, %lld needed)",
			(long long)json_get_int(status, "total_votes", 0),
			(long long)json_get_int(status, "expected_votes", 0),
			(long long)json_get_int(status, "quorum_votes", 0));
}

static const struct json *find(const struct json *list, const char *name)
{
	for (size_t i = 0; i < json_length(list); i++) {
		if (strcmp(json_get_string(json_at(list, i), "name", ""), name) == 0)
			return json_at(list, i);
	}
	return NULL;
}

static void nodes_section(struct making *m, const struct json *status, const struct json *top,
	const struct top_view *view)
{
	const struct json *nodes = json_get(status, "nodes");
	size_t n = json_length(nodes), shown = share(view, n, 4);

	line(m, TOP_PLAIN, "%s", "");
	line(m, TOP_HEADING, "%-20s %-10s %5s %11s %11s %6s", "Node", "State", "VMs", "Memory",
		"of", "Used");
	for (size_t i = 0; i < shown; i++) {
		const struct json *node = json_at(nodes, i);
		const char *name = json_get_string(node, "name", ""), *state;
		const struct json *facts = find(json_get(top, "nodes"), name);
		int64_t used = json_get_int(facts, "used_bytes", 0);
		int64_t all = json_get_int(facts, "vm_memory_bytes", 0);

		state = json_get_string(node, "state", "");
		line(m, strcmp(state, "Up") == 0 ? TOP_PLAIN : TOP_WARNING,
			"%-20s %-10s %5lld %11s %11s %5.0f%%", name, state,
			(long long)json_get_int(node, "vms", 0), format_bytes((uint64_t)used),
			format_bytes((uint64_t)all),
			all > 0 ? 100.0 * (double)used / (double)all : 0);
	}
	rest(m, n, shown);
}

static void networks_section(
	struct making *m, const struct json *networks, const struct top_view *view)
{
	const struct json *list = json_get(networks, "networks");
	size_t n = json_length(list), shown = share(view, n, 6);

	if (!n)
		return;
	line(m, TOP_PLAIN, "%s", "");
	line(m, TOP_HEADING, "%-20s %-12s %-18s %-20s %s", "Network", "State", "Role", "Subnet",
		"Why");
	for (size_t i = 0; i < shown; i++) {
		const struct json *net = json_at(list, i);
		const char *state = json_get_string(net, "state", "");

		line(m, strcmp(state, "Up") == 0 ? TOP_PLAIN : TOP_WARNING,
			"%-20s %-12s %-18s %-20s %s", json_get_string(net, "name", ""), state,
			json_get_string(net, "role", ""), json_get_string(net, "subnet", ""),
			json_get_string(net, "reason", ""));
	}
	rest(m, n, shown);
}

static void moves_section(struct making *m, const struct json *top, const struct top_view *view)
{
	static const char full[] = "####################", empty[] = "....................";
	const struct json *moves = json_get(top, "moves");
	size_t n = json_length(moves), shown = share(view, n, 5);

	if (!n)
		return;
	line(m, TOP_PLAIN, "%s", "");
	line(m, TOP_HEADING, "%-20s %-14s %-24s %-26s %s", "Move of", "Kind", "From, to",
		"Progress", "Phase");
	for (size_t i = 0; i < shown; i++) {
		const struct json *job = json_at(moves, i);
		int64_t told = MAX(json_get_int(job, "percent", 0), (int64_t)0);
		int64_t percent = MIN(told, (int64_t)100);
		int bar = (int)(percent * BAR_LEN / 100);
		char way[140];

		snprintf(way, sizeof(way), "%.63s > %.63s", json_get_string(job, "from", ""),
			json_get_string(job, "to", ""));
		line(m, TOP_PLAIN, "%-20s %-14s %-24s %.*s%.*s %3lld%%  %s",
			json_get_string(job, "vm", ""), json_get_string(job, "kind", ""), way, bar,
			full, BAR_LEN - bar, empty, (long long)percent,
			json_get_string(job, "phase", ""));
	}
	rest(m, n, shown);
}

/* ---- VMs ---- */

static const struct top_view *sorting; /* qsort() has no context that is portable */

static int compare_text(const struct json *a, const struct json *b, const char *key)
{
	return strcmp(json_get_string(a, key, ""), json_get_string(b, key, ""));
}

static int compare(const void *left, const void *right)
{
	const struct json *a = *(const struct json *const *)left;
	const struct json *b = *(const struct json *const *)right;
	int64_t more = json_get_int(b, "memory_bytes", 0) - json_get_int(a, "memory_bytes", 0);
	int r = 0;

	switch (sorting->sort) {
	case TOP_BY_STATE:
		r = compare_text(a, b, "state");
		break;
	case TOP_BY_NODE:
		r = compare_text(a, b, "node");
		break;
	case TOP_BY_MEMORY: /* the largest first */
		r = more < 0 ? -1 : more > 0;
		break;
	case TOP_BY_HEARTBEAT:
		r = compare_text(a, b, "heartbeat");
		break;
	default:
		break;
	}
	if (r == 0)
		r = compare_text(a, b, "name");
	return sorting->reversed ? -r : r;
}

static void vms_section(struct making *m, const struct json *top, struct top_view *view)
{
	const struct json *vms = json_get(top, "vms");
	size_t n = json_length(vms), room;
	_cleanup_free_ const struct json **sorted = calloc(n + 1, sizeof(struct json *));

	line(m, TOP_PLAIN, "%s", "");
	line(m, TOP_HEADING, "%-24s %-12s %-20s %11s  %-14s (by %s%s)", "VM", "State", "Node",
		"Memory", "Heartbeat", top_sort_keys[view->sort].name,
		view->reversed ? ", reversed" : "");
	if (!sorted)
		return;
	for (size_t i = 0; i < n; i++)
		sorted[i] = json_at(vms, i);
	sorting = view;
	qsort(sorted, n, sizeof(struct json *), compare);
	room = m->max_lines - m->frame->n;
	view->first = MIN(view->first, n > room ? n - room : 0);
	m->frame->n_vms_shown = MIN(room, n - view->first);
	for (size_t i = view->first; i < view->first + m->frame->n_vms_shown; i++) {
		const char *state = json_get_string(sorted[i], "state", "");
		bool is_bad = strcmp(state, "Failed") == 0 || strcmp(state, "Unknown") == 0 ||
			      strcmp(json_get_string(sorted[i], "heartbeat", ""), "lost") == 0;

		line(m, is_bad ? TOP_WARNING : TOP_PLAIN, "%-24s %-12s %-20s %11s  %s",
			json_get_string(sorted[i], "name", ""), state,
			json_get_string(sorted[i], "node", ""),
			format_bytes((uint64_t)json_get_int(sorted[i], "memory_bytes", 0)),
			json_get_string(sorted[i], "heartbeat", ""));
	}
}

struct top_frame *top_frame_make(const struct json *status, const struct json *networks,
	const struct json *top, struct top_view *view)
{
	size_t n = view->height ? view->height
				: 16 + json_length(json_get(status, "nodes")) +
					  json_length(json_get(networks, "networks")) +
					  json_length(json_get(top, "moves")) +
					  json_length(json_get(top, "vms"));
	struct making m = {.max_lines = n, .width = MIN(view->width, (unsigned)TOP_MAX_WIDTH)};

	m.frame = calloc(1, sizeof(*m.frame) + n * sizeof(m.frame->lines[0]));
	if (!m.frame)
		return NULL;
	head(&m, status, top, view);
	nodes_section(&m, status, top, view);
	networks_section(&m, networks, view);
	moves_section(&m, top, view);
	vms_section(&m, top, view);
	return m.frame;
}
