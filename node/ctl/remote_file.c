/* SPDX-License-Identifier: MIT */
#include "node/ctl/remote_file.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_FILE_BYTES 65536

int remote_endpoint(const char *address, int64_t port, char *text, size_t size_bytes)
{
	const char *colon = strchr(address, ':');
	int n;

	if (!*address || port < 1 || port > 65535)
		return -EINVAL;
	for (const char *at = address; *at; at++) {
		if (!isalnum((unsigned char)*at) && !strchr(".-:[]%_", *at))
			return -EINVAL;
	}
	if (colon && (address[0] == '[' ? strstr(address, "]:") != NULL : !strchr(colon + 1, ':')))
		n = snprintf(text, size_bytes, "tcp://%s", address);
	else if (colon && address[0] != '[')
		n = snprintf(text, size_bytes, "tcp://[%s]:%d", address, (int)port);
	else
		n = snprintf(text, size_bytes, "tcp://%s:%d", address, (int)port);
	return n < (int)size_bytes ? 0 : -EINVAL;
}

static int copy_key(const struct json *object, const char *key, char ret_text[REMOTE_KEY_BYTES])
{
	const char *text = json_get_string(object, key, "");

	if (strlen(text) != REMOTE_KEY_BYTES - 1)
		return -EBADMSG;
	memcpy(ret_text, text, REMOTE_KEY_BYTES);
	return 0;
}

/* The address number `at` of each server. False: there are no more. */
static bool add_endpoints(struct remote_file *file, const struct json *root, size_t at)
{
	const struct json *servers = json_get(root, "servers");
	int64_t port = json_get_int(root, "port", REMOTE_DEFAULT_PORT);
	bool found = false;

	for (size_t i = 0; i < json_length(servers); i++) {
		const struct json *server = json_at(servers, i);
		const char *address = json_string(json_at(json_get(server, "addresses"), at), NULL);
		struct remote_endpoint *e = &file->endpoints[file->n];

		if (!address || file->n == REMOTE_MAX_ENDPOINTS)
			continue;
		found = true;
		snprintf(e->node, sizeof(e->node), "%s", json_get_string(server, "node", "?"));
		if (copy_key(server, "key", e->key) == 0 &&
			remote_endpoint(address, port, e->endpoint, sizeof(e->endpoint)) == 0)
			file->n++;
	}
	return found;
}

int remote_file_parse(
	const char *text, size_t len, struct remote_file *ret_file, char *error, size_t size_bytes)
{
	_cleanup_json_ struct json *root = NULL;
	_cleanup_free_ struct remote_file *file = calloc(1, sizeof(*file));
	const char *wrong = NULL;

	if (!file)
		return -ENOMEM;
	if (json_parse(text, len, &root) < 0 || !json_is_object(root))
		wrong = "it is no file that 'viaduct admin enroll' made";
	else if (json_get_int(root, "viaduct_remote", 0) != 1)
		wrong = "it is of another version of viaduct, or no file of 'viaduct admin enroll'";
	else if (copy_key(root, "public", file->public_key) < 0 ||
		 copy_key(root, "secret", file->secret_key) < 0)
		wrong = "its keys are damaged";
	for (size_t at = 0; !wrong && add_endpoints(file, root, at); at++)
		;
	if (!wrong && !file->n)
		wrong = "it names no server that makes sense";
	if (wrong) {
		snprintf(error, size_bytes, "%s", wrong);
		return -EBADMSG;
	}
	snprintf(file->name, sizeof(file->name), "%s", json_get_string(root, "name", "?"));
	*ret_file = *file;
	return 0;
}

int remote_file_load(const char *path, struct remote_file *ret_file, char *error, size_t size_bytes)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = malloc(MAX_FILE_BYTES);
	char wrong[160];
	struct stat st;
	ssize_t n;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		snprintf(error, size_bytes, "%s cannot be opened: %s", path, strerror(-r));
		return r;
	}
	if (S_ISREG(st.st_mode) && (st.st_mode & 077)) {
		snprintf(error, size_bytes,
			"%s holds a secret key, and others can read it: chmod 600 %s", path, path);
		return -EPERM;
	}
	n = text ? read(fd, text, MAX_FILE_BYTES) : -1;
	if (n < 0) {
		snprintf(error, size_bytes, "%s cannot be read", path);
		return -EIO;
	}
	r = remote_file_parse(text, (size_t)n, ret_file, wrong, sizeof(wrong));
	explicit_bzero(text, MAX_FILE_BYTES);
	if (r < 0)
		snprintf(error, size_bytes, "%s: %s", path, r == -EBADMSG ? wrong : strerror(-r));
	return r;
}
