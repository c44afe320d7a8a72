/* SPDX-License-Identifier: MIT
 *
 * cmd_network.c - `cluster network ...`: networks, their interfaces, and what they carry.
 */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 15000
#define OPTION_END                                                                                 \
	{                                                                                          \
		NULL, NULL, NULL                                                                   \
	}

const struct ctl_option network_verbose_option[] = {
	{"verbose", NULL, "more columns", 'v'},
	OPTION_END,
};
const struct ctl_option network_set_options[] = {
	{"role", "ROLE", "None, Cluster or ClusterAndClient"},
	{"metric", "N", "smaller is preferred for cluster traffic; 'auto' for the automatic one"},
	{"migration-order", "N", "its place in the order for migrations; 0 by metric; -1 never"},
	{"rename", "NAME", "a new name"},
	OPTION_END,
};
const struct ctl_option network_migration_options[] = {
	{"order", "NETWORK,...", "those that are tried first, in this order; '' for none"},
	{"exclude", "NETWORK,...", "those that are never taken; '' for none"},
	{"strict", "on|off", "take none but those of the order"},
	OPTION_END,
};

/* ---- list ---- */

static void describe_place(int64_t order, char *text, size_t size_bytes)
{
	if (order > 0)
		snprintf(text, size_bytes, "%lld", (long long)order);
	else
		snprintf(text, size_bytes, "%s", order < 0 ? "never" : "by metric");
}

static void list_row(struct table *table, const struct json *net, bool verbose, bool has_why)
{
	char place[24];

	table_cell(table, "%s", json_get_string(net, "name", ""));
	table_cell(table, "%s", json_get_string(net, "state", ""));
	table_cell(table, "%lld", (long long)json_get_int(net, "metric", 0));
	table_cell(table, "%s", json_get_string(net, "role", ""));
	if (verbose) {
		describe_place(json_get_int(net, "migration_order", 0), place, sizeof(place));
		table_cell(table, "%s", json_get_string(net, "subnet", ""));
		table_cell(table, "%s", json_get_bool(net, "auto_metric", false) ? "yes" : "no");
		table_cell(table, "%s", place);
	}
	if (has_why)
		table_cell(table, "%s", json_get_string(net, "reason", ""));
}

int cmd_network_list(const struct ctl_args *args)
{
	const char *headings[8] = {"Name", "State", "Metric", "Role"};
	bool verbose = ctl_option(args, "verbose") != NULL, has_why = false;
	_cleanup_json_ struct json *reply = NULL;
	const struct json *nets;
	unsigned n = 4;
	struct table *table;
	int r = ctl_call(args, ctl_request("network.list"), TIMEOUT_MS, &reply);

	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	nets = json_get(reply, "networks");
	for (size_t i = 0; i < json_length(nets); i++)
		has_why |= json_get_string(json_at(nets, i), "reason", "")[0] != '\0';
	if (verbose) {
		headings[n++] = "Subnet";
		headings[n++] = "AutoMetric";
		headings[n++] = "Migration";
	}
	if (has_why)
		headings[n++] = "Why";
	table = table_new(headings, n);
	for (size_t i = 0; i < json_length(nets); i++)
		list_row(table, json_at(nets, i), verbose, has_why);
	table_print(table);
	return EXIT_OK;
}

static void interface_row(
	struct table *table, const struct json *net, const struct json *interface, bool verbose)
{
	const struct json *addresses = json_get(interface, "addresses");
	const char *node = json_get_string(interface, "node", "");
	int64_t mbps = json_get_int(interface, "speed_mbps", 0);
	char list[256] = "";

	table_cell(table, "%s - %s", node, json_get_string(interface, "adapter", ""));
	table_cell(table, "%s", node);
	table_cell(table, "%s", json_get_string(net, "name", ""));
	table_cell(table, "%s", json_get_string(interface, "state", ""));
	if (!verbose)
		return;
	for (size_t i = 0; i < json_length(addresses); i++) {
		size_t len = strlen(list);

		snprintf(list + len, sizeof(list) - len, "%s%s", len ? " " : "",
			json_string(json_at(addresses, i), ""));
	}
	table_cell(table, "%s", json_get_string(interface, "adapter", ""));
	table_cell(table, "%s", json_get_string(interface, "address", ""));
	table_cell(table, "%s", mbps > 0 ? format_rate(mbps * 1000000) : "");
	table_cell(table, "%s", list);
}

int cmd_network_interfaces(const struct ctl_args *args)
{
	static const char *const headings[] = {
		"Name", "Node", "Network", "State", "Adapter", "Address", "Speed", "Addresses"};
	bool verbose = ctl_option(args, "verbose") != NULL;
	_cleanup_json_ struct json *reply = NULL;
	const struct json *nets;
	struct table *table;
	int r = ctl_call(args, ctl_request("network.list"), TIMEOUT_MS, &reply);

	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	nets = json_get(reply, "networks");
	table = table_new(headings, verbose ? ARRAY_LEN(headings) : 4);
	for (size_t i = 0; i < json_length(nets); i++) {
		const struct json *interfaces = json_get(json_at(nets, i), "interfaces");

		for (size_t k = 0; k < json_length(interfaces); k++)
			interface_row(table, json_at(nets, i), json_at(interfaces, k), verbose);
	}
	table_print(table);
	return EXIT_OK;
}

