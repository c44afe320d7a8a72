/* SPDX-License-Identifier: MIT
 *
 * cmd_place.c - where VMs can run, and what is to become of them in trouble.
 */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 15000

const struct ctl_option policy_options[] = {
	{"priority", "LEVEL", "high, medium, low: who starts first after a failure; none: nobody"},
	{"preferred", "NODES", "where it should be, best first, as host1,host2; 'none'"},
	{"possible", "NODES", "where it may be at all; 'all'"},
	{"apart", "CLASS", "VMs of one class keep apart where they can; 'none'"},
	{"failback", "WHEN", "back to its most preferred owner: none, immediate, or hours as 22-6"},
	{"max-restarts", "N", "how often it is started again after failures (3)"},
	{"restart-window", "SECONDS", "... within this time (3600)"},
	{"heartbeat", "WHAT", "when its guest stops answering: ignore or restart"},
	{NULL, NULL, NULL},
};

/* ---- where ---- */

/* All of them: an answer that would be too long comes in parts. */
static int ask_where(const struct ctl_args *args, struct json **ret_vms)
{
	_cleanup_json_ struct json *vms = json_array_new();
	_cleanup_free_ char *from = NULL;

	for (;;) {
		_cleanup_json_ struct json *reply = NULL;
		struct json *request = ctl_request("vm.where");
		const struct json *part;
		const char *next;
		int r;

		if (args->n_positional > 0)
			json_set_string(request, "vm", args->positional[0]);
		if (from)
			json_set_string(request, "from", from);
		r = ctl_call(args, request, TIMEOUT_MS, &reply);
		if (r)
			return r;
		part = json_get(reply, "vms");
		for (size_t i = 0; i < json_length(part); i++)
			json_append(vms, json_ref(json_at(part, i)));
		next = json_get_string(reply, "next", NULL);
		if (!next || (from && strcmp(next, from) <= 0))
			break;
		free(from);
		from = strdup(next);
		if (!from)
			return ctl_fail(EXIT_FAILED, "out of memory");
	}
	*ret_vms = take_ptr(vms);
	return EXIT_OK;
}

static bool can_run(const struct json *node)
{
	return json_length(json_get(node, "reasons")) == 0;
}

/* A row for each node, and one more for each reason after its first. */
static void print_one(const struct json *vm)
{
	static const char *const headings[] = {"Node", "Can run"};
	const struct json *nodes = json_get(vm, "nodes");
	const char *name = json_get_string(vm, "vm", "");
	const char *where = json_get_string(vm, "node", "");
	const char *chosen = json_get_string(vm, "chosen", "");
	bool is_running = json_get_bool(vm, "running", false);
	struct table *table = table_new(headings, ARRAY_LEN(headings));

	for (size_t i = 0; i < json_length(nodes); i++) {
		const struct json *node = json_at(nodes, i), *reasons = json_get(node, "reasons");
		bool is_here = strcmp(json_get_string(node, "node", ""), where) == 0;

		table_cell(table, "%s%s", json_get_string(node, "node", ""), is_here ? " *" : "");
		table_cell(
			table, "%s", can_run(node) ? "OK" : json_string(json_at(reasons, 0), ""));
		for (size_t k = 1; k < json_length(reasons); k++) {
			table_cell(table, "%s", "");
			table_cell(table, "%s", json_string(json_at(reasons, k), ""));
		}
	}
	table_print(table);
	if (!chosen[0])
		printf("\nNo %snode can take %s.\n", is_running ? "other " : "", name);
	else if (is_running)
		printf("\n%s runs on %s; it would be moved to %s.\n", name, where, chosen);
	else
		printf("\n%s would be started on %s.\n", name, chosen);
}

/* The names of nodes that can take it, and how many reasons the others have. */
static void add_row(struct table *table, const struct json *vm)
{
	const struct json *nodes = json_get(vm, "nodes");
	const char *where = json_get_string(vm, "node", "");
	const char *chosen = json_get_string(vm, "chosen", "");
	char can[1024] = "", cannot[2048] = "";
	size_t n_can = 0, n_cannot = 0;

	for (size_t i = 0; i < json_length(nodes); i++) {
		const struct json *node = json_at(nodes, i);
		const char *name = json_get_string(node, "node", "");
		size_t n = json_length(json_get(node, "reasons"));

		if (n == 0)
			n_can += (size_t)snprintf(
				can + n_can, sizeof(can) - n_can, "%s%s", n_can ? "," : "", name);
		else
			n_cannot += (size_t)snprintf(cannot + n_cannot, sizeof(cannot) - n_cannot,
				"%s%s (%zu reason%s)", n_cannot ? ", " : "", name, n,
				n == 1 ? "" : "s");
		if (n_can >= sizeof(can) || n_cannot >= sizeof(cannot))
			break;
	}
	table_cell(table, "%s", json_get_string(vm, "vm", ""));
	table_cell(table, "%s%s", where[0] ? where : "-",
		json_get_bool(vm, "running", false) ? "" : " (off)");
	table_cell(table, "%s", can[0] ? can : "-");
	table_cell(table, "%s", chosen[0] ? chosen : "nowhere");
	table_cell(table, "%s", cannot);
}

