/* SPDX-License-Identifier: MIT
 *
 * ipc.h - the local control socket of a daemon (libqb IPC underneath), as used by the command line:
 * one JSON request, one JSON reply.
 *
 * Access: only root (uid 0) and the daemon's own uid may connect. Requests are hostile: larger than
 * IPC_MAX_BYTES or malformed ones are answered with an error, nothing else happens.
 *
 * A handler answers with ipc_reply(), at once or later (long polls, migrations); a request whose
 * client went away is answered into nothing, harmlessly. Threads: the loop's thread only; ipc_call()
 * is for clients without a loop and blocks.
 */
#ifndef VIADUCT_BASE_IPC_H
#define VIADUCT_BASE_IPC_H

#include "base/json.h"
#include "base/loop.h"

#define IPC_MAX_BYTES (1U << 20)

struct ipc_server;
struct ipc_request; /* owned by the server until ipc_reply() */

typedef void (*ipc_handler_fn)(struct ipc_request *request, const struct json *message, void *data);

/* Listen under `name` (a libqb service name: letters, digits, '-'). */
int ipc_server_new(struct loop *loop, const char *name, ipc_handler_fn handler, void *data,
	struct ipc_server **ret_server);
void ipc_server_free(struct ipc_server *server);

/* Answer and forget `request`; takes over `reply`. Exactly once per request. */
void ipc_reply(struct ipc_request *request, struct json *reply);

struct ipc_client;

/* -ECONNREFUSED when nobody listens under that name, -EACCES. */
int ipc_client_new(const char *name, struct ipc_client **ret_client);
void ipc_client_free(struct ipc_client *client);
/* Send and wait. -ETIMEDOUT, -ECONNRESET (daemon went away), -EMSGSIZE, -EBADMSG. */
int ipc_call(struct ipc_client *client, const struct json *request, unsigned timeout_ms,
	struct json **ret_reply);

#endif
