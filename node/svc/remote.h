/* SPDX-License-Identifier: MIT
 *
 * remote.h - requests of administrators over the network, under CURVE with enrolled keys
 * (admins.h).
 *
 * A key that no record has is refused while the connection is made. One that expired or was revoked
 * may connect, and every request of it is refused with a sentence: else its holder would only ever
 * see a timeout. Whose request it is follows from the key that signed it, looked up for each
 * request anew, so a change of the record counts at once.
 *
 * Hostile clients: a message has a size limit, a connection a short queue, a key a rate
 * (remote_limit.h), a handshake a time limit. A client that says nothing costs a descriptor; who
 * does not even answer heartbeats is dropped after some seconds. Threads: the loop's.
 */
#ifndef VIADUCT_NODE_SVC_REMOTE_H
#define VIADUCT_NODE_SVC_REMOTE_H

#include "base/json.h"

#define REMOTE_PORT 5711

struct svc;
struct remote;
struct remote_request; /* until remote_reply() */

/* Listen at `where`, "ADDRESS:PORT" ("*": all addresses), with the key that the store knows as this
 * node's. -EADDRINUSE, -EADDRNOTAVAIL, -EBADMSG. */
int remote_new(
	struct svc *svc, const char *where, const char *key_file, struct remote **ret_remote);
/* Requests that are not answered yet must still be. NULL is fine. */
void remote_free(struct remote *remote);
/* Takes over `reply`. */
void remote_reply(struct remote_request *request, struct json *reply);

#endif
