/* SPDX-License-Identifier: MIT */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 45000

const struct ctl_option host_nic_list_options[] = {
	{"node", "NODE", "the node (this one)"},
	{NULL, NULL, NULL},
};

const struct ctl_option host_nic_bindings_options[] = {
	{"nic", "NIC", "show this adapter only"},
	{"nics", NULL, "show adapters without their bindings", 'n'},
	{"bind", "NIC", "bind the adapter to a switch: it carries nothing else then", 'b'},
	{"switch", "NAME", "with --bind: the external switch that is made for it"},
	{"unbind", "NIC", "give back what the adapter had before it was bound", 'u'},
	{"disable", "NIC,PROTOCOL", "ipv4, ipv6, bridge, team or viaduct_switch; remembered", 'd'},
	{"enable", "NIC,PROTOCOL", "give back what was disabled", 'e'},
	{"repair", "NIC", "make the bindings what they should be", 'r'},
	{"order", "PROTOCOL", "the order in which ipv4 or ipv6 prefers adapters", 'o'},
	{"up", "NIC,PROTOCOL", "move the adapter up in this order"},
	{"down", "NIC,PROTOCOL", "move it down"},
	{"top", "NIC,PROTOCOL", "make it the first one"},
	{"bottom", "NIC,PROTOCOL", "make it the last one"},
	{"dry-run", NULL, "with a move: only show which metrics would change"},
	{"force", NULL, "bind also what has the default route or this node's address"},
	{"node", "NODE", "the node (this one)"},
	{NULL, NULL, NULL},
};

/* ---- nic list ---- */

static void format_speed(int64_t mbps, char *text, size_t size_bytes)
{
	if (mbps <= 0)
		snprintf(text, size_bytes, "%s", "");
	else if (mbps % 1000 == 0)
		snprintf(text, size_bytes, "%lld Gbit/s", (long long)mbps / 1000);
	else
		snprintf(text, size_bytes, "%lld Mbit/s", (long long)mbps);
}

static void join(const struct json *list, char *text, size_t size_bytes)
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < json_length(list) && len < size_bytes; i++)
		len += (size_t)snprintf(text + len, size_bytes - len, "%s%s", i ? " " : "",
			json_string(json_at(list, i), ""));
}

static void print_list(const struct json *nics)
{
	static const char *const headings[] = {
		"Name", "MAC", "Kind", "Driver", "Speed", "Link", "Owner", "Addresses"};
	struct table *table = table_new(headings, ARRAY_LEN(headings));

	for (size_t i = 0; i < json_length(nics); i++) {
		const struct json *nic = json_at(nics, i);
		char speed[32], addresses[512];

		format_speed(json_get_int(nic, "speed_mbps", 0), speed, sizeof(speed));
		join(json_get(nic, "addresses"), addresses, sizeof(addresses));
		table_cell(table, "%s", json_get_string(nic, "name", ""));
		table_cell(table, "%s", json_get_string(nic, "mac", ""));
		table_cell(table, "%s", json_get_string(nic, "kind", ""));
		table_cell(table, "%s", json_get_string(nic, "driver", ""));
		table_cell(table, "%s", speed);
		table_cell(table, "%s", json_get_string(nic, "link", ""));
		table_cell(table, "%s", json_get_string(nic, "owner", ""));
		table_cell(table, "%s", addresses);
	}
	table_print(table);
}

int cmd_host_nic_list(const struct ctl_args *args)
{
	_cleanup_json_ struct json *reply = NULL;
	int r = ctl_call(args, ctl_request("nic.list"), TIMEOUT_MS, &reply);

	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	print_list(json_get(reply, "nics"));
	return EXIT_OK;
}

/* ---- nic bindings: records as nvspbind prints them ---- */

static void print_head(const struct json *nic)
{
	char speed[32];

	format_speed(json_get_int(nic, "speed_mbps", 0), speed, sizeof(speed));
	printf("{%s}\n", json_get_string(nic, "mac", ""));
	printf("\"%s\"\n", json_get_string(nic, "bus", ""));
	printf("\"%s, %s%s%s\"\n", json_get_string(nic, "driver", ""),
		json_get_string(nic, "kind", ""), speed[0] ? ", " : "", speed);
	printf("\"%s\":\n", json_get_string(nic, "name", ""));
}

static void print_components(const struct json *components)
{
	for (size_t i = 0; i < json_length(components); i++) {
		const struct json *c = json_at(components, i);
		bool enabled = json_get_bool(c, "enabled", false);
		const char *of = json_get_string(c, "of", NULL);

		printf("   %-9s %-15s (%s)%s%s%s\n",
			enabled ? "enabled:" : "disabled:", json_get_string(c, "name", ""),
			json_get_string(c, "title", ""), of ? " - " : "", of ? of : "",
			!enabled && json_get_bool(c, "remembered", false)
				? " - remembered, comes back when enabled"
				: "");
	}
}

static void print_problems(const struct json *problems)
{
	for (size_t i = 0; i < json_length(problems); i++) {
		const struct json *p = json_at(problems, i);

		printf("%sproblem: %s\n   cure: %s\n", i ? "" : "\n",
			json_get_string(p, "problem", ""), json_get_string(p, "cure", ""));
	}
}

