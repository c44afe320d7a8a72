/* SPDX-License-Identifier: MIT */
#include "node/ctl/ctl.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS       15000
#define START_TIMEOUT_MS 60000
#define SERIAL_WAIT_MS   1000

/* ---- listings ---- */

static void describe_nic(const struct json *nic, char *text, size_t size_bytes)
{
	const char *mode = json_get_string(nic, "mode", "");
	char vlan[160] = "";

	if (strcmp(mode, "access") == 0)
		snprintf(vlan, sizeof(vlan), " VLAN %lld", (long long)json_get_int(nic, "vid", 0));
	else if (strcmp(mode, "trunk") == 0)
		snprintf(vlan, sizeof(vlan), " trunk %.100s", json_get_string(nic, "allowed", ""));
	snprintf(text, size_bytes, "%.63s%s %.17s", json_get_string(nic, "switch", ""), vlan,
		json_get_string(nic, "mac", ""));
}

int cmd_vm_list(const struct ctl_args *args)
{
	static const char *const headings[] = {
		"Name", "State", "Node", "Memory", "VPs", "Network", "Why"};
	_cleanup_json_ struct json *reply = NULL;
	const struct json *vms;
	struct table *table;
	int r = ctl_call(args, ctl_request("vm.list"), TIMEOUT_MS, &reply);

	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	vms = json_get(reply, "vms");
	table = table_new(headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < json_length(vms); i++) {
		const struct json *vm = json_at(vms, i);
		const struct json *nics = json_get(vm, "nics");
		char nic[256] = "";

		if (json_length(nics))
			describe_nic(json_at(nics, 0), nic, sizeof(nic));
		table_cell(table, "%s", json_get_string(vm, "name", ""));
		table_cell(table, "%s", json_get_string(vm, "state", ""));
		table_cell(table, "%s", json_get_string(vm, "node", ""));
		table_cell(
			table, "%s", format_bytes((uint64_t)json_get_int(vm, "memory_bytes", 0)));
		table_cell(table, "%lld", (long long)json_get_int(vm, "vps", 0));
		table_cell(table, "%s", nic);
		table_cell(table, "%s", json_get_string(vm, "reason", ""));
	}
	table_print(table);
	return EXIT_OK;
}

static void show_live(const struct json *live)
{
	const struct json *nics = json_get(live, "nics");

	printf("VMBus        %s, version %s, %lld open channels\n",
		json_get_bool(live, "vmbus_connected", false) ? "connected" : "not connected",
		json_get_string(live, "vmbus_version", ""),
		(long long)json_get_int(live, "vmbus_channels", 0));
	for (size_t i = 0; i < json_length(nics); i++) {
		const struct json *nic = json_at(nics, i);

		printf("  adapter %zu  NVSP %s, %s, link %s, received %s in %lld frames, sent %s "
		       "in %lld\n",
			i, json_get_string(nic, "nvsp", ""),
			json_get_bool(nic, "ready", false) ? "ready" : "not ready",
			json_get_bool(nic, "link", false) ? "up" : "down",
			format_bytes((uint64_t)json_get_int(nic, "rx_bytes", 0)),
			(long long)json_get_int(nic, "rx_frames", 0),
			format_bytes((uint64_t)json_get_int(nic, "tx_bytes", 0)),
			(long long)json_get_int(nic, "tx_frames", 0));
	}
}

int cmd_vm_show(const struct ctl_args *args)
{
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("vm.show");
	const struct json *vm, *nics;
	int r;

	json_set_string(request, "vm", args->positional[0]);
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	vm = json_get(reply, "vm");
	nics = json_get(vm, "nics");
	printf("Name         %s\n", json_get_string(vm, "name", ""));
	printf("State        %s%s%s\n", json_get_string(vm, "state", ""),
		json_get_string(vm, "reason", "")[0] ? " - " : "",
		json_get_string(vm, "reason", ""));
	printf("Owner        %s, epoch %lld\n", json_get_string(vm, "node", ""),
		(long long)json_get_int(vm, "epoch", 0));
	printf("Memory       %s\n", format_bytes((uint64_t)json_get_int(vm, "memory_bytes", 0)));
	printf("Processors   %lld\n", (long long)json_get_int(vm, "vps", 0));
	printf("Kernel       %s\n", json_get_string(vm, "kernel", ""));
	printf("Command line %s\n", json_get_string(vm, "cmdline", ""));
	for (size_t i = 0; i < json_length(nics); i++) {
		char nic[256];

		describe_nic(json_at(nics, i), nic, sizeof(nic));
		printf("Adapter %zu    %s\n", i, nic);
	}
	if (json_get(vm, "live"))
		show_live(json_get(vm, "live"));
	return EXIT_OK;
}