int cmd_vm_where(const struct ctl_args *args)
{
	static const char *const headings[] = {"VM", "On", "Can run on", "Next", "Cannot run on"};
	_cleanup_json_ struct json *vms = NULL, *whole = NULL;
	struct table *table;
	int r = ask_where(args, &vms);

	if (r)
		return r;
	if (args->json) {
		whole = json_object_new();
		json_set(whole, "vms", json_ref(vms));
		return ctl_print_json(whole);
	}
	if (args->n_positional > 0) {
		print_one(json_at(vms, 0));
		return EXIT_OK;
	}
	table = table_new(headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < json_length(vms); i++)
		add_row(table, json_at(vms, i));
	table_print(table);
	return EXIT_OK;
}

/* ---- policy ---- */

/* "host1,host2", or the word for none of them. */
static struct json *names_of(const char *text, const char *none)
{
	struct json *list = json_array_new();
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy;
	const char *name;

	if (!text[0] || strcmp(text, none) == 0)
		return list;
	while (rest && (name = strsep(&rest, ",")))
		json_append_string(list, name);
	return list;
}

static int set_number(
	const struct ctl_args *args, const char *option, struct json *set, const char *key)
{
	const char *text = ctl_option(args, option);
	int64_t value;

	if (!text)
		return EXIT_OK;
	if (ctl_parse_int(text, &value) < 0)
		return ctl_fail(EXIT_USAGE, "--%s: '%s' is no number", option, text);
	json_set_int(set, key, value);
	return EXIT_OK;
}

static int collect(const struct ctl_args *args, struct json *set)
{
	static const char *const texts[] = {"priority", "failback", "heartbeat"};
	const char *apart = ctl_option(args, "apart");
	int r;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (ctl_option(args, texts[i]))
			json_set_string(set, texts[i], ctl_option(args, texts[i]));
	}
	if (ctl_option(args, "preferred"))
		json_set(set, "preferred", names_of(ctl_option(args, "preferred"), "none"));
	if (ctl_option(args, "possible"))
		json_set(set, "possible", names_of(ctl_option(args, "possible"), "all"));
	if (apart)
		json_set_string(set, "anti_affinity", strcmp(apart, "none") == 0 ? "" : apart);
	r = set_number(args, "max-restarts", set, "max_restarts");
	return r ? r : set_number(args, "restart-window", set, "restart_window_s");
}

static void join(const struct json *names, const char *none, char *text, size_t size_bytes)
{
	size_t len = (size_t)snprintf(text, size_bytes, "%s", json_length(names) ? "" : none);

	for (size_t i = 0; i < json_length(names) && len < size_bytes; i++)
		len += (size_t)snprintf(text + len, size_bytes - len, "%s%s", i ? "," : "",
			json_string(json_at(names, i), ""));
}

static void add_policy(struct table *table, const struct json *policy)
{
	const char *apart = json_get_string(policy, "anti_affinity", "");
	char text[2048];

	table_cell(table, "%s", json_get_string(policy, "vm", ""));
	table_cell(table, "%s", json_get_string(policy, "priority", ""));
	join(json_get(policy, "preferred"), "-", text, sizeof(text));
	table_cell(table, "%s", text);
	join(json_get(policy, "possible"), "all", text, sizeof(text));
	table_cell(table, "%s", text);
	table_cell(table, "%s", apart[0] ? apart : "-");
	table_cell(table, "%s", json_get_string(policy, "failback", ""));
	table_cell(table, "%lld in %lld s", (long long)json_get_int(policy, "max_restarts", 0),
		(long long)json_get_int(policy, "restart_window_s", 0));
	table_cell(table, "%s", json_get_string(policy, "heartbeat", ""));
}

static int show_policies(const struct ctl_args *args)
{
	static const char *const headings[] = {"VM", "Priority", "Preferred", "Possible", "Apart",
		"Failback", "Restarts", "Heartbeat"};
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("vm.policy.show");
	const struct json *policies;
	struct table *table;
	int r;

	if (args->n_positional > 0)
		json_set_string(request, "vm", args->positional[0]);
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	policies = json_get(reply, "policies");
	table = table_new(headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < json_length(policies); i++)
		add_policy(table, json_at(policies, i));
	table_print(table);
	return EXIT_OK;
}

int cmd_vm_policy(const struct ctl_args *args)
{
	struct json *request, *set;
	int r;

	if (args->n_options == 0)
		return show_policies(args);
	if (args->n_positional == 0)
		return ctl_fail(EXIT_USAGE, "whose policy? 'viaduct vm policy VM ...'");
	request = ctl_request("vm.policy.set");
	set = json_object_new();
	r = collect(args, set);
	json_set_string(request, "vm", args->positional[0]);
	json_set(request, "set", set);
	return ctl_ask(args, request, r, TIMEOUT_MS);
}
