/* SPDX-License-Identifier: MIT
 *
 * cmd_vm_create.c - `vm create`, and what its options mean.
 */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 15000

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
		r = ctl_parse_nic(spec, nics);
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
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	return r ? r : args->json ? ctl_print_json(reply) : EXIT_OK;
}
