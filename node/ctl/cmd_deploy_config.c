/* SPDX-License-Identifier: MIT
 *
 * cmd_deploy_config.c - `cluster config`: corosync's files of one node, from the cluster's file,
 * before there is a cluster.
 */
#include "cluster/corosync_conf.h"
#include "node/ctl/ctl.h"
#include "node/ctl/deploy_file.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

/* ---- from the file to corosync's terms ---- */

static int link_of(const struct json *file, const char *network)
{
	const struct json *networks = json_get(file, "networks");

	for (size_t i = 0; i < json_length(networks); i++) {
		const struct json *net = json_at(networks, i);

		if (strcmp(json_get_string(net, "name", ""), network) == 0)
			return (int)json_get_int(net, "link", -1);
	}
	return -1;
}

static void read_node(
	const struct json *file, const struct json *node, struct corosync_node *ret_node)
{
	struct json *address;
	const char *network;
	void *at = NULL;

	memset(ret_node, 0, sizeof(*ret_node));
	ret_node->id = (uint32_t)json_get_int(node, "id", 0);
	snprintf(ret_node->name, sizeof(ret_node->name), "%s", json_get_string(node, "name", ""));
	while (json_next(json_get(node, "addresses"), &at, &network, &address)) {
		int link = link_of(file, network);

		if (link >= 0 && link < COROSYNC_CONF_MAX_LINKS)
			snprintf(ret_node->address[link], sizeof(ret_node->address[0]), "%s",
				json_string(address, ""));
	}
}

static void read_spec(const struct json *file, struct corosync_spec *ret_spec)
{
	const struct json *cluster = json_get(file, "cluster"), *nodes = json_get(file, "nodes");

	memset(ret_spec, 0, sizeof(*ret_spec));
	snprintf(
		ret_spec->name, sizeof(ret_spec->name), "%s", json_get_string(cluster, "name", ""));
	ret_spec->fast = strcmp(json_get_string(cluster, "token", ""), "fast") == 0;
	for (size_t i = 0; i < json_length(nodes) && i < COROSYNC_CONF_MAX_NODES; i++)
		read_node(file, json_at(nodes, i), &ret_spec->nodes[ret_spec->n_nodes++]);
	while (ret_spec->n_links < COROSYNC_CONF_MAX_LINKS &&
		ret_spec->nodes[0].address[ret_spec->n_links][0])
		ret_spec->n_links++;
}

/* ---- the two files ---- */

/* Is what is there another state of what we would write - made by us for this cluster -, or
 * nobody's? */
static bool is_known(const char *text, size_t len, const struct corosync_spec *spec)
{
	struct corosync_conf *conf;
	char error[256];
	bool known;

	if (corosync_conf_parse(text, len, &conf, error, sizeof(error)) < 0)
		return false;
	known = (strcmp(corosync_conf_name(conf), spec->name) == 0 &&
			strncmp(text, "# Made by 'viaduct", 18) == 0) ||
		corosync_conf_is_example(conf);
	corosync_conf_free(conf);
	return known;
}

static uint64_t version_of(const char *text, size_t len)
{
	struct corosync_conf *conf;
	uint64_t version;
	char error[256];

	if (corosync_conf_parse(text, len, &conf, error, sizeof(error)) < 0)
		return 0;
	version = corosync_conf_version(conf);
	corosync_conf_free(conf);
	return version;
}

static void print_written(const char *path, const char *backup)
{
	printf("%s: written", path);
	if (backup)
		printf("; what was there is %s", backup);
	puts("");
}

