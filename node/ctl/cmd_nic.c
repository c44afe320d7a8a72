/* SPDX-License-Identifier: MIT
 *
 * cmd_nic.c - `vm nic ...`: the network adapters of a VM and their access lists.
 */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 15000

/* ---- list ---- */

static void append(char *text, size_t size_bytes, const char *word)
{
	size_t len = strlen(text);

	snprintf(text + len, size_bytes - len, "%s%s", len ? " " : "", word);
}

static void describe_guards(const struct json *nic, char *text, size_t size_bytes)
{
	const struct json *guards = json_get(nic, "guards");

	text[0] = '\0';
	if (json_get_bool(guards, "dhcp", false))
		append(text, size_bytes, "dhcp");
	if (json_get_bool(guards, "router", false))
		append(text, size_bytes, "router");
	if (json_get_bool(guards, "addresses", false))
		append(text, size_bytes, "address");
	if (json_get_bool(nic, "spoofing", false))
		append(text, size_bytes, "(spoofing)");
}

static void describe_bandwidth(const struct json *nic, char *text, size_t size_bytes)
{
	const struct json *b = json_get(nic, "bandwidth");
	char word[48];

	text[0] = '\0';
	if (json_get_int(b, "max_bps", 0) > 0) {
		snprintf(word, sizeof(word), "max %s", format_rate(json_get_int(b, "max_bps", 0)));
		append(text, size_bytes, word);
	}
	if (json_get_int(b, "min_bps", 0) > 0) {
		snprintf(word, sizeof(word), "min %s", format_rate(json_get_int(b, "min_bps", 0)));
		append(text, size_bytes, word);
	}
	if (json_get_int(b, "weight", 0) > 0) {
		snprintf(
			word, sizeof(word), "weight %lld", (long long)json_get_int(b, "weight", 0));
		append(text, size_bytes, word);
	}
	if (json_get_int(b, "storm_fps", 0) > 0) {
		snprintf(word, sizeof(word), "storm %lld/s",
			(long long)json_get_int(b, "storm_fps", 0));
		append(text, size_bytes, word);
	}
}

static void describe_state(const struct json *nic, char *text, size_t size_bytes)
{
	const struct json *port = json_get(nic, "port");
	const char *vm_state = json_get_string(nic, "vm_state", "");

	if (port && json_get_string(port, "reason", "")[0])
		snprintf(text, size_bytes, "%s: %s", json_get_string(port, "state", ""),
			json_get_string(port, "reason", ""));
	else if (port)
		snprintf(text, size_bytes, "%s", json_get_string(port, "state", ""));
	else
		snprintf(text, size_bytes, "%s on %s", vm_state, json_get_string(nic, "node", ""));
}

static void list_row(struct table *table, const struct json *nic)
{
	char vlan[128], guards[64], bandwidth[128], state[200];

	ctl_describe_vlan(nic, vlan, sizeof(vlan));
	describe_guards(nic, guards, sizeof(guards));
	describe_bandwidth(nic, bandwidth, sizeof(bandwidth));
	describe_state(nic, state, sizeof(state));
	table_cell(table, "%s", json_get_string(nic, "vm", ""));
	table_cell(table, "%lld", (long long)json_get_int(nic, "nic", 0));
	table_cell(table, "%s", json_get_string(nic, "switch", ""));
	table_cell(table, "%s", json_get_string(nic, "mac", ""));
	table_cell(table, "%s", vlan);
	table_cell(table, "%s", guards);
	table_cell(table, "%s", bandwidth);
	table_cell(table, "%zu", json_length(json_get(nic, "acl")));
	table_cell(table, "%s", json_get_string(nic, "mirror", ""));
	table_cell(table, "%s", state);
}

int cmd_nic_list(const struct ctl_args *args)
{
	static const char *const headings[] = {"VM", "Nic", "Switch", "MAC", "VLAN", "Guards",
		"Bandwidth", "ACL rules", "Mirror", "State"};
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("vm.nic.list");
	const struct json *nics;
	struct table *table;
	int r;

	if (args->n_positional > 0)
		json_set_string(request, "vm", args->positional[0]);
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	nics = json_get(reply, "nics");
	table = table_new(headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < json_length(nics); i++)
		list_row(table, json_at(nics, i));
	table_print(table);
	return EXIT_OK;
}

/* ---- changing ---- */

/* "only" stands for the only adapter that the VM has. */
static int set_nic(const struct ctl_args *args, struct json *request)
{
	int64_t nic;

	json_set_string(request, "vm", args->positional[0]);
	if (strcmp(args->positional[1], "only") == 0)
		return EXIT_OK;
	if (ctl_parse_int(args->positional[1], &nic) < 0)
		return ctl_fail(EXIT_USAGE,
			"'%s' is no number of an adapter; 'viaduct vm nic list %s' lists them",
			args->positional[1], args->positional[0]);
	json_set_int(request, "nic", nic);
	return EXIT_OK;
}

int cmd_nic_set(const struct ctl_args *args)
{
	struct json *request = ctl_request("vm.nic.set");
	struct json *settings = json_object_new();
	int r = set_nic(args, request);

	json_set(request, "set", settings);
	if (r == EXIT_OK && args->n_options == 0)
		r = ctl_fail(EXIT_USAGE, "nothing to set was given; 'viaduct vm nic set --help' "
					 "lists what there is");
	if (r == EXIT_OK)
		r = ctl_nic_options(args, settings);
	return ctl_ask(args, request, r, TIMEOUT_MS);
}

