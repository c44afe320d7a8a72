/* SPDX-License-Identifier: MIT
 *
 * peer.h - requests between node services: ZeroMQ ROUTER/DEALER with CURVE (peer_zmq.c is its only
 * user). A node's public key stands in the replicated store, which corosync authenticates; a key
 * that is not there is refused before a byte of a message is looked at, and a message is taken to
 * come from the node whose key signed it, whatever it says.
 *
 * Requests and answers may be lost with a connection: a call is repeated until it is answered or
 * its time limit is over, and a request that came before is not handed to the handler again, but
 * answered with the same answer. An answer that is no longer kept is the exception: handlers are
 * idempotent. Nothing here blocks. Threads: the loop's.
 */
#ifndef VIADUCT_NODE_SVC_PEER_H
#define VIADUCT_NODE_SVC_PEER_H

#include "base/json.h"
#include "base/loop.h"

#define PEER_PORT           5710
#define PEER_MAX_BYTES      (1U << 20)
#define PEER_KEY_TEXT_BYTES 41 /* Z85 and NUL */

struct peer;
struct peer_request; /* until peer_reply() */

typedef void (*peer_handler_fn)(
	struct peer_request *request, const char *from, const struct json *message, void *data);
/* `error`: 0 with a reply; -ETIMEDOUT; -EHOSTUNREACH (node unknown). */
typedef void (*peer_reply_fn)(int error, const struct json *reply, void *data);

/* Keys are read from `key_file`, made on the first start. */
int peer_new(struct loop *loop, const char *address, const char *key_file, peer_handler_fn handler,
	void *data, struct peer **ret_peer);
void peer_free(struct peer *peer);
/* Take requests on this address of ours too, until peer_free(); again is harmless. -EADDRNOTAVAIL,
 * -EADDRINUSE. */
int peer_listen(struct peer *peer, const char *address);
/* Where the node is asked now; NULL: it is not known. Lent until peer_set_node(). */
const char *peer_address(const struct peer *peer, const char *name);
const char *peer_public_key(const struct peer *peer);
/* Who may talk to us, and where. Replaces an earlier entry; key NULL forgets the node. */
int peer_set_node(struct peer *peer, const char *name, const char *address, const char *key);
/* A key that may ask, but is no node's: its requests come from `name`, which should be no node's
 * either, and nothing is ever asked of it. key NULL forgets it. */
int peer_admit(struct peer *peer, const char *name, const char *key);
/* New keys, as text. */
int peer_keypair(char ret_public[PEER_KEY_TEXT_BYTES], char ret_secret[PEER_KEY_TEXT_BYTES]);
/* One that only asks, with keys that it was given: of a machine that is not a node yet. -EINVAL: no
 * keys. */
int peer_new_guest(
	struct loop *loop, const char *public_key, const char *secret_key, struct peer **ret_peer);
/* Takes over `message`. Returns 0, then `fn` follows exactly once; or -errno at once. */
int peer_call(struct peer *peer, const char *node, struct json *message, uint64_t timeout_ns,
	peer_reply_fn fn, void *data);
/* Takes over `reply`. */
void peer_reply(struct peer_request *request, struct json *reply);

#endif