static int write_conf(
	const struct corosync_spec *spec, const char *path, bool force, bool *ret_written)
{
	_cleanup_free_ char *old = NULL, *new = NULL, *backup = NULL;
	size_t len = 0;
	uint64_t version;
	int r = deploy_read_all(path, COROSYNC_CONF_MAX_BYTES, &old, &len);

	if (r < 0 && r != -ENOENT && r != -EFBIG)
		return ctl_fail(EXIT_FAILED, "%s cannot be read: %s", path, strerror(-r));
	/* The same nodes are the same version; others must be a later one. */
	version = old ? version_of(old, len) : 0;
	new = corosync_conf_make(spec, version ? version : 1);
	if (!new)
		return ctl_fail(EXIT_FAILED, "out of memory");
	if (old && strcmp(old, new) == 0) {
		printf("%s: as it should be\n", path);
		return EXIT_OK;
	}
	if (r != -ENOENT && !force && (!old || !is_known(old, len, spec)))
		return ctl_fail(EXIT_REFUSED,
			"%s is there and is not of cluster %s as this command makes it; look at "
			"it, "
			"and say --force to replace it (a copy is kept)",
			path, spec->name);
	if (old) {
		free(new);
		new = corosync_conf_make(spec, version + 1);
		if (!new)
			return ctl_fail(EXIT_FAILED, "out of memory");
		deploy_print_diff(old, new);
	}
	r = deploy_write(path, new, strlen(new), 0644, &backup);
	if (r < 0)
		return ctl_fail(EXIT_FAILED, "%s cannot be written: %s", path, strerror(-r));
	print_written(path, backup);
	*ret_written = true;
	return EXIT_OK;
}

/* Only root may read it: whoever has it is a member. */
static int write_key(const char *path, bool new_key, bool force)
{
	uint8_t key[COROSYNC_KEY_NEW_BYTES];
	_cleanup_free_ char *old = NULL, *backup = NULL;
	struct stat st;
	size_t len = 0;
	int r = deploy_read_all(path, COROSYNC_KEY_MAX_BYTES, &old, &len);

	if (r == 0 && len >= COROSYNC_KEY_MIN_BYTES && !(new_key && force)) {
		if (stat(path, &st) == 0 && st.st_mode & 077 && chmod(path, 0400) < 0)
			return ctl_fail(
				EXIT_FAILED, "%s is readable by others: %s", path, strerror(errno));
		printf("%s: kept%s\n", path,
			new_key ? " (--new-key makes a first one; with --force another)" : "");
		return EXIT_OK;
	}
	if (r == 0 && !force)
		return ctl_fail(EXIT_REFUSED,
			"%s is no key of corosync: it has %zu bytes; --new-key --force replaces it",
			path, len);
	if (!new_key)
		return ctl_fail(EXIT_REFUSED,
			"there is no key %s, and all nodes must have the same one: make it on the "
			"first node with --new-key, copy it to the others (scp -p)",
			path);
	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return ctl_fail(EXIT_FAILED, "no random bytes: %s", strerror(errno));
	r = deploy_write(path, key, sizeof(key), 0400, &backup);
	explicit_bzero(key, sizeof(key));
	if (r < 0)
		return ctl_fail(EXIT_FAILED, "%s cannot be written: %s", path, strerror(-r));
	print_written(path, backup);
	puts("Copy it to the other nodes, as it is: scp -p. Whoever has it can join the cluster.");
	return EXIT_OK;
}

int cmd_cluster_config(const struct ctl_args *args)
{
	_cleanup_free_ struct corosync_spec *spec = calloc(1, sizeof(*spec));
	const char *node = ctl_option(args, "node");
	const char *dir = ctl_option(args, "out") ? ctl_option(args, "out") : DEPLOY_COROSYNC_DIR;
	bool force = ctl_option(args, "force") != NULL, found = false, written = false;
	_cleanup_json_ struct json *file = NULL;
	char path[512];
	int code;

	if (!node)
		return ctl_fail(EXIT_USAGE, "--node NAME is needed: the node that this is for");
	code = spec ? deploy_file_read(args->positional[0], &file) : EXIT_FAILED;
	if (code != EXIT_OK)
		return code;
	read_spec(file, spec);
	for (size_t i = 0; i < spec->n_nodes; i++)
		found |= strcmp(spec->nodes[i].name, node) == 0;
	if (!found)
		return ctl_fail(EXIT_NOT_FOUND, "%s has no node '%s'", args->positional[0], node);
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return ctl_fail(EXIT_FAILED, "%s cannot be made: %s", dir, strerror(errno));
	snprintf(path, sizeof(path), "%s/corosync.conf", dir);
	code = write_conf(spec, path, force, &written);
	if (code != EXIT_OK)
		return code;
	snprintf(path, sizeof(path), "%s/authkey", dir);
	code = write_key(path, ctl_option(args, "new-key") != NULL, force);
	if (code == EXIT_OK && written && !ctl_option(args, "out"))
		puts("corosync takes part with it when it is started again: systemctl restart "
		     "corosync");
	return code;
}
