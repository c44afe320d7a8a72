/* SPDX-License-Identifier: MIT
 *
 * cmd_disk.c - `vm disk ...`: disks and media of a VM, running or not.
 */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 45000

static int disk_item(struct json *disk, const char *key, const char *value)
{
	char *end;
	long long lun;

	if (strcmp(key, "serial") == 0) {
		json_set_string(disk, key, value);
	} else if (strcmp(key, "lun") == 0) {
		lun = strtoll(value, &end, 10);
		if (end == value || *end)
			return -EINVAL;
		json_set_int(disk, key, lun);
	} else if (strcmp(key, "read-only") == 0 && strcmp(value, "on") == 0) {
		json_set_bool(disk, "read_only", true);
	} else {
		return -EINVAL;
	}
	return 0;
}

static int set_path(struct json *disk, const char *kind, const char *name)
{
	_cleanup_free_ char *path = NULL;

	if (!name[0] && strcmp(kind, "dvd") == 0)
		return EXIT_OK; /* an empty drive */
	path = realpath(name, NULL);
	if (!path)
		return ctl_fail(EXIT_USAGE, "--%s %s cannot be found", kind, name);
	json_set_string(disk, "path", path);
	return EXIT_OK;
}

/* "FILE[,lun=N][,serial=TEXT][,read-only=on]" */
int ctl_parse_disk(const char *spec, const char *kind, struct json *disks)
{
	_cleanup_free_ char *copy = strdup(spec);
	struct json *disk = json_object_new();
	char *rest = copy, *item = strsep(&rest, ",");
	int r = set_path(disk, kind, item);

	json_set_string(disk, "kind", kind);
	while (r == EXIT_OK && (item = strsep(&rest, ","))) {
		char *value = strchr(item, '=');

		if (value)
			*value++ = '\0';
		if (!value || disk_item(disk, item, value) < 0)
			r = ctl_fail(EXIT_USAGE,
				"--%s '%s': '%s' is not one of lun=N, serial=TEXT, read-only=on",
				kind, spec, item);
	}
	if (r != EXIT_OK)
		json_unref(disk);
	else
		json_append(disks, disk);
	return r;
}

static int set_lun(const struct ctl_args *args, struct json *request)
{
	char *end;
	long long lun = strtoll(args->positional[1], &end, 10);

	if (end == args->positional[1] || *end || lun < 0)
		return ctl_fail(EXIT_USAGE, "'%s' is no LUN; 'viaduct vm show %s' lists them",
			args->positional[1], args->positional[0]);
	json_set_int(request, "lun", lun);
	return EXIT_OK;
}

static int ask(const struct ctl_args *args, struct json *request)
{
	_cleanup_json_ struct json *reply = NULL;
	int r;

	json_set_string(request, "vm", args->positional[0]);
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	return r ? r : args->json ? ctl_print_json(reply) : EXIT_OK;
}

static int with_lun(const struct ctl_args *args, struct json *request)
{
	int r = set_lun(args, request);

	if (r != EXIT_OK) {
		json_unref(request);
		return r;
	}
	return ask(args, request);
}

int cmd_disk_add(const struct ctl_args *args)
{
	_cleanup_json_ struct json *disks = json_array_new();
	struct json *request;
	int r = ctl_parse_disk(
		args->positional[1], ctl_option(args, "dvd") ? "dvd" : "disk", disks);

	if (r != EXIT_OK)
		return r;
	request = ctl_request("disk.add");
	json_set(request, "disk", json_ref(json_at(disks, 0)));
	return ask(args, request);
}

int cmd_disk_remove(const struct ctl_args *args)
{
	return with_lun(args, ctl_request("disk.remove"));
}

int cmd_disk_resized(const struct ctl_args *args)
{
	return with_lun(args, ctl_request("disk.resized"));
}

int cmd_disk_eject(const struct ctl_args *args)
{
	struct json *request = ctl_request("disk.medium");

	json_set_bool(request, "force", ctl_option(args, "force") != NULL);
	return with_lun(args, request);
}

int cmd_disk_insert(const struct ctl_args *args)
{
	struct json *request = ctl_request("disk.medium");
	int r = set_path(request, "disk", args->positional[2]);

	if (r != EXIT_OK) {
		json_unref(request);
		return r;
	}
	json_set_bool(request, "force", ctl_option(args, "force") != NULL);
	return with_lun(args, request);
}