int cmd_nic_add(const struct ctl_args *args)
{
	_cleanup_json_ struct json *nics = json_array_new();
	struct json *request = ctl_request("vm.nic.add");
	int r = ctl_parse_nic(args->positional[1], nics);

	json_set_string(request, "vm", args->positional[0]);
	if (r == EXIT_OK)
		json_set(request, "nic", json_ref(json_at(nics, 0)));
	return ctl_ask(args, request, r, TIMEOUT_MS);
}

int cmd_nic_remove(const struct ctl_args *args)
{
	struct json *request = ctl_request("vm.nic.remove");

	return ctl_ask(args, request, set_nic(args, request), TIMEOUT_MS);
}

/* ---- access lists ---- */

static const char *direction(const char *text)
{
	if (strcasecmp(text, "inbound") == 0 || strcasecmp(text, "in") == 0)
		return "in";
	if (strcasecmp(text, "outbound") == 0 || strcasecmp(text, "out") == 0)
		return "out";
	return strcasecmp(text, "both") == 0 ? "both" : text;
}

static int set_rule_numbers(const struct ctl_args *args, struct json *rule)
{
	static const char *const names[][2] = {{"weight", "weight"}, {"idle", "idle_s"}};
	const char *text = ctl_option(args, "stateful");
	bool stateful = false;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = ctl_option(args, names[i][0]);
		int64_t number;

		if (value && ctl_parse_int(value, &number) < 0)
			return ctl_fail(
				EXIT_USAGE, "--%s %s is no whole number", names[i][0], value);
		if (value)
			json_set_int(rule, names[i][1], number);
	}
	if (text && ctl_parse_bool(text, &stateful) < 0)
		return ctl_fail(EXIT_USAGE, "--stateful is on or off");
	json_set_bool(rule, "stateful", stateful);
	return EXIT_OK;
}

static void lower(char *text)
{
	for (; *text; text++) {
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text | 0x20);
	}
}

int cmd_nic_acl_add(const struct ctl_args *args)
{
	static const char *const names[][2] = {{"action", "action"}, {"protocol", "protocol"},
		{"local", "local"}, {"remote", "remote"}, {"local-ports", "local_ports"},
		{"remote-ports", "remote_ports"}};
	struct json *request = ctl_request("vm.nic.acl.add");
	struct json *rule = json_object_new();
	int r = set_nic(args, request);

	json_set(request, "rule", rule);
	if (r == EXIT_OK && !ctl_option(args, "action"))
		r = ctl_fail(EXIT_USAGE, "--action allow, deny or meter is needed");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = ctl_option(args, names[i][0]);
		_cleanup_free_ char *copy = value ? strdup(value) : NULL;

		if (copy)
			lower(copy);
		if (copy)
			json_set_string(rule, names[i][1], copy);
	}
	if (ctl_option(args, "direction"))
		json_set_string(rule, "direction", direction(ctl_option(args, "direction")));
	if (r == EXIT_OK)
		r = set_rule_numbers(args, rule);
	return ctl_ask(args, request, r, TIMEOUT_MS);
}

int cmd_nic_acl_remove(const struct ctl_args *args)
{
	struct json *request = ctl_request("vm.nic.acl.remove");
	int r = set_nic(args, request);
	int64_t rule;

	if (r == EXIT_OK && ctl_parse_int(args->positional[2], &rule) < 0)
		r = ctl_fail(EXIT_USAGE, "'%s' is no number of a rule", args->positional[2]);
	if (r == EXIT_OK)
		json_set_int(request, "rule", rule);
	return ctl_ask(args, request, r, TIMEOUT_MS);
}

static void rule_row(struct table *table, const struct json *rule)
{
	static const char *const sides[][2] = {
		{"local", "local_ports"}, {"remote", "remote_ports"}};

	table_cell(table, "%lld", (long long)json_get_int(rule, "rule", 0));
	table_cell(table, "%lld", (long long)json_get_int(rule, "weight", 0));
	table_cell(table, "%s%s", json_get_string(rule, "action", ""),
		json_get_bool(rule, "stateful", false) ? " stateful" : "");
	table_cell(table, "%s", json_get_string(rule, "direction", ""));
	table_cell(table, "%s", json_get_string(rule, "protocol", "*"));
	for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
		const char *ports = json_get_string(rule, sides[i][1], NULL);

		table_cell(table, "%s%s%s", json_get_string(rule, sides[i][0], "*"),
			ports ? " port " : "", ports ? ports : "");
	}
	if (!json_get(rule, "frames")) {
		table_cell(table, "%s", "");
		table_cell(table, "%s", "");
		return;
	}
	table_cell(table, "%lld", (long long)json_get_int(rule, "frames", 0));
	table_cell(table, "%s", format_bytes((uint64_t)json_get_int(rule, "bytes", 0)));
}

int cmd_nic_acl_list(const struct ctl_args *args)
{
	static const char *const headings[] = {"Rule", "Weight", "Action", "Direction", "Protocol",
		"Local", "Remote", "Frames", "Bytes"};
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("vm.nic.acl.list");
	const struct json *rules;
	struct table *table;
	int r = set_nic(args, request);

	if (r != EXIT_OK) {
		json_unref(request);
		return r;
	}
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	rules = json_get(reply, "rules");
	table = table_new(headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < json_length(rules); i++)
		rule_row(table, json_at(rules, i));
	table_print(table);
	return EXIT_OK;
}
