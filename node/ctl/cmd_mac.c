/* SPDX-License-Identifier: MIT
 *
 * cmd_mac.c - `mac ...`: the cluster's MAC addresses and the pools they are leased from.
 */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 15000
#define OPTION_END                                                                                 \
	{                                                                                          \
		NULL, NULL, NULL                                                                   \
	}

const struct ctl_option mac_range_options[] = {
	{"first", "MAC", "the first address, as 02:15:5d:00:00:00"},
	{"last", "MAC", "the last address, with the same first three octets"},
	OPTION_END,
};
const struct ctl_option mac_set_options[] = {
	{"first", "MAC", "the first address"},
	{"last", "MAC", "the last address"},
	{"auto", NULL, "a node's range is derived from its address again"},
	{"node", "NODE", "without POOL: the node whose range it is (this one)"},
	OPTION_END,
};

int cmd_mac_list(const struct ctl_args *args)
{
	static const char *const headings[] = {"MAC", "Kind", "Holder", "Node", "Pool"};
	_cleanup_json_ struct json *reply = NULL;
	const struct json *macs;
	struct table *table;
	int r = ctl_call(args, ctl_request("mac.list"), TIMEOUT_MS, &reply);

	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	macs = json_get(reply, "macs");
	table = table_new(headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < json_length(macs); i++) {
		const struct json *mac = json_at(macs, i);
		const char *range = json_get_string(mac, "range", "");

		table_cell(table, "%s", json_get_string(mac, "mac", ""));
		table_cell(table, "%s", json_get_bool(mac, "static", false) ? "static" : "dynamic");
		table_cell(table, "%s", json_get_string(mac, "holder", ""));
		table_cell(table, "%s", json_get_string(mac, "node", ""));
		table_cell(table, "%s%s%s%s", json_get_string(mac, "pool", "none"),
			range[0] ? " (" : "", range, range[0] ? ")" : "");
	}
	table_print(table);
	return EXIT_OK;
}

int cmd_mac_pool_list(const struct ctl_args *args)
{
	static const char *const headings[] = {
		"Pool", "Of", "First", "Last", "Addresses", "Used", "Free"};
	_cleanup_json_ struct json *reply = NULL;
	const struct json *pools;
	struct table *table;
	int r = ctl_call(args, ctl_request("mac.pool.list"), TIMEOUT_MS, &reply);

	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	pools = json_get(reply, "pools");
	table = table_new(headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < json_length(pools); i++) {
		const struct json *pool = json_at(pools, i);
		bool is_node = strcmp(json_get_string(pool, "kind", ""), "node") == 0;

		table_cell(table, "%s", json_get_string(pool, "name", ""));
		table_cell(table, "%s",
			!is_node                            ? "cluster"
			: json_get_bool(pool, "set", false) ? "node, set"
							    : "node");
		table_cell(table, "%s", json_get_string(pool, "first", ""));
		table_cell(table, "%s", json_get_string(pool, "last", ""));
		table_cell(table, "%lld", (long long)json_get_int(pool, "addresses", 0));
		table_cell(table, "%lld", (long long)json_get_int(pool, "used", 0));
		table_cell(table, "%lld", (long long)json_get_int(pool, "free", 0));
	}
	table_print(table);
	return EXIT_OK;
}

static int change(const struct ctl_args *args, const char *op)
{
	struct json *request = ctl_request(op);
	const char *first = ctl_option(args, "first"), *last = ctl_option(args, "last");

	if (args->n_positional > 0)
		json_set_string(request, "name", args->positional[0]);
	if (first)
		json_set_string(request, "first", first);
	if (last)
		json_set_string(request, "last", last);
	if (ctl_option(args, "auto"))
		json_set_bool(request, "auto", true);
	return ctl_ask(args, request, EXIT_OK, TIMEOUT_MS);
}

int cmd_mac_pool_add(const struct ctl_args *args)
{
	return change(args, "mac.pool.add");
}

int cmd_mac_pool_set(const struct ctl_args *args)
{
	return change(args, "mac.pool.set");
}

int cmd_mac_pool_remove(const struct ctl_args *args)
{
	return change(args, "mac.pool.remove");
}
