/* SPDX-License-Identifier: MIT */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 45000

const struct ctl_option offload_show_options[] = {
	{"host", "NIC", "this adapter of the host only"},
	{"switch", "SWITCH", "the adapters of this switch only"},
	{"vm", "VM", "the adapters of this VM only"},
	{"connections", NULL, "also the host's TCP connections and where they are handled"},
	{"node", "NODE", "the node (this one)"},
	{NULL, NULL, NULL},
};

const struct ctl_option offload_set_options[] = {
	{"nic", "NIC", "the host's adapter, or a VM's as 'offload show' names it, VM/nicN"},
	{"tcp-checksum", "WHICH", "tx, rx, both or off"},
	{"lso", "STATE", "large send: on or off"},
	{"rsc", "STATE", "receive coalescing: on or off"},
	{"rss", "STATE", "receive-side scaling: on or off"},
	{"chimney", "SETTING", "enabled, disabled or automatic; kept, and without effect on Linux"},
	{"node", "NODE", "the node (this one)"},
	{NULL, NULL, NULL},
};

static void print_global(const struct json *list)
{
	puts("TCP Global Parameters\n----------------------------------------------");
	for (size_t i = 0; i < json_length(list); i++)
		printf("%-35s : %s\n", json_get_string(json_at(list, i), "label", ""),
			json_get_string(json_at(list, i), "value", ""));
}

/* What is, and what will be where that differs. */
static void adapter_cell(struct table *table, const struct json *adapter, const char *key)
{
	const char *now = json_get_string(adapter, key, "");
	const char *next = json_get_string(json_get(adapter, "next"), key, NULL);

	if (next)
		table_cell(table, "%s (%s from the next start)", now, next);
	else
		table_cell(table, "%s", now);
}

static void print_adapters(const struct json *list)
{
	static const char *const headings[] = {"Adapter", "Switch", "Task offload",
		"TCP checksum (IPv4)", "UDP checksum", "Large send v2", "Receive coalescing",
		"RSS"};
	static const char *const keys[] = {"adapter", "switch", "task_offload", "tcp_checksum",
		"udp_checksum", "lso", "rsc", "rss"};
	struct table *table = table_new(headings, ARRAY_LEN(headings));

	for (size_t i = 0; i < json_length(list); i++) {
		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			adapter_cell(table, json_at(list, i), keys[k]);
	}
	putchar('\n');
	table_print(table);
}

static void print_connections(const struct json *reply)
{
	static const char *const headings[] = {
		"Proto", "Local Address", "Foreign Address", "State", "Offload State"};
	const struct json *list = json_get(reply, "connections");
	int64_t left = json_get_int(reply, "connections_total", 0) - (int64_t)json_length(list);
	struct table *table = table_new(headings, ARRAY_LEN(headings));

	for (size_t i = 0; i < json_length(list); i++) {
		const struct json *c = json_at(list, i);

		table_cell(table, "TCP");
		table_cell(table, "%s", json_get_string(c, "local", ""));
		table_cell(table, "%s", json_get_string(c, "remote", ""));
		table_cell(table, "%s", json_get_string(c, "state", ""));
		table_cell(table, "%s", json_get_string(c, "offload_state", ""));
	}
	putchar('\n');
	table_print(table);
	if (left > 0)
		printf("and %lld more\n", (long long)left);
}

int cmd_offload_show(const struct ctl_args *args)
{
	static const char *const options[] = {"host", "switch", "vm"};
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("offload.show");
	int r;

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (ctl_option(args, options[i]))
			json_set_string(request, options[i], ctl_option(args, options[i]));
	}
	json_set_bool(request, "connections", ctl_option(args, "connections"));
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	print_global(json_get(reply, "global"));
	print_adapters(json_get(reply, "adapters"));
	if (ctl_option(args, "connections"))
		print_connections(reply);
	return EXIT_OK;
}

/* "VM/nicN", which no adapter of a host is called: the same as 'vm nic set'. */
static int set_of_vm(const struct ctl_args *args, const char *adapter)
{
	static const char *const options[][2] = {
		{"tcp-checksum", "csum"}, {"lso", "lso"}, {"rsc", "rsc"}, {"rss", "rss"}};
	struct json *request = ctl_request("vm.nic.set"), *settings = json_object_new();
	const char *number = strrchr(adapter, '/') + 1, *why = NULL;
	int r = EXIT_OK;
	int64_t nic;

	json_set(request, "set", settings);
	json_set_stringf(request, "vm", "%.*s", (int)(number - 1 - adapter), adapter);
	if (strncmp(number, "nic", 3) != 0 || ctl_parse_int(number + 3, &nic) < 0)
		r = ctl_fail(
			EXIT_USAGE, "--nic %s is no adapter; a VM's is called VM/nicN", adapter);
	else
		json_set_int(request, "nic", nic);
	for (size_t i = 0; r == EXIT_OK && i < ARRAY_LEN(options); i++) {
		const char *value = ctl_option(args, options[i][0]);

		if (value)
			why = ctl_nic_setting(settings, options[i][1], value);
		if (value && why)
			r = ctl_fail(EXIT_USAGE, "--%s: %s", options[i][0], why);
	}
	if (r == EXIT_OK && (ctl_option(args, "chimney") || !json_get(settings, "offload")))
		r = ctl_fail(EXIT_USAGE, "say what is to be set on %s", adapter);
	return ctl_ask(args, request, r, TIMEOUT_MS);
}

int cmd_offload_set(const struct ctl_args *args)
{
	static const struct {
		const char *option, *key;
	} keys[] = {
		{"nic", "nic"},
		{"tcp-checksum", "tcp_checksum"},
		{"lso", "lso"},
		{"rsc", "rsc"},
		{"rss", "rss"},
	};
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("offload.set");
	const char *chimney = ctl_option(args, "chimney");
	const char *nic = ctl_option(args, "nic");
	char text[16];
	int r;

	if (nic && strchr(nic, '/')) {
		json_unref(request);
		return set_of_vm(args, nic);
	}
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (ctl_option(args, keys[i].option))
			json_set_string(request, keys[i].key, ctl_option(args, keys[i].option));
	}
	if (chimney) {
		/* Enabled, as the original's command writes it, is meant as well. */
		snprintf(text, sizeof(text), "%s", chimney);
		for (char *c = text; *c; c++)
			*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 'a' - 'A' : *c);
		json_set_string(request, "chimney", text);
	}
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	if (chimney)
		printf("Chimney Offload State: %s (%s)\n", json_get_string(reply, "chimney", ""),
			json_get_string(reply, "state", ""));
	return EXIT_OK;
}
