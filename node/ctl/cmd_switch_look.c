/* SPDX-License-Identifier: MIT
 *
 * cmd_switch_look.c - what a switch knows: addresses, multicast groups, VLANs that reach another
 * host; and how busy its threads are.
 */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 15000

/* All pages of a listing of a switch into `entries`. */
static int fetch(const struct ctl_args *args, const char *op, struct json *entries)
{
	int64_t from = 0;

	do {
		_cleanup_json_ struct json *reply = NULL;
		struct json *request = ctl_request(op);
		const struct json *page;
		int r;

		json_set_string(request, "switch", args->positional[0]);
		json_set_int(request, "from", from);
		r = ctl_call(args, request, TIMEOUT_MS, &reply);
		if (r)
			return r;
		page = json_get(reply, "entries");
		for (size_t i = 0; i < json_length(page); i++)
			json_append(entries, json_copy(json_at(page, i)));
		from = json_get_int(reply, "next", 0);
	} while (from > 0);
	return EXIT_OK;
}

static void cell_vlan(struct table *table, const struct json *entry)
{
	if (json_is_int(json_get(entry, "vlan")))
		table_cell(table, "%lld", (long long)json_get_int(entry, "vlan", 0));
	else
		table_cell(table, "%s", "trunk");
}

static int list(const struct ctl_args *args, const char *op, bool has_kind)
{
	static const char *const headings[] = {"VLAN", "MAC", "Port", "Age", "Kind"};
	_cleanup_json_ struct json *entries = json_array_new();
	struct table *table;
	int r = fetch(args, op, entries);

	if (r)
		return r;
	if (args->json)
		return ctl_print_json(entries);
	table = table_new(headings, has_kind ? 5 : 4);
	for (size_t i = 0; i < json_length(entries); i++) {
		const struct json *entry = json_at(entries, i);
		bool pinned = json_get_bool(entry, "static", false);

		cell_vlan(table, entry);
		table_cell(table, "%s", json_get_string(entry, "mac", ""));
		table_cell(table, "%s", json_get_string(entry, "port", ""));
		if (pinned)
			table_cell(table, "%s", "-");
		else
			table_cell(table, "%lld s", (long long)json_get_int(entry, "age_s", 0));
		if (has_kind)
			table_cell(table, "%s", pinned ? "static" : "learned");
	}
	table_print(table);
	return EXIT_OK;
}

int cmd_switch_addresses(const struct ctl_args *args)
{
	return list(args, "fdb.show", true);
}

int cmd_switch_groups(const struct ctl_args *args)
{
	return list(args, "groups.show", false);
}

int cmd_switch_workers(const struct ctl_args *args)
{
	static const char *const headings[] = {"Worker", "Ports", "Busy"};
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("workers.show");
	const struct json *workers;
	struct table *table;
	int r;

	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	workers = json_get(reply, "workers");
	if (args->json)
		return ctl_print_json(workers);
	table = table_new(headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < json_length(workers); i++) {
		const struct json *worker = json_at(workers, i);

		table_cell(table, "%zu", i + 1);
		table_cell(table, "%lld", (long long)json_get_int(worker, "ports", 0));
		table_cell(
			table, "%lld %%", (long long)json_get_int(worker, "busy_permille", 0) / 10);
	}
	table_print(table);
	return EXIT_OK;
}

static void print_probe(const struct json *vlans)
{
	static const char *const headings[] = {"VLAN", "There", "Back", "Result"};
	struct table *table = table_new(headings, ARRAY_LEN(headings));

	for (size_t i = 0; i < json_length(vlans); i++) {
		const struct json *entry = json_at(vlans, i);
		bool there = json_get_bool(entry, "there", false);
		bool back = json_get_bool(entry, "back", false);
		long long vlan = (long long)json_get_int(entry, "vlan", 0);

		if (vlan)
			table_cell(table, "%lld", vlan);
		else
			table_cell(table, "%s", "untagged");
		table_cell(table, "%s", there ? "yes" : "no");
		table_cell(table, "%s", back ? "yes" : "no");
		table_cell(table, "%s",
			there && back   ? "reaches"
			: there || back ? "one way only"
					: "cut");
	}
	table_print(table);
}

/* Exit status 8 (refused) when a VLAN does not reach. */
int cmd_switch_probe(const struct ctl_args *args)
{
	static const char *const options[] = {"to", "vlans"};
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("switch.probe");
	const struct json *vlans;
	int r;

	json_set_string(request, "switch", args->positional[0]);
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (ctl_option(args, options[i]))
			json_set_string(request, options[i], ctl_option(args, options[i]));
	}
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	vlans = json_get(reply, "vlans");
	if (args->json)
		ctl_print_json(reply);
	else
		print_probe(vlans);
	for (size_t i = 0; i < json_length(vlans); i++) {
		if (!json_get_bool(json_at(vlans, i), "there", false) ||
			!json_get_bool(json_at(vlans, i), "back", false))
			return EXIT_REFUSED;
	}
	return EXIT_OK;
}