/* ---- set ---- */

static int set_number(struct json *request, const char *key, const char *option, const char *text)
{
	int64_t value;

	if (ctl_parse_int(text, &value) < 0)
		return ctl_fail(EXIT_USAGE, "--%s: '%s' is no number", option, text);
	json_set_int(request, key, value);
	return EXIT_OK;
}

int cmd_network_set(const struct ctl_args *args)
{
	struct json *request = ctl_request("network.set");
	const char *role = ctl_option(args, "role");
	const char *metric = ctl_option(args, "metric");
	const char *order = ctl_option(args, "migration-order");
	const char *rename = ctl_option(args, "rename");
	int r = EXIT_OK;

	json_set_string(request, "name", args->positional[0]);
	if (role)
		json_set_string(request, "role", role);
	if (rename)
		json_set_string(request, "rename", rename);
	if (metric && strcmp(metric, "auto") == 0)
		json_set_bool(request, "auto_metric", true);
	else if (metric)
		r = set_number(request, "metric", "metric", metric);
	if (order && r == EXIT_OK)
		r = set_number(request, "migration_order", "migration-order", order);
	return ctl_ask(args, request, r, TIMEOUT_MS);
}

/* ---- migrations ---- */

/* "A,B" to a list; "" is an empty one. */
static struct json *split(const char *text)
{
	struct json *list = json_array_new();
	char *copy = strdup(text), *rest = copy, *word;

	while (rest && (word = strsep(&rest, ","))) {
		if (word[0])
			json_append_string(list, word);
	}
	free(copy);
	return list;
}

static void print_names(const char *title, const struct json *names, const char *none)
{
	printf("%-9s", title);
	for (size_t i = 0; i < json_length(names); i++)
		printf("%s%s", i ? ", " : "", json_string(json_at(names, i), ""));
	printf("%s\n", json_length(names) ? "" : none);
}

static void print_migration(const struct json *reply)
{
	print_names("Order", json_get(reply, "order"), "by role and metric");
	print_names("Excluded", json_get(reply, "excluded"), "none");
	printf("%-9s%s\n", "Strict",
		json_get_bool(reply, "strict", false)
			? "on: no other network than those of the order"
			: "off: other networks are taken when these fail, which is an event");
}

int cmd_network_migration(const struct ctl_args *args)
{
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("network.migration");
	const char *order = ctl_option(args, "order");
	const char *exclude = ctl_option(args, "exclude");
	const char *strict = ctl_option(args, "strict");
	bool on;
	int r;

	if (order)
		json_set(request, "order", split(order));
	if (exclude)
		json_set(request, "excluded", split(exclude));
	if (strict && ctl_parse_bool(strict, &on) < 0) {
		json_unref(request);
		return ctl_fail(EXIT_USAGE, "--strict is on or off, not '%s'", strict);
	}
	if (strict)
		json_set_bool(request, "strict", on);
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	print_migration(reply);
	return EXIT_OK;
}

int cmd_network_path(const struct ctl_args *args)
{
	static const char *const headings[] = {"Order", "Network", "Subnet", "Use", "Why"};
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("network.path");
	const struct json *paths;
	struct table *table;
	bool any = false;
	int r;

	json_set_string(request, "from", args->positional[0]);
	json_set_string(request, "to", args->positional[1]);
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	paths = json_get(reply, "paths");
	table = table_new(headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < json_length(paths); i++) {
		const struct json *path = json_at(paths, i);
		int64_t order = json_get_int(path, "order", 0);

		any |= order > 0;
		if (order > 0)
			table_cell(table, "%lld", (long long)order);
		else
			table_cell(table, "-");
		table_cell(table, "%s", json_get_string(path, "network", ""));
		table_cell(table, "%s", json_get_string(path, "subnet", ""));
		table_cell(table, "%s", json_get_string(path, "use", ""));
		table_cell(table, "%s", json_get_string(path, "why", ""));
	}
	table_print(table);
	if (!any)
		printf("\nA migration from %s to %s would be refused: no network may carry it.\n",
			args->positional[0], args->positional[1]);
	return EXIT_OK;
}

/* ---- classes ---- */

int cmd_network_classes(const struct ctl_args *args)
{
	static const char *const headings[] = {"Class", "Network", "To", "Why"};
	_cleanup_json_ struct json *reply = NULL;
	const struct json *classes;
	struct table *table;
	int r = ctl_call(args, ctl_request("network.classes"), TIMEOUT_MS, &reply);

	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	classes = json_get(reply, "classes");
	table = table_new(headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < json_length(classes); i++) {
		const struct json *class = json_at(classes, i);
		const struct json *peers = json_get(class, "peers");
		const char *network = json_get_string(class, "network", "");
		char list[512] = "";

		for (size_t k = 0; k < json_length(peers); k++) {
			size_t len = strlen(list);

			snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "",
				json_string(json_at(peers, k), ""));
		}
		table_cell(table, "%s", json_get_string(class, "class", ""));
		table_cell(table, "%s", network[0] ? network : "none");
		table_cell(table, "%s", list);
		table_cell(table, "%s", json_get_string(class, "why", ""));
	}
	table_print(table);
	return EXIT_OK;
}
