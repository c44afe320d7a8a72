/* SPDX-License-Identifier: MIT
 *
 * remote_file.h - the file of an enrolled key: who, its two halves, where the cluster is. JSON:
 *
 *   {"viaduct_remote": 1, "name", "role", "expires", "public", "secret", "port",
 *    "servers": [{"node", "key", "addresses": ["10.10.1.1", "host1.example:5711", ...]}, ...]}
 *
 * Keys are Z85. The file is its owner's alone: one that others can read is refused.
 */
#ifndef VIADUCT_NODE_CTL_REMOTE_FILE_H
#define VIADUCT_NODE_CTL_REMOTE_FILE_H

#include "base/json.h"

#define REMOTE_KEY_BYTES     41 /* with NUL */
#define REMOTE_MAX_ENDPOINTS 32
#define REMOTE_DEFAULT_PORT  5711

struct remote_file {
	char name[64];
	char public_key[REMOTE_KEY_BYTES], secret_key[REMOTE_KEY_BYTES];
	size_t n;
	struct remote_endpoint {
		char node[64];
		char key[REMOTE_KEY_BYTES];
		char endpoint[300];        /* "tcp://10.10.1.1:5711" */
	} endpoints[REMOTE_MAX_ENDPOINTS]; /* the first of each node, then the second ones, ... */
};

/* Pure. 0, or -EBADMSG with what is wrong in `error`. */
int remote_file_parse(
	const char *text, size_t len, struct remote_file *ret_file, char *error, size_t size_bytes);
/* 0 or -errno, with a sentence. */
int remote_file_load(
	const char *path, struct remote_file *ret_file, char *error, size_t size_bytes);
/* HOST, HOST:PORT, an IPv6 address or [ADDRESS]:PORT as what ZeroMQ takes. 0 or -EINVAL. */
int remote_endpoint(const char *address, int64_t port, char *text, size_t size_bytes);

#endif
