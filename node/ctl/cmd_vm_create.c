/* SPDX-License-Identifier: MIT
 *
 * cmd_vm_create.c - `vm create`, and what its options mean.
 */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 15000

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

/* A file's absolute path: the node service stands elsewhere. */
static int set_file(
	const struct ctl_args *args, struct json *request, const char *option, bool required)
{
	const char *name = ctl_option(args, option);
	_cleanup_free_ char *path = name ? realpath(name, NULL) : NULL;

	if (!name)
		return required ? ctl_fail(EXIT_USAGE, "--%s FILE is needed", option) : EXIT_OK;
	if (!path)
		return ctl_fail(EXIT_USAGE, "--%s %s cannot be found", option, name);
	json_set_string(request, option, path);
	return EXIT_OK;
}

int cmd_vm_create(const struct ctl_args *args)
{
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("vm.create");
	struct json *nics = json_array_new();
	const char *vps = ctl_option(args, "vps");
	struct json *disks = json_array_new();
	const char *spec;
	int r;

	json_set(request, "nics", nics);
	json_set(request, "disks", disks);
	r = set_file(args, request, "kernel", true);
	if (r == EXIT_OK)
		r = set_file(args, request, "initrd", false);
	if (r == EXIT_OK)
		r = ctl_set_size(args, request, "memory", "memory_bytes", "128M");
	if (r == EXIT_OK)
		r = ctl_set_size(args, request, "min-memory", "min_memory_bytes", NULL);
	if (r == EXIT_OK)
		r = ctl_set_size(args, request, "max-memory", "max_memory_bytes", NULL);
	if (r == EXIT_OK)
		r = ctl_set_size(args, request, "video", "vram_bytes",
			ctl_option(args, "no-video") ? "0" : "8M");
	for (unsigned i = 0; r == EXIT_OK && (spec = ctl_option_at(args, "nic", i)); i++)
		r = parse_nic(spec, nics);
	for (unsigned i = 0; r == EXIT_OK && (spec = ctl_option_at(args, "disk", i)); i++)
		r = ctl_parse_disk(spec, "disk", disks);
	for (unsigned i = 0; r == EXIT_OK && (spec = ctl_option_at(args, "dvd", i)); i++)
		r = ctl_parse_disk(spec, "dvd", disks);
	if (r != EXIT_OK) {
		json_unref(request);
		return r;
	}
	json_set_string(request, "name", args->positional[0]);
	json_set_int(request, "vps", vps ? strtoll(vps, NULL, 10) : 1);
	json_set_string(
		request, "cmdline", ctl_option(args, "cmdline") ? ctl_option(args, "cmdline") : "");
	if (ctl_option(args, "node"))
		json_set_string(request, "node", ctl_option(args, "node"));
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	return r ? r : args->json ? ctl_print_json(reply) : EXIT_OK;
}
