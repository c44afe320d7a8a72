/* SPDX-License-Identifier: MIT */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define TIMEOUT_MS 45000

#define DRAIN_OPTIONS                                                                              \
	{"target", "NODE", "move everything there, and nowhere else (the best node for each VM)"}, \
		{"force", NULL, "turn off what cannot be moved, and hand it over"},                \
		{"dry-run", NULL, "print the plan and do nothing"},                                \
		{"plan", "DIGEST", "do it only if the plan is still this one"},                    \
	{                                                                                          \
		"wait", NULL, "until it is over; Ctrl-C cancels what has not begun"                \
	}

const struct ctl_option node_drain_options[] = {
	DRAIN_OPTIONS,
	{NULL, NULL, NULL, 0},
};
const struct ctl_option node_pause_options[] = {
	{"drain", NULL, "move its VMs away, as 'node drain'", 0},
	DRAIN_OPTIONS,
	{NULL, NULL, NULL, 0},
};
const struct ctl_option node_resume_options[] = {
	{"failback", "WHICH",
		"bring back none, immediate (all that the drain moved away) or policy (those whose "
		"policy says so) (none)",
		0},
	{"wait", NULL, "until they are back", 0},
	{NULL, NULL, NULL, 0},
};
const struct ctl_option node_set_options[] = {
	{"max-vms", "N", "so many VMs may run there at once, 1 to 256; none: no limit", 0},
	{NULL, NULL, NULL, 0},
};
const struct ctl_option cluster_set_options[] = {
	{"parallel-migrations", "N", "so many leave a node at once, 1 to 8 (1)", 0},
	{NULL, NULL, NULL, 0},
};

static const char *text_of(const struct json *j, const char *key)
{
	return json_get_string(j, key, "");
}

/* ---- list and show ---- */

static void vms_cell(struct table *table, const struct json *node)
{
	long long n = (long long)json_get_int(node, "running", 0);
	long long max = (long long)json_get_int(node, "max_vms", 0);

	if (max)
		table_cell(table, "%lld / %lld", n, max);
	else
		table_cell(table, "%lld", n);
}

static void memory_cell(struct table *table, const struct json *node)
{
	uint64_t all = (uint64_t)json_get_int(node, "vm_memory_bytes", 0);

	table_cell(table, "%s / %s", format_bytes((uint64_t)json_get_int(node, "used_bytes", 0)),
		all ? format_bytes(all) : "?");
}

int cmd_node_list(const struct ctl_args *args)
{
	static const char *const headings[] = {
		"Node", "State", "VMs", "Memory", "Drain", "Version", "Why"};
	_cleanup_json_ struct json *reply = NULL;
	const struct json *nodes;
	struct table *table;
	int r = ctl_call(args, ctl_request("node.list"), TIMEOUT_MS, &reply);

	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	nodes = json_get(reply, "nodes");
	table = table_new(headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < json_length(nodes); i++) {
		const struct json *node = json_at(nodes, i);
		bool is_self = strcmp(text_of(node, "name"), text_of(reply, "node")) == 0;

		table_cell(table, "%s%s", text_of(node, "name"), is_self ? " *" : "");
		table_cell(table, "%s", text_of(node, "state"));
		vms_cell(table, node);
		memory_cell(table, node);
		table_cell(table, "%s", text_of(node, "drain"));
		table_cell(table, "%s", text_of(node, "version"));
		table_cell(table, "%s", text_of(node, "reason"));
	}
	table_print(table);
	return EXIT_OK;
}

static void print_steps(const struct json *steps)
{
	static const char *const headings[] = {"Step", "VM", "Kind", "To", "State", "%", "Why"};
	struct table *table = table_new(headings, ARRAY_LEN(headings));

	for (size_t i = 0; i < json_length(steps); i++) {
		const struct json *step = json_at(steps, i);

		table_cell(table, "%zu", i + 1);
		table_cell(table, "%s", text_of(step, "vm"));
		table_cell(table, "%s", text_of(step, "kind"));
		table_cell(table, "%s", text_of(step, "to"));
		table_cell(table, "%s", text_of(step, "state"));
		table_cell(table, "%lld", (long long)json_get_int(step, "percent", 0));
		table_cell(table, "%s", text_of(step, "why"));
	}
	table_print(table);
}

