/* SPDX-License-Identifier: MIT
 *
 * cluster backup, cluster restore.
 */
#include "node/ctl/ctl.h"

#include "base/bytes.h"
#include "cluster/backup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TIMEOUT_MS 15000

static void backup_freep(struct backup **backup)
{
	backup_free(*backup);
}

static void plan_freep(struct restore_plan **plan)
{
	restore_plan_free(*plan);
}

#define _cleanup_backup_ __attribute__((cleanup(backup_freep)))
#define _cleanup_plan_   __attribute__((cleanup(plan_freep)))

/* ---- the store of now ---- */

static int take_entries(struct backup *backup, const struct json *entries)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < json_length(entries); i++) {
		const struct json *entry = json_at(entries, i);

		r = backup_add(backup, json_get_string(entry, "key", ""),
			(uint64_t)json_get_int(entry, "version", 0),
			json_ref(json_get(entry, "value")));
	}
	return r;
}

static int read_entries(const struct ctl_args *args, int64_t view, struct backup *backup)
{
	for (;;) {
		_cleanup_json_ struct json *reply = NULL;
		struct json *request = ctl_request("store.read");
		const struct json *entries;
		int r;

		json_set_int(request, "view", view);
		json_set_int(request, "from", (int64_t)backup->n_entries);
		r = ctl_call(args, request, TIMEOUT_MS, &reply);
		if (r)
			return r;
		entries = json_get(reply, "entries");
		if (json_length(entries) == 0)
			return EXIT_OK;
		if (take_entries(backup, entries) < 0)
			return ctl_fail(
				EXIT_FAILED, "what viaductd says of the store makes no sense");
	}
}

/* All of it, at one version. */
static int read_store(const struct ctl_args *args, struct backup **ret_backup)
{
	_cleanup_backup_ struct backup *backup = calloc(1, sizeof(*backup));
	_cleanup_json_ struct json *reply = NULL;
	int r;

	if (!backup)
		return ctl_fail(EXIT_FAILED, "no memory");
	r = ctl_call(args, ctl_request("store.view"), TIMEOUT_MS, &reply);
	if (r)
		return r;
	snprintf(backup->node, sizeof(backup->node), "%s", json_get_string(reply, "node", ""));
	backup->quorate = json_get_bool(reply, "quorate", false);
	backup->generation = (uint64_t)json_get_int(reply, "generation", 0);
	backup->store_version = (uint64_t)json_get_int(reply, "store_version", 0);
	r = read_entries(args, json_get_int(reply, "view", 0), backup);
	if (r == EXIT_OK && backup->n_entries != (size_t)json_get_int(reply, "keys", -1))
		r = ctl_fail(EXIT_FAILED, "viaductd did not give the whole store");
	if (r == EXIT_OK)
		*ret_backup = take_ptr(backup);
	return r;
}

/* ---- backup ---- */

