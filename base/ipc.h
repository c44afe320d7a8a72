/* SPDX-License-Identifier: MIT
 *
 * ipc.h - the local control socket of a daemon (libqb IPC underneath), as used by the command line:
 * one JSON request, one JSON reply.
 *
 * Access: only root (uid 0) and the daemon's own uid may connect, unless the daemon has an
 * ipc_accept_fn that decides. Requests are hostile: larger than IPC_MAX_BYTES or malformed ones are
 * answered with an error, nothing else happens. The memory of a connection is shared with its
 * client, and libqb trusts what it finds there more than we do: let nobody in who wants harm.
 *
 * An error is the object {"ok": false, "errno": positive, "error": text}; the server makes it for
 * malformed requests and for replies over IPC_MAX_BYTES. A client has at most 16 requests under
 * way; more are dropped.
 *
 * A handler answers with ipc_reply(), at once or later (long polls, migrations); a request whose
 * client went away is answered into nothing, harmlessly. Threads: the loop's thread only;
 * ipc_call() is for clients without a loop and blocks.
 */
#ifndef VIADUCT_BASE_IPC_H
#define VIADUCT_BASE_IPC_H

#include "base/json.h"
#include "base/loop.h"

#define IPC_MAX_BYTES (1U << 20)

struct ipc_server;
struct ipc_request; /* owned by the server until ipc_reply() */

typedef void (*ipc_handler_fn)(struct ipc_request *request, const struct json *message, void *data);

/* Listen under `name` (letters, digits, '-'), an abstract socket of the network namespace.
 * -EADDRINUSE, -EINVAL; -EBUSY when the process serves another loop already. */
int ipc_server_new(struct loop *loop, const char *name, ipc_handler_fn handler, void *data,
	struct ipc_server **ret_server);
/* Allowed in a handler. Requests that are not answered yet must still be. NULL is fine. */
void ipc_server_free(struct ipc_server *server);

/* Who may connect, by the credentials that the kernel vouches for: a number >= 0 that
 * ipc_request_tag() gives for the connection's requests, or -EACCES. */
typedef int (*ipc_accept_fn)(uid_t uid, gid_t gid, void *data);
void ipc_server_set_accept(struct ipc_server *server, ipc_accept_fn fn);
uid_t ipc_request_uid(const struct ipc_request *request);
int ipc_request_tag(const struct ipc_request *request);

/* Answer and forget `request`; takes over `reply`. Exactly once per request. */
void ipc_reply(struct ipc_request *request, struct json *reply);

struct ipc_client;

/* -ECONNREFUSED when nobody listens under that name, -EACCES (either side is neither root nor of
 * the other's uid), -EBUSY (too many clients), -ETIMEDOUT (the daemon does not respond). */
int ipc_client_new(const char *name, struct ipc_client **ret_client);
void ipc_client_free(struct ipc_client *client);
/* Send and wait. -ETIMEDOUT (the connection can still be used), -ECONNRESET (daemon went away),
 * -EMSGSIZE, -EBADMSG, -ENOMEM. An error that the daemon reports is a reply like any other. */
int ipc_call(struct ipc_client *client, const struct json *request, unsigned timeout_ms,
	struct json **ret_reply);

#endif