static void print_vms(const struct json *node)
{
	static const char *const headings[] = {"VM", "State", "Memory"};
	const struct json *vms = json_get(node, "vms");
	struct table *table;

	if (!json_length(vms))
		return;
	putchar('\n');
	table = table_new(headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < json_length(vms); i++) {
		const struct json *vm = json_at(vms, i);

		table_cell(table, "%s", text_of(vm, "name"));
		table_cell(table, "%s", text_of(vm, "state"));
		table_cell(
			table, "%s", format_bytes((uint64_t)json_get_int(vm, "memory_bytes", 0)));
	}
	table_print(table);
}

static void print_watchdog(const struct json *watchdog)
{
	const char *device = text_of(watchdog, "device"), *why = text_of(watchdog, "why");
	bool armed = json_get_bool(watchdog, "armed", false);

	if (!watchdog)
		return;
	printf("Watchdog  %s", strcmp(device, "none") == 0 ? "none" : device);
	if (text_of(watchdog, "identity")[0])
		printf(" (%s, %lld s%s)", text_of(watchdog, "identity"),
			(long long)json_get_int(watchdog, "timeout_s", 0),
			json_get_bool(watchdog, "in_time", true)
				? ""
				: ", longer than the lease allows");
	if (armed)
		printf(json_get_bool(watchdog, "fed", true) ? ", armed" : ", armed, NOT FED");
	else if (strcmp(device, "none") != 0 && !why[0])
		printf(", not armed: no VM runs here");
	printf("%s%s\n", why[0] ? ": " : "", why);
}

static void print_node(const struct json *node, const struct json *job)
{
	time_t since = (time_t)json_get_int(node, "since", 0);
	const struct json *moved = json_get(node, "moved");
	char text[64] = "";
	struct tm tm;

	if (since && localtime_r(&since, &tm))
		strftime(text, sizeof(text), ", since %Y-%m-%d %H:%M:%S", &tm);
	printf("Node      %s (%lld, %s)\n", text_of(node, "name"),
		(long long)json_get_int(node, "id", 0), text_of(node, "address"));
	printf("State     %s%s\n", text_of(node, "state"), text);
	printf("Version   %s\n", text_of(node, "version")[0] ? text_of(node, "version") : "-");
	printf("VMs       %lld run here", (long long)json_get_int(node, "running", 0));
	if (json_get_int(node, "max_vms", 0))
		printf(", %lld may", (long long)json_get_int(node, "max_vms", 0));
	putchar('\n');
	printf("Memory    %s of %s in use\n",
		format_bytes((uint64_t)json_get_int(node, "used_bytes", 0)),
		format_bytes((uint64_t)json_get_int(node, "vm_memory_bytes", 0)));
	print_watchdog(json_get(node, "watchdog"));
	printf("Drain     %s%s%s\n", text_of(node, "drain"), text_of(node, "reason")[0] ? ": " : "",
		text_of(node, "reason"));
	if (text_of(node, "target")[0])
		printf("Target    %s\n", text_of(node, "target"));
	if (json_length(moved))
		printf("Moved    ");
	for (size_t i = 0; i < json_length(moved); i++)
		printf("%s %s to %s", i ? "," : "", text_of(json_at(moved, i), "vm"),
			text_of(json_at(moved, i), "to"));
	if (json_length(moved))
		putchar('\n');
	print_vms(node);
	if (job) {
		printf("\n%s %s:\n", text_of(job, "kind"), text_of(job, "id"));
		print_steps(json_get(json_get(job, "report"), "steps"));
	}
}

/* The drain as its node's service has it; NULL: it is forgotten, or nobody answers. */
static struct json *find_drain(const struct ctl_args *args, const struct json *node)
{
	struct json *request, *reply = NULL;
	const char *state = text_of(node, "state");

	if (!text_of(node, "job")[0] || strcmp(state, "down") == 0 ||
		strcmp(state, "no service") == 0 || strcmp(state, "no answer") == 0)
		return NULL;
	request = ctl_request("job.list");
	json_set_string(request, "node", text_of(node, "name"));
	if (ctl_call(args, request, TIMEOUT_MS, &reply))
		return NULL;
	for (size_t i = 0; i < json_length(json_get(reply, "jobs")); i++) {
		struct json *job = json_at(json_get(reply, "jobs"), i);

		if (strcmp(text_of(job, "id"), text_of(node, "job")) == 0) {
			job = json_ref(job);
			json_unref(reply);
			return job;
		}
	}
	json_unref(reply);
	return NULL;
}