static int show(const struct ctl_args *args)
{
	bool heads_only = ctl_option(args, "nics");
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("nic.bindings");
	const struct json *nics;
	int r;

	if (ctl_option(args, "nic"))
		json_set_string(request, "nic", ctl_option(args, "nic"));
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	nics = json_get(reply, "nics");
	for (size_t i = 0; i < json_length(nics); i++) {
		if (i)
			putchar('\n');
		print_head(json_at(nics, i));
		if (!heads_only)
			print_components(json_get(json_at(nics, i), "components"));
	}
	print_problems(json_get(reply, "problems"));
	return EXIT_OK;
}

/* ---- changes ---- */

/* "NIC,PROTOCOL" into the request. EXIT_OK or an exit code. */
static int set_pair(struct json *request, const char *option, const char *text)
{
	const char *comma = strchr(text, ',');

	if (!comma || comma == text || !comma[1])
		return ctl_fail(
			EXIT_USAGE, "--%s is for an adapter and a protocol: eth0,ipv4", option);
	json_set_stringf(request, "nic", "%.*s", (int)(comma - text), text);
	json_set_string(request, "protocol", comma + 1);
	return EXIT_OK;
}

static int change(const struct ctl_args *args, const char *action)
{
	bool pair = strcmp(action, "enable") == 0 || strcmp(action, "disable") == 0;
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("nic.change");
	const struct json *changes;
	int r, result = EXIT_OK;

	json_set_string(request, "action", action);
	json_set_bool(request, "force", ctl_option(args, "force"));
	if (ctl_option(args, "switch"))
		json_set_string(request, "switch", ctl_option(args, "switch"));
	if (!pair)
		json_set_string(request, "nic", ctl_option(args, action));
	r = pair ? set_pair(request, action, ctl_option(args, action)) : EXIT_OK;
	if (r) {
		json_unref(request);
		return r;
	}
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	changes = json_get(reply, "changes");
	for (size_t i = 0; i < json_length(changes); i++) {
		const struct json *c = json_at(changes, i);
		const char *outcome = json_get_string(c, "outcome", "");
		const char *text = json_get_string(c, "text", "");

		if (strcmp(outcome, "failed") == 0)
			result = EXIT_FAILED;
		if (!args->json)
			printf("%s %s: %s%s%s\n", action, json_get_string(c, "nic", ""), outcome,
				text[0] ? ": " : "", text);
	}
	if (args->json)
		ctl_print_json(reply);
	return result;
}

static void print_order(const struct json *reply)
{
	static const char *const headings[] = {"Place", "Name", "Metric", "Default route"};
	const struct json *order = json_get(reply, "order"), *steps = json_get(reply, "steps");
	bool dry = json_get_bool(reply, "dry_run", false);
	struct table *table;

	for (size_t i = 0; i < json_length(steps); i++)
		printf("%s%s\n",
			dry ? "would change: " : "changed: ", json_string(json_at(steps, i), ""));
	if (json_length(steps))
		putchar('\n');
	table = table_new(headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < json_length(order); i++) {
		const struct json *entry = json_at(order, i);
		char place[24] = "", metric[24] = "";

		if (json_get(entry, "metric")) {
			snprintf(place, sizeof(place), "%zu", i + 1);
			snprintf(metric, sizeof(metric), "%lld",
				(long long)json_get_int(entry, "metric", 0));
		}
		table_cell(table, "%s", place);
		table_cell(table, "%s", json_get_string(entry, "nic", ""));
		table_cell(table, "%s", metric);
		table_cell(table, "%s", json_get_bool(entry, "default", false) ? "yes" : "");
	}
	table_print(table);
}

static int order(const struct ctl_args *args, const char *move)
{
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("nic.order");
	int r = EXIT_OK;

	if (move) {
		json_set_string(request, "move", move);
		json_set_bool(request, "dry_run", ctl_option(args, "dry-run"));
		r = set_pair(request, move, ctl_option(args, move));
	} else {
		json_set_string(request, "protocol", ctl_option(args, "order"));
	}
	if (r) {
		json_unref(request);
		return r;
	}
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	print_order(reply);
	return EXIT_OK;
}

int cmd_host_nic_bindings(const struct ctl_args *args)
{
	static const char *const actions[] = {"bind", "unbind", "disable", "enable", "repair"};
	static const char *const moves[] = {"up", "down", "top", "bottom"};
	const char *action = NULL, *move = NULL;
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		if (ctl_option(args, actions[i]) && n++ == 0)
			action = actions[i];
	}
	for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
		if (ctl_option(args, moves[i]) && n++ == 0)
			move = moves[i];
	}
	if (ctl_option(args, "order"))
		n++;
	if (n > 1)
		return ctl_fail(EXIT_USAGE, "one change at a time");
	if (ctl_option(args, "dry-run") && !move)
		return ctl_fail(
			EXIT_USAGE, "--dry-run is for moves: --up, --down, --top, --bottom");
	if (action)
		return change(args, action);
	if (move || ctl_option(args, "order"))
		return order(args, move);
	return show(args);
}