/* ---- create ---- */

static int nic_item(struct json *nic, const char *key, const char *value)
{
	if (strcmp(key, "switch") == 0 || strcmp(key, "mac") == 0) {
		json_set_string(nic, key, value);
	} else if (strcmp(key, "vlan") == 0) {
		json_set_string(nic, "mode", "access");
		json_set_int(nic, "vid", strtoll(value, NULL, 10));
	} else if (strcmp(key, "trunk") == 0) {
		json_set_string(nic, "mode", "trunk");
		json_set_string(nic, "allowed", value);
	} else if (strcmp(key, "native") == 0 || strcmp(key, "mtu") == 0) {
		json_set_int(nic, key, strtoll(value, NULL, 10));
	} else if (strcmp(key, "spoofing") == 0) {
		json_set_bool(nic, key, strcmp(value, "on") == 0);
	} else {
		return -EINVAL;
	}
	return 0;
}

/* "switch=A,vlan=2,mac=...": VLAN lists use '+' or '-' ("trunk=2-4+7"), because ',' separates
 * items. */
static int parse_nic(const char *spec, struct json *nics)
{
	_cleanup_free_ char *copy = strdup(spec);
	struct json *nic = json_object_new();
	char *rest = copy, *item;

	while ((item = strsep(&rest, ","))) {
		char *value = strchr(item, '=');

		if (value) {
			*value++ = '\0';
			for (char *p = value; strcmp(item, "trunk") == 0 && (p = strchr(p, '+'));)
				*p = ',';
		}
		if (!value || nic_item(nic, item, value) < 0) {
			json_unref(nic);
			return ctl_fail(EXIT_USAGE,
				"--nic '%s': '%s' is not one of switch=, vlan=, trunk=, native=, "
				"mac=, mtu=, "
				"spoofing=on",
				spec, item);
		}
	}
	json_append(nics, nic);
	return EXIT_OK;
}

int cmd_vm_create(const struct ctl_args *args)
{
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("vm.create");
	struct json *nics = json_array_new();
	const char *memory = ctl_option(args, "memory");
	const char *vps = ctl_option(args, "vps");
	const char *kernel = ctl_option(args, "kernel");
	_cleanup_free_ char *path = kernel ? realpath(kernel, NULL) : NULL;
	uint64_t memory_bytes;
	const char *nic;
	int r = EXIT_OK;

	json_set(request, "nics", nics);
	if (ctl_parse_size(memory ? memory : "128M", &memory_bytes) < 0)
		r = ctl_fail(EXIT_USAGE, "--memory %s is no size; say 128M or 2G", memory);
	else if (!path)
		r = ctl_fail(EXIT_USAGE,
			kernel ? "--kernel %s cannot be found" : "--kernel FILE is needed%s",
			kernel ? kernel : "");
	for (unsigned i = 0; r == EXIT_OK && (nic = ctl_option_at(args, "nic", i)); i++)
		r = parse_nic(nic, nics);
	if (r != EXIT_OK) {
		json_unref(request);
		return r;
	}
	json_set_string(request, "name", args->positional[0]);
	json_set_string(request, "kernel", path);
	json_set_int(request, "memory_bytes", (int64_t)memory_bytes);
	json_set_int(request, "vps", vps ? strtoll(vps, NULL, 10) : 1);
	json_set_string(
		request, "cmdline", ctl_option(args, "cmdline") ? ctl_option(args, "cmdline") : "");
	if (ctl_option(args, "node"))
		json_set_string(request, "node", ctl_option(args, "node"));
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	return r ? r : args->json ? ctl_print_json(reply) : EXIT_OK;
}