int cmd_node_show(const struct ctl_args *args)
{
	_cleanup_json_ struct json *reply = NULL;
	_cleanup_json_ struct json *job = NULL;
	struct json *request = ctl_request("node.list"), *node;
	int r;

	json_set_string(request, "node", args->positional[0]);
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	node = json_at(json_get(reply, "nodes"), 0);
	job = find_drain(args, node);
	if (args->json) {
		if (job)
			json_set(node, "drain_job", json_ref(job));
		return ctl_print_json(node);
	}
	print_node(node, job);
	return EXIT_OK;
}

/* ---- the plan ---- */

static const char *how_long(int64_t seconds)
{
	static char text[32];

	if (seconds < 1)
		return "at once";
	if (seconds < 120)
		snprintf(text, sizeof(text), "%lld s", (long long)seconds);
	else
		snprintf(text, sizeof(text), "%lld min", (long long)(seconds + 59) / 60);
	return text;
}

static void print_reasons(struct table *table, const struct json *reasons)
{
	char text[1024] = "";
	size_t len = 0;

	for (size_t i = 0; i < json_length(reasons) && len < sizeof(text); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", i ? "; " : "",
			json_string(json_at(reasons, i), ""));
	table_cell(table, "%s", text);
}

static void print_plan(const struct json *plan, bool dry_run)
{
	static const char *const headings[] = {
		"Step", "VM", "Priority", "Memory", "Kind", "From", "To", "Estimate", "Why"};
	const struct json *steps = json_get(plan, "steps");
	struct table *table = table_new(headings, ARRAY_LEN(headings));
	int64_t seconds = 0;
	unsigned n_blocked = 0;

	for (size_t i = 0; i < json_length(steps); i++) {
		const struct json *step = json_at(steps, i);
		bool blocked = strcmp(text_of(step, "kind"), "blocked") == 0;

		seconds += json_get_int(step, "seconds", 0);
		n_blocked += blocked;
		table_cell(table, "%zu", i + 1);
		table_cell(table, "%s", text_of(step, "vm"));
		table_cell(table, "%s", text_of(step, "priority"));
		table_cell(
			table, "%s", format_bytes((uint64_t)json_get_int(step, "memory_bytes", 0)));
		table_cell(table, "%s", text_of(step, "kind"));
		table_cell(table, "%s", text_of(step, "from"));
		table_cell(table, "%s", text_of(step, "to"));
		table_cell(table, "%s", blocked ? "" : how_long(json_get_int(step, "seconds", 0)));
		print_reasons(table, json_get(step, "reasons"));
	}
	table_print(table);
	printf("\nPlan %s: %zu step%s, about %s", text_of(plan, "digest"), json_length(steps),
		json_length(steps) == 1 ? "" : "s", how_long(MAX(seconds, (int64_t)1)));
	if (n_blocked)
		printf(", %u blocked", n_blocked);
	puts(dry_run ? "; nothing was done" : "");
}

/* ---- following it ---- */

static void print_progress(const struct json *job, bool terminal _unused_)
{
	static struct json *last;
	const struct json *steps = json_get(json_get(job, "report"), "steps");

	for (size_t i = 0; i < json_length(steps); i++) {
		const struct json *step = json_at(steps, i);
		const char *state = text_of(step, "state");

		if (strcmp(state, last ? text_of(json_at(last, i), "state") : "queued") == 0)
			continue;
		printf("%s: %s", text_of(step, "vm"), state);
		if (strcmp(state, "moving") == 0 || strcmp(state, "done") == 0)
			printf(" (%s to %s)", text_of(step, "kind"), text_of(step, "to"));
		printf("%s%s\n", text_of(step, "why")[0] ? ": " : "", text_of(step, "why"));
	}
	json_unref(last);
	last = steps ? json_copy(steps) : NULL;
	fflush(stdout);
}

