/* SPDX-License-Identifier: MIT */
#include "node/host/nic_state.h"

#include "node/host/nic.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_NAME "nic-bindings.json"
#define VERSION   1

struct nic_state {
	char *path, *aside, *folder;
	struct json *nics;
};

/* ---- what a file may hold ---- */

static bool family_is_valid(const struct json *value, int family)
{
	const struct json *addresses = json_get(value, "addresses");
	const struct json *routes = json_get(value, "routes");
	struct host_address address;
	struct host_route route;

	if (!json_is_array(addresses) || !json_is_array(routes) ||
		json_length(addresses) > HOST_MAX_ADDRESSES ||
		json_length(routes) > HOST_MAX_ROUTES)
		return false;
	for (size_t i = 0; i < json_length(addresses); i++) {
		if (host_address_from_json(json_at(addresses, i), &address) < 0 ||
			address.family != family)
			return false;
	}
	for (size_t i = 0; i < json_length(routes); i++) {
		if (host_route_from_json(json_at(routes, i), &route) < 0 || route.family != family)
			return false;
	}
	return true;
}

static bool taken_is_valid(const struct json *value)
{
	const struct json *components = json_get(value, "components");

	for (size_t i = 0; i < json_length(components); i++) {
		if (!json_is_string(json_at(components, i)))
			return false;
	}
	return json_is_string(json_get(value, "switch")) && json_is_bool(json_get(value, "up")) &&
	       json_is_bool(json_get(value, "arp")) && json_is_array(components);
}

static bool member_is_valid(const char *key, const struct json *value)
{
	if (strcmp(key, "ipv4") == 0)
		return family_is_valid(value, AF_INET);
	if (strcmp(key, "ipv6") == 0)
		return family_is_valid(value, AF_INET6);
	if (strcmp(key, "bridge") == 0 || strcmp(key, "team") == 0)
		return host_nic_name_is_valid(json_get_string(value, "master", ""));
	return strcmp(key, "taken") == 0 && taken_is_valid(value);
}

static bool nics_are_valid(const struct json *nics)
{
	struct json *nic, *value;
	const char *name, *key;
	void *at = NULL, *inner;

	if (!json_is_object(nics))
		return false;
	while (json_next(nics, &at, &name, &nic)) {
		if (!host_nic_name_is_valid(name) || !json_is_object(nic))
			return false;
		for (inner = NULL; json_next(nic, &inner, &key, &value);) {
			if (!member_is_valid(key, value))
				return false;
		}
	}
	return true;
}

/* ---- the file ---- */

static int read_file(const char *path, struct json **ret_json)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_free_ char *text = NULL;
	struct stat status;
	ssize_t n;

	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || status.st_size > JSON_MAX_BYTES)
		return -EBADMSG;
	text = malloc((size_t)status.st_size + 1);
	if (!text)
		return -ENOMEM;
	n = read(fd, text, (size_t)status.st_size);
	if (n < 0)
		return -errno;
	return json_parse(text, (size_t)n, ret_json);
}

static int load(struct nic_state *state)
{
	_cleanup_json_ struct json *file = NULL;
	struct json *nics;
	int r = read_file(state->path, &file);

	if (r == 0 && (json_get_int(file, "version", 0) != VERSION ||
			      !nics_are_valid(json_get(file, "nics"))))
		r = -EBADMSG;
	if (r < 0 && r != -ENOENT)
		return r;
	nics = file ? json_ref(json_get(file, "nics")) : json_object_new();
	if (!nics)
		return -ENOMEM;
	json_unref(state->nics);
	state->nics = nics;
	return 0;
}

void nic_state_reload(struct nic_state *state)
{
	load(state);
}

int nic_state_load(const char *state_dir, struct nic_state **ret_state)
{
	struct nic_state *state = calloc(1, sizeof(*state));
	int r = -ENOMEM;

	if (!state)
		return -ENOMEM;
	state->folder = strdup(state_dir);
	if (!state->folder || asprintf(&state->path, "%s/%s", state_dir, FILE_NAME) < 0 ||
		asprintf(&state->aside, "%s.new", state->path) < 0)
		goto fail;
	r = load(state);
	if (r < 0)
		goto fail;
	*ret_state = state;
	return 0;
fail:
	nic_state_free(state);
	return r;
}

void nic_state_free(struct nic_state *state)
{
	if (!state)
		return;
	json_unref(state->nics);
	free(state->path);
	free(state->aside);
	free(state->folder);
	free(state);
}

const char *nic_state_path(const struct nic_state *state)
{
	return state->path;
}

static int write_aside(const struct nic_state *state, const char *text)
{
	_cleanup_close_ int fd =
		open(state->aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t left = strlen(text);
	ssize_t n;

	if (fd < 0)
		return -errno;
	for (; left; text += n, left -= (size_t)n) {
		n = write(fd, text, left);
		if (n < 0)
			return -errno;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int nic_state_save(struct nic_state *state)
{
	_cleanup_close_ int folder = open(state->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_json_ struct json *file = json_object_new();
	_cleanup_free_ char *text = NULL;
	int r;

	if (folder < 0)
		return -errno;
	if (json_set_int(file, "version", VERSION) < 0 ||
		json_set(file, "nics", json_ref(state->nics)) < 0)
		return -ENOMEM;
	text = json_dump(file, 2);
	if (!text)
		return -ENOMEM;
	r = write_aside(state, text);
	if (r == 0 && rename(state->aside, state->path) < 0)
		r = -errno;
	/* The name itself must survive a crash too. */
	if (r == 0 && fsync(folder) < 0)
		r = -errno;
	return r;
}

/* ---- what is remembered ---- */

const struct json *nic_state_get(const struct nic_state *state, const char *nic, const char *key)
{
	return json_get(json_get(state->nics, nic), key);
}

int nic_state_put(struct nic_state *state, const char *nic, const char *key, struct json *value)
{
	struct json *entry = json_get(state->nics, nic);
	const char *some_key;
	struct json *some;
	void *at = NULL;
	int r;

	if (!value) {
		json_delete(entry, key);
		if (entry && !json_next(entry, &at, &some_key, &some))
			json_delete(state->nics, nic);
		return 0;
	}
	if (!host_nic_name_is_valid(nic) || !member_is_valid(key, value)) {
		json_unref(value);
		return -EINVAL;
	}
	if (!entry) {
		r = json_set(state->nics, nic, json_object_new());
		if (r < 0) {
			json_unref(value);
			return r;
		}
		entry = json_get(state->nics, nic);
	}
	return json_set(entry, key, value);
}