static int write_all(int fd, const struct buf *out)
{
	size_t at = 0;
	ssize_t n;

	while (at < out->size_bytes) {
		n = write(fd, out->data + at, out->size_bytes - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int sync_folder(const char *path)
{
	_cleanup_free_ char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;
	int fd, r;

	if (!folder)
		return -ENOMEM;
	if (slash)
		slash[slash == folder] = '\0';
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return r;
}

/* It has its name when it is whole, and what had that name before is there until then. */
static int save_file(const char *path, const struct buf *out)
{
	char aside[PATH_MAX];
	int fd, r;

	if (snprintf(aside, sizeof(aside), "%s.%ld.new", path, (long)getpid()) >=
		(int)sizeof(aside))
		return -ENAMETOOLONG;
	fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, out);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(aside, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(aside);
		return r;
	}
	return sync_folder(path);
}

static int print_backup(const struct ctl_args *args, const struct backup *backup, size_t size_bytes)
{
	_cleanup_json_ struct json *result = json_object_new();

	if (args->json) {
		json_set_string(result, "file", args->positional[0]);
		json_set_int(result, "keys", (int64_t)backup->n_entries);
		json_set_int(result, "generation", (int64_t)backup->generation);
		json_set_bool(result, "quorate", backup->quorate);
		json_set_int(result, "bytes", (int64_t)size_bytes);
		return ctl_print_json(result);
	}
	printf("%s: %zu keys of generation %llu, %zu bytes\n", args->positional[0],
		backup->n_entries, (unsigned long long)backup->generation, size_bytes);
	printf("It has the settings and addresses of all nodes, networks and VMs and nodes' public "
	       "keys; no private\nkeys, no disks, nothing of the guests' memory.\n");
	return EXIT_OK;
}

int cmd_cluster_backup(const struct ctl_args *args)
{
	_cleanup_backup_ struct backup *backup = NULL;
	struct buf out = {};
	int r = read_store(args, &backup);

	if (r)
		return r;
	if (!backup->quorate)
		fprintf(stderr,
			"viaduct: warning: this node is not in sync with a quorum: the backup is "
			"what it "
			"knew last (generation %llu), and may be old\n",
			(unsigned long long)backup->generation);
	r = backup_write(backup, &out);
	if (r == 0)
		r = save_file(args->positional[0], &out);
	r = r < 0 ? ctl_fail(EXIT_FAILED, "%s cannot be written: %s", args->positional[0],
			    strerror(-r))
		  : print_backup(args, backup, out.size_bytes);
	buf_fini(&out);
	return r;
}

/* ---- restore ---- */

static int read_file(const char *path, struct buf *out)
{
	struct stat info;
	uint8_t *to;
	ssize_t n = 1;
	int fd, r = 0;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &info) < 0)
		r = -errno;
	else if (!S_ISREG(info.st_mode))
		r = -EINVAL;
	else if (info.st_size > BACKUP_MAX_BYTES)
		r = -EFBIG;
	while (r == 0 && n > 0 && out->size_bytes <= BACKUP_MAX_BYTES) {
		uint8_t part[65536];

		n = read(fd, part, sizeof(part));
		if (n < 0)
			r = -errno;
		to = n > 0 ? buf_extend(out, (size_t)n) : NULL;
		if (to)
			memcpy(to, part, (size_t)n);
		if (out->failed)
			r = -ENOMEM;
	}
	close(fd);
	return r;
}

static int load_backup(const char *path, struct backup **ret_backup)
{
	struct backup_error error = {};
	struct buf bytes = {};
	int r = read_file(path, &bytes);

	if (r < 0) {
		buf_fini(&bytes);
		return ctl_fail(EXIT_FAILED, "%s cannot be read: %s", path,
			r == -EINVAL  ? "it is no file"
			: r == -EFBIG ? "it is larger than any backup"
				      : strerror(-r));
	}
	r = backup_parse(bytes.data, bytes.size_bytes, ret_backup, &error);
	buf_fini(&bytes);
	if (r == -EBADMSG)
		return ctl_fail(EXIT_REFUSED, "%s, line %zu: %s; nothing was changed", path,
			error.line, error.text);
	return r < 0 ? ctl_fail(EXIT_FAILED, "%s: %s", path, strerror(-r)) : EXIT_OK;
}

static const char *const action_names[] = {[RESTORE_ADD] = "add",
	[RESTORE_CHANGE] = "change",
	[RESTORE_REMOVE] = "remove",
	[RESTORE_LEAVE] = "leave"};

static size_t count(const struct restore_plan *plan, enum restore_action action)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->n_steps; i++)
		n += plan->steps[i].action == action;
	return n;
}