static int follow(const struct ctl_args *args, const char *id, const char *done)
{
	_cleanup_json_ struct json *job = NULL;
	int r = ctl_follow(args, id, print_progress, &job);

	if (r)
		return r;
	if (args->json)
		ctl_print_json(job);
	if (strcmp(text_of(job, "state"), "done") != 0)
		return ctl_fail((enum exit_code)ctl_exit_code(text_of(job, "code")), "%s: %s", id,
			text_of(job, "error"));
	if (!args->json)
		puts(done);
	return EXIT_OK;
}

/* What came of a request that may have begun a job, by a plan. */
static int print_begun(const struct ctl_args *args, const struct json *reply, const char *done)
{
	const struct json *plan = json_get(reply, "plan");
	const char *job = json_get_string(reply, "job", NULL);
	bool wait = ctl_option(args, "wait") && job;

	if (args->json)
		return wait ? follow(args, job, done) : ctl_print_json(reply);
	if (plan && json_length(json_get(plan, "steps")))
		print_plan(plan, !job);
	if (wait)
		return follow(args, job, done);
	if (job)
		printf("%s follows it; 'viaduct node show', 'viaduct job list' say how far it is\n",
			job);
	else if (plan && !json_length(json_get(plan, "steps")))
		puts("There is no VM to move.");
	return EXIT_OK;
}

static int pause_node(const struct ctl_args *args, bool drain)
{
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("node.pause");
	char done[160];
	int r;

	json_set_string(request, "node", args->positional[0]);
	json_set_bool(request, "drain", drain);
	if (ctl_option(args, "target"))
		json_set_string(request, "target", ctl_option(args, "target"));
	if (ctl_option(args, "plan"))
		json_set_string(request, "expect", ctl_option(args, "plan"));
	json_set_bool(request, "force", ctl_option(args, "force"));
	json_set_bool(request, "dry_run", ctl_option(args, "dry-run"));
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	snprintf(done, sizeof(done), "%s is drained: no VM is left there", args->positional[0]);
	return r ? r : print_begun(args, reply, done);
}

int cmd_node_pause(const struct ctl_args *args)
{
	return pause_node(args, ctl_option(args, "drain"));
}

int cmd_node_drain(const struct ctl_args *args)
{
	return pause_node(args, true);
}

int cmd_node_resume(const struct ctl_args *args)
{
	const char *failback = ctl_option(args, "failback");
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("node.resume");
	char text[32] = "none";
	int r;

	for (size_t i = 0; failback && i < sizeof(text) - 1; i++) {
		text[i] = failback[i] >= 'A' && failback[i] <= 'Z' ? failback[i] + 32 : failback[i];
		text[i + 1] = '\0';
		if (!failback[i])
			break;
	}
	/* As the original calls it. */
	if (strcmp(text, "nofailback") == 0)
		strcpy(text, "none");
	json_set_string(request, "node", args->positional[0]);
	json_set_string(request, "failback", text);
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	return r ? r : print_begun(args, reply, "They are back.");
}

int cmd_node_set(const struct ctl_args *args)
{
	const char *max = ctl_option(args, "max-vms");
	struct json *request = ctl_request("node.set");
	int r = EXIT_OK;
	int64_t n;

	json_set_string(request, "node", args->positional[0]);
	if (max && strcmp(max, "none") == 0)
		json_set_string(request, "max_vms", NULL);
	else if (max && ctl_parse_int(max, &n) < 0)
		r = ctl_fail(EXIT_USAGE, "--max-vms %s is no number; say 1 to 256, or none", max);
	else if (max)
		json_set_int(request, "max_vms", n);
	return ctl_ask(args, request, r, TIMEOUT_MS);
}

int cmd_cluster_set(const struct ctl_args *args)
{
	const char *parallel = ctl_option(args, "parallel-migrations");
	struct json *request = ctl_request("cluster.set");
	int r = EXIT_OK;
	int64_t n;

	if (parallel && ctl_parse_int(parallel, &n) < 0)
		r = ctl_fail(
			EXIT_USAGE, "--parallel-migrations %s is no number; say 1 to 8", parallel);
	else if (parallel)
		json_set_int(request, "parallel_migrations", n);
	return ctl_ask(args, request, r, TIMEOUT_MS);
}
