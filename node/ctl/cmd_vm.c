/* SPDX-License-Identifier: MIT */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS       15000
#define START_TIMEOUT_MS 60000

/* ---- listings ---- */

static void describe_nic(const struct json *nic, char *text, size_t size_bytes)
{
	const char *mode = json_get_string(nic, "mode", "untagged");
	char vlan[160] = "";

	if (strcmp(mode, "untagged") != 0)
		ctl_describe_vlan(nic, vlan, sizeof(vlan));
	snprintf(text, size_bytes, "%.63s%s%s %.17s", json_get_string(nic, "switch", ""),
		vlan[0] ? " " : "", vlan, json_get_string(nic, "mac", ""));
}

int cmd_vm_list(const struct ctl_args *args)
{
	static const char *const headings[] = {
		"Name", "State", "Heartbeat", "Node", "Memory", "VPs", "Network", "Why"};
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
		table_cell(table, "%s", json_get_string(vm, "heartbeat", ""));
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

static void show_disks(const struct json *disks)
{
	for (size_t i = 0; i < json_length(disks); i++) {
		const struct json *disk = json_at(disks, i);
		bool is_dvd = strcmp(json_get_string(disk, "kind", ""), "dvd") == 0;

		printf("Disk %-7lld %s%s, serial %s\n", (long long)json_get_int(disk, "lun", 0),
			json_get_string(disk, "path", is_dvd ? "empty DVD drive" : ""),
			is_dvd && json_get(disk, "path")                     ? " (DVD)"
			: json_get_bool(disk, "read_only", false) && !is_dvd ? " (read-only)"
									     : "",
			json_get_string(disk, "serial", ""));
	}
}

/* What the guest says of itself. */
static void show_guest(const struct json *live)
{
	static const char *const lines[][2] = {
		{"OSName", "Guest system"},
		{"OSVersion", "  version"},
		{"FullyQualifiedDomainName", "Host name"},
		{"NetworkAddressIPv4", "IPv4"},
		{"NetworkAddressIPv6", "IPv6"},
	};
	const struct json *guest = json_get(live, "guest"), *memory = json_get(live, "memory");
	const struct json *storage = json_get(live, "storage");

	printf("Heartbeat    %s\n", json_get_string(live, "heartbeat", ""));
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		const char *value = json_get_string(guest, lines[i][0], "");

		if (value[0])
			printf("%-12s %s\n", lines[i][1], value);
	}
	if (json_get_bool(memory, "connected", false))
		printf("In use       %s assigned, %s wanted by the guest, %s ballooned, %s added\n",
			format_bytes((uint64_t)json_get_int(memory, "assigned_bytes", 0)),
			format_bytes((uint64_t)json_get_int(memory, "demand_bytes", 0)),
			format_bytes((uint64_t)json_get_int(memory, "ballooned_bytes", 0)),
			format_bytes((uint64_t)json_get_int(memory, "added_bytes", 0)));
	if (json_get_bool(storage, "ready", false))
		printf("Storage      protocol %s, %lld channels, read %s, written %s, %lld "
		       "errors\n",
			json_get_string(storage, "protocol", ""),
			(long long)json_get_int(storage, "channels", 0),
			format_bytes((uint64_t)json_get_int(storage, "read_bytes", 0)),
			format_bytes((uint64_t)json_get_int(storage, "written_bytes", 0)),
			(long long)json_get_int(storage, "errors", 0));
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
	if (json_get(vm, "initrd"))
		printf("Initial disk %s\n", json_get_string(vm, "initrd", ""));
	printf("Command line %s\n", json_get_string(vm, "cmdline", ""));
	for (size_t i = 0; i < json_length(nics); i++) {
		char nic[256];

		describe_nic(json_at(nics, i), nic, sizeof(nic));
		printf("Adapter %zu    %s\n", i, nic);
	}
	show_disks(json_get(vm, "disks"));
	if (json_get(vm, "vnc"))
		printf("VNC          %s (on its node, for root)\n", json_get_string(vm, "vnc", ""));
	if (json_get(vm, "live")) {
		show_guest(json_get(vm, "live"));
		show_live(json_get(vm, "live"));
	}
	return EXIT_OK;
}

/* ---- verbs without an answer ---- */

static int simple(const struct ctl_args *args, const char *op, unsigned timeout_ms)
{
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request(op);
	int r;

	json_set_string(request, "vm", args->positional[0]);
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