static void print_plan(const struct restore_plan *plan)
{
	static const char *const headings[] = {"What", "Key", "Why not"};
	struct table *table;

	if (plan->n_steps > 0) {
		table = table_new(headings, ARRAY_LEN(headings));
		for (size_t i = 0; i < plan->n_steps; i++) {
			table_cell(table, "%s", action_names[plan->steps[i].action]);
			table_cell(table, "%s", plan->steps[i].key);
			table_cell(table, "%s", plan->steps[i].reason);
		}
		table_print(table);
	}
	printf("%s%zu to add, %zu to change, %zu to remove, %zu left alone; %zu are as in the "
	       "backup\n",
		plan->n_steps > 0 ? "\n" : "", count(plan, RESTORE_ADD),
		count(plan, RESTORE_CHANGE), count(plan, RESTORE_REMOVE),
		count(plan, RESTORE_LEAVE), plan->n_same);
	printf("%zu keys say what is true now (owners, states, nodes, leases): they are not "
	       "touched\n",
		plan->n_facts);
}

static struct json *plan_json(const struct restore_plan *plan)
{
	struct json *result = json_object_new(), *steps = json_array_new();

	for (size_t i = 0; i < plan->n_steps; i++) {
		struct json *step = json_object_new();

		json_set_string(step, "action", action_names[plan->steps[i].action]);
		json_set_string(step, "key", plan->steps[i].key);
		json_set_string(step, "reason", plan->steps[i].reason);
		json_append(steps, step);
	}
	json_set(result, "steps", steps);
	json_set_int(result, "same", (int64_t)plan->n_same);
	json_set_int(result, "untouched", (int64_t)plan->n_facts);
	return result;
}

static int do_step(const struct ctl_args *args, const struct restore_step *step)
{
	struct json *request = ctl_request("store.restore");
	_cleanup_json_ struct json *reply = NULL;

	json_set_string(request, "key", step->key);
	json_set_int(request, "expected", (int64_t)step->expected);
	if (step->action != RESTORE_REMOVE)
		json_set(request, "value", json_ref(step->value));
	return ctl_call(args, request, TIMEOUT_MS, &reply);
}

/* Each step is a compare-and-set: what has changed since is not overwritten. */
static int do_plan(const struct ctl_args *args, const struct restore_plan *plan)
{
	size_t n_done = 0, n_todo = plan->n_steps - count(plan, RESTORE_LEAVE);
	int r = EXIT_OK;

	for (size_t i = 0; r == EXIT_OK && i < plan->n_steps; i++) {
		if (plan->steps[i].action == RESTORE_LEAVE)
			continue;
		r = do_step(args, &plan->steps[i]);
		n_done += r == EXIT_OK;
		if (r)
			fprintf(stderr,
				"viaduct: %zu of %zu were done; %s %s was perhaps not, the rest "
				"was not. Run the "
				"same command again: it does what is left\n",
				n_done, n_todo, action_names[plan->steps[i].action],
				plan->steps[i].key);
	}
	if (r == EXIT_OK && !args->json)
		printf("all %zu done\n", n_done);
	return r;
}

int cmd_cluster_restore(const struct ctl_args *args)
{
	_cleanup_backup_ struct backup *then = NULL, *now = NULL;
	_cleanup_plan_ struct restore_plan *plan = NULL;
	_cleanup_json_ struct json *result = NULL;
	int r = load_backup(args->positional[0], &then);

	if (r == EXIT_OK)
		r = read_store(args, &now);
	if (r)
		return r;
	if (restore_plan_new(then, now, &plan) < 0)
		return ctl_fail(EXIT_FAILED, "no memory");
	if (!args->json)
		print_plan(plan);
	result = plan_json(plan);
	if (ctl_option(args, "dry-run"))
		return args->json ? ctl_print_json(result) : EXIT_OK;
	if (!now->quorate)
		return ctl_fail(EXIT_NO_QUORUM,
			"this node is not in sync with a quorum, so nothing may be changed; see "
			"'viaduct cluster status'");
	r = do_plan(args, plan);
	return r == EXIT_OK && args->json ? ctl_print_json(result) : r;
}
