/* SPDX-License-Identifier: MIT */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 15000

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

			ctl_describe_vlan(port, vlan, sizeof(vlan));
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

static void describe_uplinks(const struct json *sw, char *text, size_t size_bytes)
{
	const struct json *uplinks = json_get(sw, "uplinks");
	const char *mode = json_get_string(json_get(sw, "team"), "mode", "standby");
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < json_length(uplinks) && len < size_bytes; i++)
		len += (size_t)snprintf(text + len, size_bytes - len, "%s%s", i ? "," : "",
			json_string(json_at(uplinks, i), ""));
	if (json_length(uplinks) > 1 && len < size_bytes)
		snprintf(text + len, size_bytes - len, " (%s)", mode);
}

static void describe_bandwidth(const struct json *sw, char *text, size_t size_bytes)
{
	const char *mode = json_get_string(sw, "bandwidth_mode", "");
	int64_t bps = json_get_int(sw, "link_bps", 0);

	if (bps > 0)
		snprintf(text, size_bytes, "%s of %s", mode[0] ? mode : "none", format_rate(bps));
	else
		snprintf(text, size_bytes, "%s", mode);
}

static void print_teams(const struct json *switches)
{
	static const char *const headings[] = {
		"Switch", "Member", "Link", "Carries", "Received", "Sent", "Changes", "Why"};
	struct table *table = table_new(headings, ARRAY_LEN(headings));
	size_t n = 0;

	for (size_t i = 0; i < json_length(switches); i++) {
		const struct json *sw = json_at(switches, i);
		const struct json *members = json_get(json_get(sw, "team"), "members");

		for (size_t k = 0; k < json_length(members); k++, n++) {
			const struct json *member = json_at(members, k);

			table_cell(table, "%s", json_get_string(sw, "name", ""));
			table_cell(table, "%s", json_get_string(member, "name", ""));
			table_cell(table, "%s", json_get_bool(member, "up", false) ? "up" : "down");
			table_cell(
				table, "%s", json_get_bool(member, "active", false) ? "yes" : "no");
			table_cell(table, "%lld frames",
				(long long)json_get_int(member, "rx_frames", 0));
			table_cell(table, "%lld frames",
				(long long)json_get_int(member, "tx_frames", 0));
			table_cell(table, "%lld", (long long)json_get_int(member, "changes", 0));
			table_cell(table, "%s", json_get_string(member, "reason", ""));
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
		"Name", "Node", "Type", "Uplink", "Logical", "Bandwidth", "Ports", "State", "Why"};
	static const char *const keys[] = {"name", "node", "type", NULL, "logical"};
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("switch.list");
	const struct json *switches;
	struct table *table;
	int r;

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
		char uplinks[200];

		describe_uplinks(sw, uplinks, sizeof(uplinks));
		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			table_cell(
				table, "%s", keys[k] ? json_get_string(sw, keys[k], "") : uplinks);
		describe_bandwidth(sw, uplinks, sizeof(uplinks));
		table_cell(table, "%s", uplinks);
		if (ports)
			table_cell(table, "%zu", json_length(ports));
		else
			table_cell(table, "%s", "");
		table_cell(table, "%s", json_get_string(sw, "state", ""));
		table_cell(table, "%s", json_get_string(sw, "reason", ""));
	}
	table_print(table);
	print_ports(switches);
	print_teams(switches);
	return EXIT_OK;
}

/* "eth0,eth1", and the option may be repeated. */
static void set_uplinks(const struct ctl_args *args, struct json *request)
{
	struct json *uplinks = json_array_new();
	const char *text;

	for (unsigned i = 0; (text = ctl_option_at(args, "uplink", i)); i++) {
		_cleanup_free_ char *copy = strdup(text);
		char *rest = copy, *item;

		while ((item = strsep(&rest, ",")))
			json_append_string(uplinks, item);
	}
	if (json_length(uplinks) > 0)
		json_set(request, "uplinks", uplinks);
	else
		json_unref(uplinks);
}

/* What create and set have in common. */
static int set_settings(const struct ctl_args *args, struct json *request)
{
	const char *speed = ctl_option(args, "link-speed");
	const char *team = ctl_option(args, "team");
	int64_t bps;

	json_set_string(request, "name", args->positional[0]);
	set_uplinks(args, request);
	if (team) {
		json_set(request, "team", json_object_new());
		json_set_string(json_get(request, "team"), "mode", team);
	}
	if (ctl_option(args, "bandwidth-mode"))
		json_set_string(request, "bandwidth_mode", ctl_option(args, "bandwidth-mode"));
	if (ctl_option(args, "logical"))
		json_set_string(request, "logical", ctl_option(args, "logical"));
	if (ctl_option(args, "force"))
		json_set_bool(request, "force", true);
	if (speed && ctl_parse_rate(speed, &bps) < 0)
		return ctl_fail(EXIT_USAGE, "--link-speed %s is no speed; say 10G or 100M", speed);
	if (speed)
		json_set_int(request, "link_bps", bps);
	return EXIT_OK;
}