/* ---- verbs without an answer ---- */

static int simple(const struct ctl_args *args, const char *op, unsigned timeout_ms)
{
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request(op);
	int r;

	json_set_string(request, "vm", args->positional[0]);
	if (ctl_option(args, "node"))
		json_set_string(request, "node", ctl_option(args, "node"));
	r = ctl_call(args, request, timeout_ms, &reply);
	return r ? r : args->json ? ctl_print_json(reply) : EXIT_OK;
}

int cmd_vm_delete(const struct ctl_args *args)
{
	return simple(args, "vm.delete", TIMEOUT_MS);
}

int cmd_vm_start(const struct ctl_args *args)
{
	return simple(args, "vm.start", START_TIMEOUT_MS);
}

int cmd_vm_stop(const struct ctl_args *args)
{
	return simple(args, "vm.stop", TIMEOUT_MS);
}

/* ---- serial ---- */

/* Does `line` begin with one of the alternatives in `until` ("ok|err")? */
static bool line_matches(const char *line, const char *until)
{
	while (*until) {
		size_t len = strcspn(until, "|");

		if (len && strncmp(line, until, len) == 0)
			return true;
		until += len + (until[len] == '|');
	}
	return false;
}

static int serial_call(const struct ctl_args *args, const char *send, int64_t after,
	int64_t wait_ms, struct json **ret_reply)
{
	struct json *request = ctl_request("vm.serial");

	json_set_string(request, "vm", args->positional[0]);
	if (send) {
		json_set_stringf(request, "send", "%s\n", send);
	} else {
		json_set_int(request, "after", after);
		json_set_int(request, "wait_ms", wait_ms);
	}
	return ctl_call(args, request, TIMEOUT_MS, ret_reply);
}

/* Print complete lines of `pending`; true when one matched. */
static bool print_lines(char *pending, const char *until)
{
	char *start = pending, *end;
	bool matched = false;

	while (!matched && (end = strchr(start, '\n'))) {
		*end = '\0';
		puts(start);
		matched = until && line_matches(start, until);
		start = end + 1;
	}
	memmove(pending, start, strlen(start) + 1);
	return matched;
}

static int serial_until(
	const struct ctl_args *args, const char *until, int64_t after, uint64_t end_ns)
{
	_cleanup_free_ char *pending = calloc(1, 1);

	while (clock_mono_ns() < end_ns) {
		_cleanup_json_ struct json *reply = NULL;
		const char *text;
		int r = serial_call(args, NULL, after, SERIAL_WAIT_MS, &reply);

		if (r)
			return r;
		text = json_get_string(reply, "text", "");
		after = json_get_int(reply, "end", after);
		pending = pending ? realloc(pending, strlen(pending) + strlen(text) + 1) : NULL;
		if (!pending)
			return ctl_fail(EXIT_FAILED, "out of memory");
		strcat(pending, text);
		if (print_lines(pending, until))
			return EXIT_OK;
		fflush(stdout);
	}
	return ctl_fail(EXIT_FAILED, "no line beginning with '%s' came in time", until);
}

int cmd_vm_serial(const struct ctl_args *args)
{
	const char *send = ctl_option(args, "send");
	const char *until = ctl_option(args, "until");
	const char *timeout = ctl_option(args, "timeout");
	uint64_t seconds = timeout ? strtoull(timeout, NULL, 10) : 10;
	int64_t after = 0;

	if (send) {
		_cleanup_json_ struct json *reply = NULL;
		int r = serial_call(args, send, 0, 0, &reply);

		if (r)
			return r;
		after = json_get_int(reply, "end", 0);
	}
	if (until)
		return serial_until(args, until, after, clock_mono_ns() + seconds * NS_PER_SEC);
	if (!send) {
		_cleanup_json_ struct json *reply = NULL;
		int r = serial_call(args, NULL, 0, 0, &reply);

		if (r)
			return r;
		fputs(json_get_string(reply, "text", ""), stdout);
	}
	return EXIT_OK;
}
