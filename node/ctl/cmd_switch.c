/* SPDX-License-Identifier: MIT */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 15000

static void describe_vlan(const struct json *port, char *text, size_t size_bytes)
{
	const char *mode = json_get_string(port, "mode", "");

	if (strcmp(mode, "access") == 0)
		snprintf(text, size_bytes, "access %lld", (long long)json_get_int(port, "vid", 0));
	else if (strcmp(mode, "trunk") == 0 && json_get_string(port, "allowed", "")[0])
		snprintf(text, size_bytes, "trunk %s", json_get_string(port, "allowed", ""));
	else
		snprintf(text, size_bytes, "%s", mode);
}

static void print_ports(const struct json *switches)
{
	static const char *const headings[] = {
		"Switch", "Port", "MAC", "VLAN", "State", "Received", "Sent", "Why"};
	struct table *table = table_new(headings, ARRAY_LEN(headings));
	size_t n = 0;

	for (size_t i = 0; i < json_length(switches); i++) {
		const struct json *sw = json_at(switches, i);
		const struct json *ports = json_get(sw, "ports");

		for (size_t k = 0; k < json_length(ports); k++, n++) {
			const struct json *port = json_at(ports, k);
			char vlan[128];

			describe_vlan(port, vlan, sizeof(vlan));
			table_cell(table, "%s", json_get_string(sw, "name", ""));
			table_cell(table, "%s",
				json_get_string(port, "port", json_get_string(port, "id", "")));
			table_cell(table, "%s", json_get_string(port, "mac", ""));
			table_cell(table, "%s", vlan);
			table_cell(table, "%s", json_get_string(port, "state", ""));
			table_cell(table, "%s",
				format_bytes((uint64_t)json_get_int(port, "rx_bytes", 0)));
			table_cell(table, "%s",
				format_bytes((uint64_t)json_get_int(port, "tx_bytes", 0)));
			table_cell(table, "%s", json_get_string(port, "reason", ""));
		}
	}
	if (n > 0)
		putchar('\n');
	if (n > 0)
		table_print(table);
}

int cmd_switch_list(const struct ctl_args *args)
{
	static const char *const headings[] = {
		"Name", "Node", "Type", "Uplink", "Logical", "Ports"};
	static const char *const keys[] = {"name", "node", "type", "uplink", "logical"};
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("switch.list");
	const struct json *switches;
	struct table *table;
	int r;

	if (ctl_option(args, "node"))
		json_set_string(request, "node", ctl_option(args, "node"));
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	switches = json_get(reply, "switches");
	table = table_new(headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < json_length(switches); i++) {
		const struct json *sw = json_at(switches, i);
		const struct json *ports = json_get(sw, "ports");

		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			table_cell(table, "%s", json_get_string(sw, keys[k], ""));
		if (ports)
			table_cell(table, "%zu", json_length(ports));
		else
			table_cell(table, "%s", "");
	}
	table_print(table);
	print_ports(switches);
	return EXIT_OK;
}

int cmd_switch_create(const struct ctl_args *args)
{
	static const char *const options[] = {"type", "uplink", "logical", "node"};
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("switch.create");
	int r;

	json_set_string(request, "name", args->positional[0]);
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (ctl_option(args, options[i]))
			json_set_string(request, options[i], ctl_option(args, options[i]));
	}
	if (ctl_option(args, "management"))
		json_set_int(
			request, "management", strtoll(ctl_option(args, "management"), NULL, 10));
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	return r ? r : args->json ? ctl_print_json(reply) : EXIT_OK;
}

int cmd_switch_delete(const struct ctl_args *args)
{
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("switch.delete");
	int r;

	json_set_string(request, "name", args->positional[0]);
	if (ctl_option(args, "node"))
		json_set_string(request, "node", ctl_option(args, "node"));
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	return r ? r : args->json ? ctl_print_json(reply) : EXIT_OK;
}