int cmd_switch_create(const struct ctl_args *args)
{
	struct json *request = ctl_request("switch.create");
	const char *management = ctl_option(args, "management");
	int r = set_settings(args, request);
	int64_t vlan;

	if (ctl_option(args, "type"))
		json_set_string(request, "type", ctl_option(args, "type"));
	if (r == EXIT_OK && management && ctl_parse_int(management, &vlan) < 0)
		r = ctl_fail(EXIT_USAGE, "--management %s is no VLAN", management);
	if (r == EXIT_OK && management)
		json_set_int(request, "management", vlan);
	return ctl_ask(args, request, r, TIMEOUT_MS);
}

int cmd_switch_set(const struct ctl_args *args)
{
	struct json *request = ctl_request("switch.set");

	return ctl_ask(args, request, set_settings(args, request), TIMEOUT_MS);
}

static int change_static(const struct ctl_args *args, const char *key)
{
	struct json *request = ctl_request("switch.set");
	struct json *entry = json_object_new();
	const char *vlan = ctl_option(args, "vlan");
	int64_t vid = 0;
	int r = EXIT_OK;

	json_set_string(request, "name", args->positional[0]);
	json_set(request, key, entry);
	json_set_string(entry, "mac", args->positional[1]);
	if (vlan && ctl_parse_int(vlan, &vid) < 0)
		r = ctl_fail(EXIT_USAGE, "--vlan %s is no VLAN", vlan);
	json_set_int(entry, "vlan", vid);
	return ctl_ask(args, request, r, TIMEOUT_MS);
}

int cmd_switch_address_add(const struct ctl_args *args)
{
	return change_static(args, "add_static");
}

int cmd_switch_address_remove(const struct ctl_args *args)
{
	return change_static(args, "remove_static");
}

int cmd_switch_rename(const struct ctl_args *args)
{
	struct json *request = ctl_request("switch.rename");

	json_set_string(request, "name", args->positional[0]);
	json_set_string(request, "to", args->positional[1]);
	return ctl_ask(args, request, EXIT_OK, TIMEOUT_MS);
}

int cmd_switch_delete(const struct ctl_args *args)
{
	struct json *request = ctl_request("switch.delete");

	json_set_string(request, "name", args->positional[0]);
	return ctl_ask(args, request, EXIT_OK, TIMEOUT_MS);
}

/* ---- the host's adapters ---- */

int cmd_switch_adapter_add(const struct ctl_args *args)
{
	struct json *request = ctl_request("switch.adapter.add");
	struct json *adapter = json_object_new();
	int r;

	json_set_string(request, "name", args->positional[0]);
	json_set(request, "adapter", adapter);
	json_set_string(adapter, "name", args->positional[1]);
	r = ctl_nic_options(args, adapter);
	return ctl_ask(args, request, r, TIMEOUT_MS);
}

int cmd_switch_adapter_set(const struct ctl_args *args)
{
	struct json *request = ctl_request("switch.adapter.set");
	struct json *settings = json_object_new();

	json_set_string(request, "name", args->positional[0]);
	json_set_string(request, "adapter", args->positional[1]);
	json_set(request, "set", settings);
	return ctl_ask(args, request, ctl_nic_options(args, settings), TIMEOUT_MS);
}

int cmd_switch_adapter_remove(const struct ctl_args *args)
{
	struct json *request = ctl_request("switch.adapter.remove");

	json_set_string(request, "name", args->positional[0]);
	json_set_string(request, "adapter", args->positional[1]);
	return ctl_ask(args, request, EXIT_OK, TIMEOUT_MS);
}

int cmd_switch_adapter_list(const struct ctl_args *args)
{
	static const char *const headings[] = {
		"Switch", "Name", "Interface", "MAC", "VLAN", "State", "Why"};
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("switch.adapter.list");
	const struct json *adapters;
	struct table *table;
	int r;

	if (args->n_positional > 0)
		json_set_string(request, "name", args->positional[0]);
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	adapters = json_get(reply, "adapters");
	table = table_new(headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < json_length(adapters); i++) {
		const struct json *adapter = json_at(adapters, i);
		const struct json *port = json_get(adapter, "port");
		char vlan[128];

		ctl_describe_vlan(adapter, vlan, sizeof(vlan));
		table_cell(table, "%s", json_get_string(adapter, "switch", ""));
		table_cell(table, "%s", json_get_string(adapter, "name", ""));
		table_cell(table, "%s", json_get_string(adapter, "ifname", ""));
		table_cell(table, "%s", json_get_string(adapter, "mac", ""));
		table_cell(table, "%s", vlan);
		table_cell(table, "%s", json_get_string(port, "state", "not there"));
		table_cell(table, "%s", json_get_string(port, "reason", ""));
	}
	table_print(table);
	return EXIT_OK;
}
