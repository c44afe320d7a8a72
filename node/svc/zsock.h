/* SPDX-License-Identifier: MIT
 *
 * zsock.h - sockets that carry messages under CURVE, on the loop (ZeroMQ underneath; zsock.c is its
 * only user in the service).
 *
 * A listener knows its callers by their keys: `zkey_fn` is asked while the connection is made, and
 * who is unknown is refused before a byte of a message is looked at. A message is one frame; what
 * has more is dropped. Nothing here blocks: what cannot be sent at once is lost, and whoever needs
 * an answer has a time limit. Threads: the loop's.
 */
#ifndef VIADUCT_NODE_SVC_ZSOCK_H
#define VIADUCT_NODE_SVC_ZSOCK_H

#include "base/loop.h"

#define ZKEY_BYTES      32
#define ZKEY_TEXT_BYTES 41 /* Z85 and NUL */
#define ZIDENTITY_BYTES 256

struct zkeys {
	char public_key[ZKEY_TEXT_BYTES], secret_key[ZKEY_TEXT_BYTES];
};
/* From the file, which is made (0600) when there is none. -EBADMSG: it is damaged. */
int zkeys_load(const char *path, struct zkeys *ret_keys);
/* New ones, kept nowhere. -EIO */
int zkeys_make(struct zkeys *ret_keys);
/* -EINVAL: it is no key. */
int zkey_decode(const char *text, uint8_t ret_key[ZKEY_BYTES]);

struct zmessage {
	const void *identity; /* of a listener: the connection, for the answer */
	size_t identity_bytes;
	const char *user;    /* of a listener: what zkey_fn said */
	const char *address; /* of a listener: where it comes from; "" when unknown */
	const void *data;
	size_t size_bytes;
};

struct zcontext;
struct zsock;

typedef void (*zmessage_fn)(const struct zmessage *message, void *data);
/* A short name for the caller, lent until the next call; NULL: unknown. `text`: the key as Z85. */
typedef const char *(*zkey_fn)(const char *text, void *data);

struct zlisten {
	const char *endpoint;
	const struct zkeys *keys;
	/* The caller of an unknown key hears so and gives up; else he tries again and again, for
	 * the key may be known in a moment. */
	bool refuses_for_good;
	size_t max_bytes;
	int heartbeat_ms, heartbeat_timeout_ms, handshake_ms;
	int max_queued; /* messages for each connection; 0: ZeroMQ's own */
	zkey_fn key;
	zmessage_fn message;
	void *data;
};

int zcontext_new(struct loop *loop, struct zcontext **ret_context);
/* After all of its sockets. NULL is fine. */
void zcontext_free(struct zcontext *context);

/* One listener for each context. -EADDRINUSE, -EADDRNOTAVAIL. */
int zsock_listen(
	struct zcontext *context, const struct zlisten *options, struct zsock **ret_socket);
int zsock_connect(struct zcontext *context, const char *endpoint, const char *server_key,
	const struct zkeys *keys, size_t max_bytes, zmessage_fn message, void *data,
	struct zsock **ret_socket);
/* Listen at this endpoint too. -EADDRINUSE, -EADDRNOTAVAIL. */
int zsock_bind(struct zsock *socket, const char *endpoint);
/* Allowed in a callback. NULL is fine. */
void zsock_close(struct zsock *socket);
/* To the connection `identity`, or with NULL to the one there is. -EAGAIN: lost. */
int zsock_send(struct zsock *socket, const void *identity, size_t identity_bytes, const void *data,
	size_t size_bytes);

#endif
