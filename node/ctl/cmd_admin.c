/* SPDX-License-Identifier: MIT
 *
 * cmd_admin.c - keys for administering the cluster over the network. The secret half is made here
 * and goes into the file; the cluster only ever sees the public one.
 */
#include "node/ctl/link.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_MS 15000

/* "NODE=HOST": in front of the addresses that the cluster knows of that node. */
static int prepend_address(struct json *servers, const char *spec)
{
	const char *equals = strchr(spec, '=');
	char endpoint[300];

	if (!equals ||
		remote_endpoint(equals + 1, REMOTE_DEFAULT_PORT, endpoint, sizeof(endpoint)) < 0)
		return ctl_fail(EXIT_USAGE, "--address %s: say NODE=HOST or NODE=HOST:PORT", spec);
	for (size_t i = 0; i < json_length(servers); i++) {
		struct json *server = json_at(servers, i);
		const char *node = json_get_string(server, "node", "");
		const struct json *known = json_get(server, "addresses");
		struct json *addresses;

		if (strlen(node) != (size_t)(equals - spec) ||
			strncmp(node, spec, (size_t)(equals - spec)) != 0)
			continue;
		addresses = json_array_new();
		json_append_string(addresses, equals + 1);
		for (size_t k = 0; k < json_length(known); k++)
			json_append(addresses, json_ref(json_at(known, k)));
		json_set(server, "addresses", addresses);
		return EXIT_OK;
	}
	return ctl_fail(EXIT_NOT_FOUND, "--address %s: the cluster has no node of that name", spec);
}

static int add_addresses(const struct ctl_args *args, struct json *servers)
{
	const char *spec;

	for (unsigned i = 0; (spec = ctl_option_at(args, "address", i)); i++) {
		int r = prepend_address(servers, spec);

		if (r)
			return r;
	}
	return EXIT_OK;
}

static int write_file(int fd, struct json *file)
{
	_cleanup_free_ char *text = json_dump(file, 2);

	if (!text)
		return -ENOMEM;
	if (dprintf(fd, "%s\n", text) < 0 || fsync(fd) < 0)
		return -errno;
	explicit_bzero(text, strlen(text));
	return 0;
}

/* "role" and "expires_s" from the options. */
static int take_settings(const struct ctl_args *args, struct json *request)
{
	const char *expires = ctl_option(args, "expires");
	int64_t life_s = 0;

	if (ctl_option(args, "role"))
		json_set_string(request, "role", ctl_option(args, "role"));
	if (expires && strcmp(expires, "never") != 0 &&
		(ctl_parse_duration(expires, &life_s) < 0 || life_s == 0))
		return ctl_fail(EXIT_USAGE, "--expires %s: say 90d, 12h, or never", expires);
	if (expires)
		json_set_int(request, "expires_s", life_s);
	return EXIT_OK;
}

static int enroll(const struct ctl_args *args, int fd, struct json *file)
{
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("admin.enroll");
	char public_key[REMOTE_KEY_BYTES], secret_key[REMOTE_KEY_BYTES];
	int r = take_settings(args, request);

	if (r == EXIT_OK && zlink_keys(public_key, secret_key) < 0)
		r = ctl_fail(EXIT_FAILED, "no keys could be made");
	if (r) {
		json_unref(request);
		return r;
	}
	json_set_string(request, "name", args->positional[0]);
	json_set_string(request, "key", public_key);
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	if (r)
		return r;
	json_set_int(file, "viaduct_remote", 1);
	json_set_string(file, "name", args->positional[0]);
	json_set_string(file, "role", ctl_option(args, "role"));
	json_set_string(file, "public", public_key);
	json_set_string(file, "secret", secret_key);
	explicit_bzero(secret_key, sizeof(secret_key));
	json_set_int(file, "port", REMOTE_DEFAULT_PORT);
	json_set(file, "servers", json_ref(json_get(reply, "servers")));
	r = add_addresses(args, json_get(file, "servers"));
	if (r == EXIT_OK && write_file(fd, file) < 0)
		r = ctl_fail(EXIT_FAILED, "%s cannot be written: %s", ctl_option(args, "out"),
			strerror(errno));
	if (r)
		fprintf(stderr,
			"viaduct: %s is enrolled without a file; revoke it: viaduct admin revoke "
			"%s\n",
			args->positional[0], args->positional[0]);
	return r;
}

int cmd_admin_enroll(const struct ctl_args *args)
{
	_cleanup_json_ struct json *file = json_object_new();
	_cleanup_close_ int fd = -1;
	const char *path = ctl_option(args, "out");
	int r;

	if (!ctl_option(args, "role") || !path)
		return ctl_fail(EXIT_USAGE,
			"say what the key may do, --role read|operate|administer, "
			"and where it is to go, --out FILE");
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return ctl_fail(errno == EEXIST ? EXIT_CONFLICT : EXIT_FAILED, "%s: %s", path,
			errno == EEXIST ? "there is such a file already" : strerror(errno));
	r = enroll(args, fd, file);
	if (r) {
		unlink(path);
		return r;
	}
	if (!args->json)
		printf("%s is enrolled. The file is its key: bring it to its owner by a safe way, "
		       "then\n  viaduct --remote %s cluster status\n",
			args->positional[0], path);
	return args->json ? ctl_print_json(json_get(file, "servers")) : EXIT_OK;
}

static void cell_time(struct table *table, int64_t time_s, const char *none)
{
	time_t value = (time_t)time_s;
	char text[32] = "?";
	struct tm tm;

	if (localtime_r(&value, &tm))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &tm);
	table_cell(table, "%s", time_s ? text : none);
}

int cmd_admin_list(const struct ctl_args *args)
{
	static const char *const headings[] = {
		"Name", "Role", "State", "Since", "Expires", "Enrolled by"};
	_cleanup_json_ struct json *reply = NULL;
	const struct json *admins;
	struct table *table;
	int r = ctl_call(args, ctl_request("admin.list"), TIMEOUT_MS, &reply);

	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	admins = json_get(reply, "admins");
	table = table_new(headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < json_length(admins); i++) {
		const struct json *admin = json_at(admins, i);

		table_cell(table, "%s", json_get_string(admin, "name", ""));
		table_cell(table, "%s", json_get_string(admin, "role", ""));
		table_cell(table, "%s", json_get_string(admin, "state", ""));
		cell_time(table, json_get_int(admin, "since", 0), "?");
		cell_time(table, json_get_int(admin, "expires", 0), "never");
		table_cell(table, "%s", json_get_string(admin, "enrolled_by", ""));
	}
	table_print(table);
	return EXIT_OK;
}

static int ask_about(const struct ctl_args *args, const char *op)
{
	struct json *request = ctl_request(op);

	json_set_string(request, "name", args->positional[0]);
	return ctl_ask(args, request, take_settings(args, request), TIMEOUT_MS);
}

int cmd_admin_revoke(const struct ctl_args *args)
{
	return ask_about(args, "admin.revoke");
}

int cmd_admin_set(const struct ctl_args *args)
{
	if (!ctl_option(args, "role") && !ctl_option(args, "expires"))
		return ctl_fail(EXIT_USAGE, "nothing to change: say --role or --expires");
	return ask_about(args, "admin.set");
}
